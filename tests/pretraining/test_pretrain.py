"""Pretraining: the published size, learning, going on after a kill, folders that diffusers reads, and refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel

import hsifeat
from hsifeat.diffusion.open import open_backbone
from hsifeat.errors import PretrainingError
from hsifeat.pretraining.presets import PRESETS, find_preset
from hsifeat.pretraining.subjects import of_scenes
from hsifeat.pretraining.training import Trainer, parameter_count
from hsifeat.scenes import Scene
from hsifeat.work.events import Advanced, Note, silent
from tests.small import small_cube


def weights(folder):
    return UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).state_dict()


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    losses = []
    hsifeat.pretrain(
        Scene("small", small_cube()), out=folder, steps=12,
        listen=lambda e: losses.append(e) if isinstance(e, Advanced) else None,
    )  # fmt: skip
    return folder, losses


def test_the_published_network_has_the_published_size():
    with torch.device("meta"):
        network = PRESETS["mtmsd"]["paper"].build(25)
    assert round(parameter_count(network) / 1e6, 1) == 24.6


def test_paper_taps_have_the_published_shapes(tmp_path):
    # Blocks 0, 2 and 5 of a 48-px window: 256 channels at 12, 24 and 48 px.
    from diffusers import DDPMScheduler

    with torch.device("meta"):
        network = PRESETS["mtmsd"]["paper"].build(25)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(network.to_json_string())
    DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    taps = {tap.alias: tap for tap in open_backbone(tmp_path).taps if tap.alias}
    found = [(taps[f"output_blocks.{i}"].channels, 48 // taps[f"output_blocks.{i}"].stride) for i in (0, 2, 5)]
    # The whole of a level ends with its upsampler: block 2 is the last at 12 px and gives 24, block 5 gives 48.
    assert found == [(256, 12), (256, 24), (256, 48)]


def test_the_folder_is_a_diffusers_pipeline_and_a_backbone(trained):
    folder, _ = trained
    pipeline = DDPMPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    assert pipeline.scheduler.config.beta_schedule == "squaredcos_cap_v2"
    backbone = open_backbone(folder)
    assert backbone.channels == 8
    assert backbone.projection_file.exists()
    card = (folder / "README.md").read_text()
    assert "small" in card and "--steps 12" in card
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.rglob("*.bin"))


def test_progress_has_a_loss_for_every_step(trained):
    folder, events = trained
    assert [e.done for e in events] == list(range(1, 13))
    record = json.loads((folder / "training.json").read_text())
    assert [f"loss {loss:.3f}" for loss in record["losses"]] == [e.detail for e in events]


def test_it_learns():
    """The loss of noise prediction falls well below 1, what a network that says 0 gets."""
    preset = find_preset("mtmsd", "small")
    trainer = Trainer(preset, of_scenes([Scene("small", small_cube())], preset, None, 0, silent).sampler, "cpu")
    losses = [progress.loss for progress, _ in zip(trainer.run(), range(40), strict=False)]
    assert np.mean(losses[:3]) > 0.9
    assert np.mean(losses[-10:]) < 0.7


def test_again_nothing_is_done(trained):
    folder, _ = trained
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    notes = []
    hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=12, listen=notes.append)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert isinstance(notes[-1], Note) and "trained already" in notes[-1].message


def test_an_interrupted_run_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    """Killed between a checkpoint and the next; what was done since is done again, bit for bit."""
    folder, _ = trained
    monkeypatch.setattr("hsifeat.pretraining.run._CHECKPOINT_SECONDS", 0.0)
    plain = Trainer.save

    def dying(self, path):
        plain(self, path)
        if self.step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=12)
    assert not (tmp_path / "m" / "unet").exists()
    done = []
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=12, listen=done.append)
    assert next(e.done for e in done if isinstance(e, Advanced)) == 6
    assert same(weights(folder), weights(tmp_path / "m"))
    assert open_backbone(folder).identity() == open_backbone(tmp_path / "m").identity()


def test_more_steps_go_on_from_there(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=14)
    assert json.loads((tmp_path / "m" / "training.json").read_text())["steps"] == 14
    assert not same(weights(folder), weights(tmp_path / "m"))


def test_training_leaves_the_global_seed_alone(tmp_path):
    state = torch.random.get_rng_state()
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=1)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "mtmds"}, "unknown network 'mtmds'; nearest: mtmsd"),
        ({"size": "huge"}, "unknown size 'huge' of mtmsd; allowed: small, paper"),
        ({"steps": 0}, "a budget of 0 steps trains nothing"),
        ({"steps": -3}, "a budget of -3 steps trains nothing"),
        ({"minutes": 0}, "a budget of 0 minutes trains nothing"),
        ({"minutes": -1}, "a budget of -1 minutes trains nothing"),
        ({"minutes": float("nan")}, "a budget of nan minutes trains nothing"),
        ({"learning_rate": 0.0}, "a learning rate lies between 0 and 1; found 0.0"),
        ({"dtype": "bfloat16"}, "kept as float32 or float16; found 'bfloat16'"),
        ({"start": "nowhere"}, "no unet/diffusion_pytorch_model.safetensors in nowhere"),
        ({"scene": Scene("tiny", np.ones((20, 40, 9)))}, "smaller than a patch of 32"),
    ],
)
def test_wrong_requests_leave_nothing(tmp_path, options, message):
    wanted = {"scene": Scene("small", small_cube()), "out": tmp_path / "m", **options}
    with pytest.raises(PretrainingError, match=message):
        hsifeat.pretrain(wanted.pop("scene"), **wanted)
    assert not (tmp_path / "m").exists()


def test_a_folder_with_something_else_is_left_alone(trained, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(PretrainingError, match="holds something else"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path, steps=1)
    folder, _ = trained
    with pytest.raises(PretrainingError, match=r"another seed \(there 0, asked for 1\)"):
        hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=1, seed=1)
    with pytest.raises(PretrainingError, match=r"another scene"):
        hsifeat.pretrain(Scene("small", small_cube(seed=1)), out=folder, steps=1)


def test_a_loss_that_is_no_number_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.pretraining.objectives.mse_loss", lambda a, _b: (a * np.nan).sum())
    with pytest.raises(PretrainingError, match="the loss became nan at step 1"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=3)


def test_a_kill_while_the_model_is_written_leaves_no_word_of_a_model(trained, tmp_path, monkeypatch):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    with monkeypatch.context() as patch:
        patch.setattr("hsifeat.pretraining.result.make_scheduler", lambda: pytest.exit("killed"))
        patch.setattr("hsifeat.pretraining.training.make_scheduler", lambda: __import__("diffusers").DDPMScheduler())
        with pytest.raises(pytest.exit.Exception):
            hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=13)
    assert not (tmp_path / "m" / "training.json").exists()
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=13)
    assert json.loads((tmp_path / "m" / "training.json").read_text())["steps"] == 13


def test_a_checkpoint_of_other_settings_is_refused(trained, monkeypatch):
    from dataclasses import replace

    folder, _ = trained
    monkeypatch.setitem(PRESETS["mtmsd"], "small", replace(PRESETS["mtmsd"]["small"], batch=8))
    with pytest.raises(PretrainingError, match=r"another batch \(there 16, asked for 8\)"):
        hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=20)


@pytest.mark.parametrize("name", ["settings.json", "training.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 5000], ids=range(6))
def test_records_that_can_not_be_read_are_refused(trained, tmp_path, name, content):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / name).write_bytes(content)
    with pytest.raises(PretrainingError, match=f"{name} .*: delete it, or name another folder with --out") as raised:
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=12)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "m" / name).read_bytes() == content


def test_a_record_without_its_steps_is_refused(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / "training.json").write_text("{}")
    with pytest.raises(PretrainingError, match=r"training\.json is no record of a training"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=12)
