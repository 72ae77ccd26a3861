"""Files of weights: damage and objects other than tensors are refused in one line, and loading disturbs no other thread."""

import pickle
import threading

import pytest
import torch
from diffusers.models.modeling_utils import no_init_weights

from hsifeat.backbones.weights import load_pretrained, load_tensors
from hsifeat.errors import BackboneError
from hsifeat.torch_state import own_random_state
from tests.helpers.two_threads import run_together


class Evil:
    def __reduce__(self):
        return print, ("this was run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({0: torch.ones(2)}, "holds more than tensors, 0 for one", id="names-that-are-numbers"),
        pytest.param({"a": 3}, "holds more than tensors, 'a' for one", id="a-number"),
        pytest.param(
            {"a": torch.ones(2, dtype=torch.complex64)}, "a is not a dense tensor of real numbers", id="complex"
        ),
        pytest.param({"a": torch.eye(2).to_sparse()}, "a is not a dense tensor of real numbers", id="sparse"),
        pytest.param(torch.ones(2), "holds a Tensor; allowed is a state dict", id="a-tensor"),
        pytest.param({"a": Evil()}, "contain objects other than tensors, which hsifeat never unpickles", id="code"),
    ],
)
def test_a_file_of_anything_but_named_tensors_is_refused(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "w.bin")
    with pytest.raises(BackboneError, match=message) as refusal:
        load_tensors(tmp_path / "w.bin")
    assert "\n" not in str(refusal.value) and "weights_only" not in str(refusal.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [pickle.dumps({"a": Evil()}), b"no pickle", b""])
def test_a_pickle_without_tensors_is_refused(tmp_path, capsys, content):
    (tmp_path / "w.bin").write_bytes(content)
    with pytest.raises(BackboneError) as refusal:
        load_tensors(tmp_path / "w.bin")
    assert "\n" not in str(refusal.value) and "weights_only" not in str(refusal.value)
    assert capsys.readouterr().out == ""


def test_networks_of_other_threads_get_initial_weights_while_diffusers_loads_weights():
    """While diffusers loads weights, the functions of `torch.nn.init` have no effect in any thread."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = torch.nn.Linear(50, 50).weight
    loading, built = threading.Event(), threading.Event()

    class Slow:
        @staticmethod
        def from_pretrained(*_, **__):
            with no_init_weights():
                loading.set()
                built.wait(0.1)
            return torch.nn.Identity(), {}

    def build():
        assert loading.wait(10)
        with own_random_state(7):
            weight = torch.nn.Linear(50, 50).weight
        built.set()
        return weight

    weight, _ = run_together(build, lambda: load_pretrained(Slow, "folder", "file", ".safetensors"))
    assert torch.equal(weight, expected)
