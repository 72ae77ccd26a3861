"""A process that trains is killed by SIGKILL, and another goes on: the same weights as undisturbed, bit for bit."""

import json
import multiprocessing
import signal

import pytest
import torch

from tests.helpers.tiny_training import train_and_die

STEPS = {"steps": 12}


@pytest.fixture(scope="module")
def spawn():
    """Run a training in a process of its own; return its exit code. A server forks them, so that torch loads once."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.helpers.loaded"])

    def run(out, network="mtmsd", options=STEPS, moment="", kill_after=None):
        told = server.SimpleQueue()
        process = server.Process(target=train_and_die, args=(out, network, options, moment, told))
        process.start()
        if kill_after is not None:
            while told.get() < kill_after:
                pass
            process.kill()
        process.join()
        return process.exitcode

    return run


@pytest.fixture(scope="module")
def undisturbed(spawn, tmp_path_factory):
    """Models that were trained in one go, by network and number of steps."""
    made = {}

    def model(network="mtmsd", steps=12):
        if (network, steps) not in made:
            out = made[network, steps] = tmp_path_factory.mktemp("undisturbed") / network
            assert spawn(out, network, {"steps": steps}) == 0
        return made[network, steps]

    return model


def contents(model):
    """All that training decides: the file of the weights, losses, held-out losses, and the objective's own parameters."""
    record = json.loads((model / "training.json").read_text())
    state = torch.load(model / "checkpoint.pt", weights_only=True)
    own = {name: tensor.tolist() for name, tensor in state["objective"].items()}
    weights = (model / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    return weights, record["losses"], {k: v for k, v in record["held_out"].items() if int(k) % 4 == 0}, own


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(["step 1"], id="before the first checkpoint"),
        pytest.param(["save 1"], id="in the first checkpoint"),
        pytest.param(["save 6"], id="in a later one"),
        pytest.param(["step 12"], id="after the last step"),
        pytest.param(["model"], id="while the model is written"),
        pytest.param(["step 3", "save 2", "step 9", "model"], id="again and again"),
    ],
)
def test_killed_and_resumed_is_undisturbed(spawn, undisturbed, tmp_path, moments):
    out = tmp_path / "m"
    for moment in moments:
        assert spawn(out, moment=moment) == -signal.SIGKILL
        assert not (out / "training.json").exists()
    assert spawn(out) == 0
    assert contents(out) == contents(undisturbed())
    assert not list(out.glob("*.part")) and not list(out.glob(".*"))


def test_killed_from_outside_at_any_moment(spawn, undisturbed, tmp_path):
    for step in (2, 5, 8):
        assert spawn(tmp_path / "m", kill_after=step) in (-signal.SIGKILL, 0)
    assert spawn(tmp_path / "m") == 0
    assert contents(tmp_path / "m") == contents(undisturbed())


def test_an_objective_with_parameters_of_its_own(spawn, undisturbed, tmp_path):
    for moment in ("step 4", "save 3"):
        assert spawn(tmp_path / "m", "diffcrn", moment=moment) == -signal.SIGKILL
    assert spawn(tmp_path / "m", "diffcrn") == 0
    found = contents(tmp_path / "m")
    assert found == contents(undisturbed("diffcrn"))
    assert found[3], "the contrastive projection is in the checkpoint"
    assert not any("projection.0" in name for name in torch.load(tmp_path / "m" / "checkpoint.pt")["network"])


def test_minutes_killed_and_resumed(spawn, undisturbed, tmp_path):
    """Time decides how many steps there are, and nothing else."""
    killed = {"minutes": 10.0}
    assert spawn(tmp_path / "n", options=killed, moment="save 5") == -signal.SIGKILL
    assert spawn(tmp_path / "n", options={"minutes": 1e-9}) == 0
    steps = json.loads((tmp_path / "n" / "training.json").read_text())["steps"]
    assert steps == 5  # Four were in the last whole checkpoint.
    assert contents(tmp_path / "n")[:2] == contents(undisturbed(steps=steps))[:2]
