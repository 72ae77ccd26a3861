"""The trainer with every network and objective: it learns, evaluates, and keeps the last sound model when it diverges."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import hsifeat
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import PretrainingError
from hsifeat.pretraining.evaluation import held_out_losses
from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.pretraining.network_specs import find_spec
from hsifeat.pretraining.objectives import NoisePrediction
from hsifeat.pretraining.training import DivergedError, Trainer, make_scheduler
from tests.helpers.tiny_training import TINIES, prepare_tiny, tiny_scene, use_tiny
from tests.helpers.two_threads import Meeting, run_together


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    use_tiny(monkeypatch)


def make_trainer(name, **changes):
    spec = replace(find_spec(name, "small"), **changes)
    return Trainer(spec, prepare_tiny(spec).sampler, "cpu")


@pytest.mark.parametrize("name", TINIES)
def test_every_network_learns(name):
    losses = [progress.loss for progress in make_trainer(name, learning_rate=0.03).train(40)]
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:5])


@pytest.mark.parametrize("name", TINIES)
def test_every_network_is_evaluated_written_and_opened(name, tmp_path):
    out = hsifeat.pretrain(tiny_scene(), network=name, out=tmp_path / "m", steps=4)
    record = json.loads((out / "training.json").read_text())
    assert record["settings"]["class"] == TINIES[name].class_name
    assert len(record["held_out"]["4"]) == 10
    backbone = open_backbone(out)
    assert backbone.channels == 4 and backbone.taps
    weights = backbone.network.state_dict()
    state = torch.load(out / "checkpoint.pt", weights_only=True)["average"]
    assert all(torch.equal(tensor, state[f"module.{key}"]) for key, tensor in weights.items())


def test_trainings_of_two_threads_depend_on_their_seeds_alone(monkeypatch):
    """The threads build their networks together, and take steps with dropout together, unless one waits for the other."""
    arguments = find_spec("mtmsd", "small").arguments
    spec = replace(
        find_spec("mtmsd", "small"), batch=1, arguments=lambda channels: {**arguments(channels), "dropout": 0.5}
    )
    sampler = prepare_tiny(spec).sampler

    def train(seed):
        trainer = Trainer(spec, replace(sampler, seed=seed), "cpu")
        assert len(list(trainer.train(2))) == 2
        return torch.cat([parameter.detach().flatten() for parameter in trainer.network.parameters()])

    expected = [train(0), train(1)]

    def wait_before(owner, name):
        meeting, plain = Meeting(), getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *values: (meeting.wait(), plain(*values))[1])

    wait_before(NetworkSpec, "build")
    wait_before(NoisePrediction, "forward")
    found = run_together(lambda: train(0), lambda: train(1))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not torch.equal(*expected)


def test_the_learning_rate_warms_up():
    rates = [progress.learning_rate for progress in make_trainer("mtmsd", batch=1).train(60)]
    np.testing.assert_allclose(rates, 2e-3 * np.minimum(1, np.arange(1, 61) / 50))


def test_another_learning_rate_makes_another_model(tmp_path):
    out = hsifeat.pretrain(tiny_scene(), out=tmp_path / "m", steps=2, learning_rate=1e-4)
    record = json.loads((out / "training.json").read_text())
    assert "learning rate 0.0001" in record["settings"]["optimizer"] and "--learning-rate 0.0001" in record["command"]
    with pytest.raises(PretrainingError, match="another optimizer"):
        hsifeat.pretrain(tiny_scene(), out=tmp_path / "m", steps=2)


def test_an_objectives_own_parameters_are_trained_but_not_saved():
    trainer = make_trainer("diffcrn")
    before = {name: tensor.clone() for name, tensor in trainer._objective.state_dict().items()}
    list(trainer.train(2))
    assert before and all(not torch.equal(before[n], t) for n, t in trainer._objective.state_dict().items())
    assert not any(name in before for name in trainer.averaged.state_dict())


def test_a_step_trains_the_decoder_of_its_interval_alone():
    """Each step trains one decoder, whichever interval its timesteps lie in."""
    trainer = make_trainer("multistage")

    def weights():
        return [[p.clone() for p in decoder.parameters()] for decoder in trainer.network.decoders]

    moved = set()
    for _ in trainer.train(12):
        pass
    before = weights()
    for _ in trainer.train(13):
        moved = {i for i, (a, b) in enumerate(zip(before, weights(), strict=True)) if not torch.equal(a[0], b[0])}
    batch = trainer._sampler.draw(12, 4)
    assert moved == {int(np.searchsorted((442, 631), batch.t[0], side="right"))}


def test_each_evaluation_batch_lies_in_one_interval():
    """The prediction of the network is ten times the number of its decoder.

    The loss of a band shows how many timesteps of the band belong to each interval.
    """

    class Tells(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x, t, return_dict):
            numbers = np.searchsorted((442, 631), t.numpy(), side="right")
            assert len(set(numbers.tolist())) == 1
            return (torch.full_like(x, 10.0 * numbers[0]),)

    clean = np.zeros((50, 1, 8, 8), np.float32)
    losses = held_out_losses(Tells(), clean, make_scheduler(TINIES["multistage"]), TINIES["multistage"].timesteps)
    # E (10 k - eps)^2 = 100 k^2 + 1: timesteps 400, 402, …, 440 are 21 of 50, and 600, 602, …, 630 are 16 of 50.
    expected = [1] * 4 + [21 / 50 + 101 * 29 / 50] + [101] + [16 / 50 * 101 + 34 / 50 * 401] + [401] * 3
    np.testing.assert_allclose(losses, expected, rtol=0.05)


def exploding(name="mtmsd", at=6, factor=1e4):
    """Train, and multiply all weights by a large factor after a step."""
    trainer = make_trainer(name)
    for progress in trainer.train(at + 5):
        if progress.step == at:
            for tensor in trainer.network.parameters():
                tensor.data *= factor
        yield trainer, progress.step


@pytest.mark.parametrize("factor", [1e4, float("nan")])
def test_a_loss_that_explodes_stops_the_run_at_once(factor):
    with pytest.raises(DivergedError, match=r"the loss became (nan|[\d.]+e\+\d+|inf) at step 7"):
        list(exploding(factor=factor))


def test_a_bad_state_is_not_saved(tmp_path):
    from hsifeat.pretraining.model_folder import ModelFolder

    folder = ModelFolder(tmp_path / "m", {})
    steps = exploding()
    with pytest.raises(DivergedError):
        for trainer, _ in steps:
            folder.write_checkpoint(trainer, None)
    assert len(torch.load(folder.checkpoint)["losses"]) == 5
    assert all(tensor.isfinite().all() for tensor in torch.load(folder.checkpoint)["network"].values())


def poisoned(monkeypatch, at):
    plain = Trainer._take_step

    def take_step(self, batch, rate):
        loss = plain(self, batch, rate)
        if self.step + 1 == at:
            for tensor in self.network.parameters():
                tensor.data *= 1e5
        return loss

    monkeypatch.setattr(Trainer, "_take_step", take_step)


def test_a_diverged_training_leaves_the_last_sound_model(tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.pretraining.session._CHECKPOINT_RATIO", 0.0)
    before = hsifeat.pretrain(tiny_scene(), out=tmp_path / "before", steps=5)
    poisoned(monkeypatch, at=6)
    out = tmp_path / "m"
    with pytest.raises(PretrainingError) as stopped:
        hsifeat.pretrain(tiny_scene(), out=out, steps=8)
    message = str(stopped.value)
    assert "\n" not in message and f"the model of step 5 is saved in {out}" in message
    assert "at step 7" in message and "`learning_rate=0.0004`" in message
    record = json.loads((out / "training.json").read_text())
    assert record["steps"] == 5 and "at step 7" in record["diverged"]
    assert "at step 7" in (out / "README.md").read_text()
    file = "unet/diffusion_pytorch_model.safetensors"
    assert (out / file).read_bytes() == (before / file).read_bytes()
    assert open_backbone(out).taps
    # Without the cause the training continues from there.
    monkeypatch.undo()
    use_tiny(monkeypatch)
    hsifeat.pretrain(tiny_scene(), out=out, steps=7)
    assert json.loads((out / "training.json").read_text())["steps"] == 7


def test_a_first_step_that_diverges_leaves_nothing(tmp_path, monkeypatch):
    poisoned(monkeypatch, at=1)
    with pytest.raises(PretrainingError, match="at step 2, before the first checkpoint: try `learning_rate="):
        hsifeat.pretrain(tiny_scene(), out=tmp_path / "m", steps=5)
    assert not (tmp_path / "m").exists()


def test_a_learning_rate_that_is_far_too_high_is_reported(tmp_path, monkeypatch):
    """A rate above those that the option allows, because rounding decides whether the loss at a rate of 1 explodes."""
    from hsifeat.pretraining.network_specs import NETWORK_SPECS

    spec = replace(TINIES["mtmsd"], learning_rate=1000)
    monkeypatch.setitem(NETWORK_SPECS["mtmsd"], "small", spec)
    with pytest.raises(PretrainingError, match=r"the loss became .* at step \d+"):
        hsifeat.pretrain(tiny_scene(), out=tmp_path / "m", steps=20)


def test_dropout_is_drawn_from_seed_and_step_alone(tmp_path, monkeypatch):
    """A network with random layers goes on to the same weights, whatever torch's own random numbers are."""
    from hsifeat.pretraining.network_specs import NETWORK_SPECS

    def config(channels):
        return {**TINIES["mtmsd"].arguments(channels), "dropout": 0.3}

    monkeypatch.setitem(NETWORK_SPECS["mtmsd"], "small", replace(TINIES["mtmsd"], arguments=config))
    whole = make_trainer("mtmsd")
    list(whole.train(6))
    first = make_trainer("mtmsd")
    list(first.train(3))
    first.save(tmp_path / "checkpoint.pt")
    torch.manual_seed(99)
    second = make_trainer("mtmsd")
    second.load(tmp_path / "checkpoint.pt")
    list(second.train(6))
    assert second.losses == whole.losses
    assert all(torch.equal(a, b) for a, b in zip(second.network.parameters(), whole.network.parameters(), strict=True))
