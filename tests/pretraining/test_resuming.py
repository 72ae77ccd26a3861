"""Trainings killed by SIGKILL and continued by another process have the weights of an undisturbed one, bit for bit."""

import json
import multiprocessing
import signal

import pytest
import torch

from tests.helpers.forked_commands import PRELOADED
from tests.helpers.tiny_training import train_and_die

STEPS = {"steps": 12}


@pytest.fixture(scope="module")
def spawn():
    """Run a training in a process of its own; return its exit code. A server forks them, so that torch loads once."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)

    def run(out, network="mtmsd", options=STEPS, moment="", kill_after=None):
        steps = server.SimpleQueue()
        process = server.Process(target=train_and_die, args=(out, network, options, moment, steps))
        process.start()
        if kill_after is not None:
            while steps.get() < kill_after:
                pass
            process.kill()
        process.join()
        return process.exitcode

    return run


@pytest.fixture(scope="module")
def undisturbed(spawn, tmp_path_factory):
    """Models trained without interruption, by network and number of steps."""
    models = {}

    def model(network="mtmsd", steps=12):
        if (network, steps) not in models:
            out = models[network, steps] = tmp_path_factory.mktemp("undisturbed") / network
            assert spawn(out, network, {"steps": steps}) == 0
        return models[network, steps]

    return model


def contents(model):
    """The results of a training: file of weights, losses, held-out losses, and parameters of the objective."""
    record = json.loads((model / "training.json").read_text())
    state = torch.load(model / "checkpoint.pt", weights_only=True)
    own = {name: tensor.tolist() for name, tensor in state["objective"].items()}
    weights = (model / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    return weights, record["losses"], {k: v for k, v in record["held_out"].items() if int(k) % 4 == 0}, own


@pytest.mark.parametrize(
    ("network", "moments"),
    [
        pytest.param("mtmsd", ["step 1", "save 1"], id="before and during the first checkpoint"),
        pytest.param(
            "diffcrn", ["step 3", "save 6", "step 12", "model"], id="steps, a checkpoint, and writing the model"
        ),
    ],
)
def test_killed_and_continued_trainings_equal_an_undisturbed_one(spawn, undisturbed, tmp_path, network, moments):
    out = tmp_path / "m"
    for moment in moments:
        assert spawn(out, network, moment=moment) == -signal.SIGKILL
        assert not (out / "training.json").exists()
    assert spawn(out, network) == 0
    assert contents(out) == contents(undisturbed(network))
    assert not list(out.glob("*.part")) and not list(out.glob(".*"))
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert bool(state["objective"]) == (network == "diffcrn"), "only DiffCRN's loss has parameters of its own"
    assert not any(name in state["network"] for name in state["objective"])


def test_killed_from_outside_at_any_moment(spawn, undisturbed, tmp_path):
    assert spawn(tmp_path / "m", kill_after=5) in (-signal.SIGKILL, 0)
    assert spawn(tmp_path / "m") == 0
    assert contents(tmp_path / "m") == contents(undisturbed())


def test_minutes_killed_and_resumed(spawn, undisturbed, tmp_path):
    """The time limit determines the number of steps, and nothing else."""
    killed = {"minutes": 10.0}
    assert spawn(tmp_path / "n", options=killed, moment="save 5") == -signal.SIGKILL
    assert spawn(tmp_path / "n", options={"minutes": 1e-9}) == 0
    steps = json.loads((tmp_path / "n" / "training.json").read_text())["steps"]
    assert steps == 5  # Four were in the last whole checkpoint.
    assert contents(tmp_path / "n")[:2] == contents(undisturbed(steps=steps))[:2]
