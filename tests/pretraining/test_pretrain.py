"""The trained folder: diffusers reads it, it is a backbone, what may go on in it, and refusals."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel

import hsifeat
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import PretrainingError
from hsifeat.pretraining.networks import PRESETS
from hsifeat.runtime.events import Advanced, Note
from hsifeat.scenes import Scene
from tests.helpers.small import small_cube


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


def test_again_nothing_is_done(trained):
    folder, _ = trained
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    notes = []
    hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=12, listen=notes.append)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert isinstance(notes[-1], Note) and "trained already" in notes[-1].message


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


def test_a_model_of_the_first_format_opens_and_is_left_as_it_is(trained, tmp_path):
    folder, _ = trained
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    settings = json.loads((old / "settings.json").read_text())
    del settings["format"]
    settings["scene"] = {k: v for k, v in settings.pop("scenes")[0].items() if k != "held_out"}
    (old / "settings.json").write_text(json.dumps(settings))
    assert open_backbone(old).identity() == open_backbone(folder).identity()
    with pytest.raises(
        PretrainingError, match="another version of hsifeat trained: it can be used, but not trained on"
    ):
        hsifeat.pretrain(Scene("small", small_cube()), out=old, steps=20)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("settings.json", "{", "settings.json can't be read"),
        ("training.json", "[]", "training.json is no JSON object"),
        ("training.json", "{}", "training.json is no record of a training: delete it"),
        ("checkpoint.pt", "torn", "checkpoint.pt is no checkpoint of this network: remove it to start anew"),
    ],
)
def test_damaged_files_are_told_in_a_line(trained, tmp_path, file, content, message):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / file).write_text(content)
    with pytest.raises(PretrainingError, match=message) as refused:
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=13)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("network", ["mtmsd", "diffcrn"])
def test_the_presets_for_a_gpu_take_their_patches(network):
    preset = PRESETS[network]["paper"]
    with torch.device("meta"):
        built = preset.build(preset.components)
        image = torch.zeros(1, preset.components, preset.patch_px, preset.patch_px)
        assert built(image, 0, return_dict=False)[0].shape == image.shape
        preset.build_objective(built)


def test_the_small_diffcrn_trains(tmp_path):
    out = hsifeat.pretrain(Scene("small", small_cube()), network="diffcrn", out=tmp_path / "m", steps=1)
    assert open_backbone(out).channels == 8
