"""One backbone in several threads: lists of layers, locks of objects of any class, and values that are computed once."""

import gc
import threading

import pytest
import torch

from hsifeat import ModuleBackbone, NoiseSchedule
from hsifeat.backbones import exclusive
from hsifeat.backbones.exclusive import exclusive_property, exclusive_use
from tests.helpers.two_threads import Meeting, in_use, run_together


class Waiting(torch.nn.Module):
    """Two layers. A forward pass begins when that of another thread begins, too."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 3, 1)
        self.meeting = Meeting()

    def __deepcopy__(self, _memo):
        return self

    def forward(self, image, _t):
        self.meeting.wait()
        return self.b(self.a(image))


def test_layers_are_listed_while_another_thread_runs_the_network():
    backbone = ModuleBackbone(Waiting(), NoiseSchedule.from_betas([0.1, 0.2]), 3, name="waiting")
    image = torch.ones(1, 3, 4, 4)
    taps, maps = run_together(lambda: backbone.taps, lambda: backbone.forward_to(image, 1, ["a"]))
    assert [(tap.name, tap.channels, tap.stride) for tap in taps] == [("a", 4, 1), ("b", 3, 1)]
    with torch.no_grad():
        assert torch.equal(maps["a"], backbone.network.a(image))


def test_other_threads_wait_during_every_use_of_the_network(monkeypatch):
    schedule, uses = NoiseSchedule.from_betas([0.1, 0.2]), []

    def call(network, noisy, _timesteps):
        uses.append(in_use(backbone))
        return network(noisy)

    backbone = ModuleBackbone(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)), schedule, 3, name="plain", call=call)
    monkeypatch.setattr(backbone.network, "to", lambda _device: uses.append(in_use(backbone)))
    noisy = torch.ones(1, 3, 4, 4)
    backbone.to("cpu")
    assert [tap.name for tap in backbone.taps] == ["0"]
    backbone.forward_to(noisy, 1, ["0"])
    backbone.predict(noisy, 1)
    backbone.map_bytes((1, 3, 4, 4), 1, ["0"])
    assert len(uses) >= 5 and all(uses)
    assert not in_use(backbone)


def test_the_network_is_loaded_once():
    meeting, loads = Meeting(), []

    class Slow(ModuleBackbone):
        def load(self):
            loads.append(1)
            meeting.wait()
            return super().load()

    backbone = Slow(torch.nn.Conv2d(3, 3, 1), NoiseSchedule.from_betas([0.1, 0.2]), 3, name="slow")
    first, second = run_together(lambda: backbone.network, lambda: backbone.network)
    assert first is second is backbone.network and len(loads) == 1


def test_objects_of_any_class_have_a_lock_while_they_are_used():
    class Bare:
        __slots__ = ()
        __hash__ = None

    one, other = Bare(), Bare()
    inside, leave = threading.Event(), threading.Event()

    def use(subject):
        with exclusive_use(subject), exclusive_use(subject):
            inside.set()
            assert leave.wait(10)

    thread = threading.Thread(target=use, args=(one,))
    thread.start()
    assert inside.wait(10)
    with exclusive_use(other):
        waiting = threading.Thread(target=use, args=(one,))
        inside.clear()
        waiting.start()
        assert not inside.wait(0.05)
    leave.set()
    thread.join()
    waiting.join()
    assert inside.is_set()
    gc.collect()
    assert not {id(one), id(other)} & set(exclusive._locks)


def test_an_exclusive_property_is_computed_once_and_again_after_an_error():
    calls = []

    class Backbone:
        @exclusive_property
        def value(self):
            """A value."""
            calls.append(1)
            if len(calls) == 1:
                raise ValueError("not yet")
            return [len(calls)]

    backbone = Backbone()
    with pytest.raises(ValueError, match="not yet"):
        _ = backbone.value
    assert backbone.value is backbone.value == [2]
    assert Backbone.value.__doc__ == "A value."
