"""Plain torch modules as backbones: features of real forwards, identity by content, and refusals."""

import numpy as np
import pytest
import torch

from hsifeat import ModuleBackbone, NoiseSchedule, extract
from hsifeat.errors import BackboneError, OutOfMemoryError


def denoiser(module, **options):
    return ModuleBackbone(module, NoiseSchedule.from_betas([0.1, 0.2]), 3, name="denoiser", **options)


class Scaled(torch.nn.Module):
    """A module with a plain tensor as an attribute, a scalar timestep, and a tuple as output."""

    def __init__(self, side=1):
        super().__init__()
        self.scale = torch.tensor([2.0])
        self.inner = torch.nn.Conv2d(3, 4, 3, stride=side, padding=1)

    def forward(self, image, t):
        return self.inner(image * self.scale + t), "more"


def by_number(network, noisy, t):
    return network(noisy, t / 2)


def test_a_network_with_another_call_and_plain_tensors_as_attributes():
    module = Scaled()
    backbone = denoiser(module, call=by_number)
    assert [(tap.name, tap.channels, tap.stride) for tap in backbone.taps] == [("inner", 4, 1)]
    image = torch.ones(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(backbone.forward_to(image, 1, ["inner"])["inner"], module(image, 0.5)[0])
        assert torch.equal(backbone.predict(image, 1), module(image, 0.5)[0][:, :3])


def test_training_the_module_further_changes_nothing():
    module = Scaled()
    backbone = denoiser(module, call=by_number)
    module.inner.weight.data += 1
    assert module.inner.weight.requires_grad and module.training
    assert denoiser(module, call=by_number).identity() != backbone.identity()
    prediction = backbone.predict(torch.ones(1, 3, 8, 8), 0)
    with torch.no_grad():
        assert not torch.equal(prediction, module(torch.ones(1, 3, 8, 8), 0)[0][:, :3])


def test_identities_of_architectures_and_configurations_differ():
    class Other(Scaled):
        pass

    same = Scaled().state_dict()

    def identity(module, **options):
        module.load_state_dict(same)
        return str(denoiser(module, call=by_number, **options).identity())

    identities = [
        identity(Scaled()), identity(Scaled(side=2)), identity(Other()), identity(Scaled(), config={"call": "t / 2"}),
        identity(Scaled(), config={"call": "t"}),
    ]  # fmt: skip
    assert len(set(identities)) == len(identities)
    assert identity(Scaled()) == identities[0]


def test_a_configuration_that_changes_later_is_that_of_the_start():
    config = {"input": {"scale": 1.0}}
    backbone = denoiser(Scaled(), call=by_number, config=config)
    before = str(backbone.identity())
    config["input"]["scale"] = 2.0
    assert str(backbone.identity()) == before


def test_a_module_that_is_no_denoiser_is_refused():
    class Addressed(Scaled):
        def extra_repr(self):
            return str(object())

    with pytest.raises(BackboneError, match="contains memory addresses.* pass its sizes as config"):
        denoiser(Addressed())
    assert denoiser(Addressed(), config={}).identity()
    with pytest.raises(BackboneError, match=r"denoiser can't be run on an image of shape \(1, 3, 64, 64\): "):
        _ = denoiser(torch.nn.Linear(2, 2)).taps

    def exhaust(*_):
        raise MemoryError

    with pytest.raises(OutOfMemoryError, match="memory ran out"):
        _ = denoiser(Scaled(), call=exhaust).taps
    without_layers = denoiser(Scaled(side=3), call=by_number)
    for _ in range(2):
        with pytest.raises(BackboneError, match="denoiser has no layer that gives a map .* whose side divides 64"):
            _ = without_layers.taps
    assert denoiser(Scaled(side=3), call=by_number, side=48).taps[0].stride == 3


def test_extraction_refuses_a_plain_network(scene, tmp_path):
    with pytest.raises(
        BackboneError,
        match="the backbone is a Scaled, not a backbone: it lacks name, .* Wrap a plain network into a Mod",
    ):
        extract(scene, backbone=Scaled(), out=tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


def test_averages_over_the_image_are_no_layers():
    class Squeeze(torch.nn.Module):
        """Squeeze and excitation: channels are weighted by their averages over the image."""

        def __init__(self):
            super().__init__()
            self.maps = torch.nn.Conv2d(3, 4, 2, stride=2)
            self.average = torch.nn.AdaptiveAvgPool2d(1)
            self.excite = torch.nn.Conv2d(4, 4, 1)

        def forward(self, noised, _timesteps):
            maps = self.maps(noised)
            return maps * self.excite(self.average(maps))

    # They have the shape of a map of stride 64 in an image of 64 px, but of stride 32 in one of 32 px.
    assert [(tap.name, tap.stride) for tap in denoiser(Squeeze()).taps] == [("maps", 2)]


@pytest.mark.parametrize("config", [{"mean": np.ones(3)}, {"factor": np.float32(2)}, {"x": float("nan")}, ["a"]])
def test_a_configuration_that_is_no_json_is_refused(config):
    """The extraction raised an error of pydantic, and NaN, infinity and None gave one key."""
    with pytest.raises(BackboneError, match=r"config is a mapping of JSON values, .* \.tolist\(\)"):
        denoiser(Scaled(), call=by_number, config=config)


@pytest.mark.parametrize("is_random", [True, False])
def test_a_module_whose_output_is_random_is_refused(is_random):
    """Dropout that stays on, in contrast to a module that draws the same numbers each time, or numbers without an effect."""

    class Drawing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, noisy, _):
            drawn = torch.nn.functional.dropout(noisy, 0.5, training=True)
            return self.convolution(drawn if is_random else noisy + 0 * drawn.nan_to_num())

    backbone = ModuleBackbone(Drawing(), NoiseSchedule.from_betas([0.1, 0.2]), 3, name="drawing")
    if is_random:
        with pytest.raises(BackboneError, match="drawing draws random numbers in each pass"):
            _ = backbone.taps
    else:
        assert [tap.name for tap in backbone.taps] == ["convolution"]


@pytest.mark.parametrize("change", ["view", "in place", "no tensor", "NaN"])
def test_modules_that_are_not_random_are_accepted(change):
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, noisy, _):
            torch.rand(1)
            if change == "in place":
                noisy.sub_(0.5)
            output = self.convolution(noisy.view(len(noisy), -1).view_as(noisy))
            return {"no tensor": None, "NaN": output * torch.nan}.get(change, output)

    backbone = ModuleBackbone(Odd(), NoiseSchedule.from_betas([0.1, 0.2]), 3, name="odd")
    state = torch.get_rng_state()
    assert [tap.name for tap in backbone.taps] == ["convolution"] and torch.equal(torch.get_rng_state(), state)
