"""Folders of trained models: diffusers and hsifeat open them, trainings continue in them, and refusals."""

import json
import shutil
from io import BytesIO

import numpy as np
import pytest
import safetensors
import torch
from diffusers import DDPMPipeline, UNet2DModel
from PIL import Image

import hsifeat
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import BackboneError, HsifeatError, PretrainingError, StoreError
from hsifeat.pretraining.config import resolve_training
from hsifeat.pretraining.network_specs import NETWORK_SPECS
from hsifeat.pretraining.training_card import plot_losses
from hsifeat.projection import Projection
from hsifeat.runtime.events import Advanced, Note
from hsifeat.scenes import Scene
from hsifeat.timesteps.rank import rank_timesteps
from tests.helpers.small import small_cube
from tests.helpers.tiny_training import tiny_scene, use_tiny

SHIPPED = dict(NETWORK_SPECS)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch)
        yield


def weights(folder):
    return UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).state_dict()


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    losses = []
    hsifeat.pretrain(
        Scene("small", small_cube()), out=folder, steps=4,
        listen=lambda e: losses.append(e) if isinstance(e, Advanced) else None,
    )  # fmt: skip
    return folder, losses


def test_the_folder_is_a_diffusers_pipeline_and_a_backbone(trained):
    folder, _ = trained
    pipeline = DDPMPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    assert pipeline.scheduler.config.beta_schedule == "squaredcos_cap_v2"
    backbone = open_backbone(folder)
    assert backbone.channels == 4
    assert backbone.projection_file.exists()
    card = (folder / "README.md").read_text()
    assert "small" in card and "--steps 4" in card
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.rglob("*.bin"))


@pytest.mark.parametrize(
    ("losses", "held_out"),
    [([0.5], {}), ([1.0] * 60, {60: [1.0] * 10}), ([1e4, 1e-3, 2.0, 0.7], {2: [3.0] * 10, 4: [2.0] * 10})],
    ids=["one step", "constant", "any range"],
)
def test_the_plot_shows_any_losses(losses, held_out):
    with Image.open(BytesIO(plot_losses(losses, held_out))) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    assert ((0, 114, 178) in colours) and ((213, 94, 0) in colours) == bool(held_out)


def test_progress_has_a_loss_for_every_step(trained):
    folder, events = trained
    assert [e.done for e in events] == list(range(1, 5))
    record = json.loads((folder / "training.json").read_text())
    assert [f"loss {loss:.3f}" for loss in record["losses"]] == [e.detail for e in events]


def test_a_complete_training_is_not_repeated(trained):
    folder, _ = trained
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    notes = []
    hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=4, listen=notes.append)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert isinstance(notes[-1], Note) and "already trained" in notes[-1].message


def test_minutes_alone_complete_a_training_and_the_note_says_how_to_train_further(tmp_path):
    notes = []

    for _ in range(2):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", minutes=1e-9, listen=notes.append)
        assert json.loads((tmp_path / "m" / "training.json").read_text())["steps"] == 1
    assert notes[-1].message.endswith("1 steps: nothing to do; a number of steps, or other minutes, trains it further")


def test_more_steps_continue_a_complete_training(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=6)
    assert json.loads((tmp_path / "m" / "training.json").read_text())["steps"] == 6
    assert not same(weights(folder), weights(tmp_path / "m"))


def test_training_leaves_the_global_seed_alone(tmp_path):
    state = torch.random.get_rng_state()
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=1)
    assert torch.equal(torch.random.get_rng_state(), state)


def _save_on_a_full_disk(*_, **__):
    raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


_save = torch.save


@pytest.mark.parametrize(
    ("saver", "failing"),
    [("torch.save", lambda state, _: _save(state, "/dev/full")), ("safetensors.torch.save_file", _save_on_a_full_disk)],
    ids=["checkpoint", "weights"],
)
def test_a_full_disk_is_one_message_and_the_same_command_goes_on(tmp_path, monkeypatch, saver, failing):
    with (
        monkeypatch.context() as patch,
        pytest.raises(StoreError, match=r"the disk of .* is full: .*; finished work is kept$"),
    ):
        patch.setattr(saver, failing)
        hsifeat.pretrain(tiny_scene(), network="mtmsd", out=tmp_path / "m", steps=2)
    hsifeat.pretrain(tiny_scene(), network="mtmsd", out=tmp_path / "m", steps=2)
    assert open_backbone(tmp_path / "m").identity()


def test_initial_weights_of_a_network_with_another_norm_are_refused(trained, tmp_path):
    with pytest.raises(PretrainingError, match="holds a UNet2DModel, and a RMSNormUNet2DModel is to be trained"):
        hsifeat.pretrain(Scene("small", small_cube()), norm="pixel-rms", start=trained[0], steps=1, out=tmp_path / "m")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "mtmds"}, "unknown network 'mtmds'; nearest: mtmsd"),
        ({"size": "huge"}, "size: expected small or paper; found 'huge'"),
        ({"steps": 0}, "steps: expected at least 1; found 0"),
        ({"steps": 2.5}, "steps: expected a whole number; found 2.5"),
        ({"minutes": 0}, "minutes: expected more than 0.*; found 0"),
        ({"minutes": float("nan")}, "minutes: .*found nan"),
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0.*; found 0.0"),
        ({"dtype": "bfloat16"}, "dtype: expected float32 or float16; found 'bfloat16'"),
        ({"boundaries": [442, 631]}, "a UNet2DModel has one decoder: leave out `boundaries`, or train multistage"),
        (
            {"network": "multistage", "boundaries": [631, 442]},
            "the boundaries of 3 decoders are 2 ascending timesteps from 1 to 999; found 631, 442",
        ),
        ({"start": 3}, "start: expected a path; found 3"),
        ({"start": "nowhere"}, "nowhere has no unet/diffusion_pytorch_model.safetensors"),
        ({"preset": "dift"}, r"the preset dift has no section \[pretrain\]"),
        ({"scene": Scene("tiny", np.ones((10, 40, 9)))}, "smaller than a patch of 16"),
    ],
)
def test_invalid_options_are_refused_and_leave_no_folder(tmp_path, options, message):
    arguments = {"scene": Scene("small", small_cube()), "out": tmp_path / "m", **options}
    with pytest.raises(HsifeatError, match=message) as refusal:
        hsifeat.pretrain(arguments.pop("scene"), **arguments)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "m").exists()


def test_a_folder_with_something_else_is_left_alone(trained, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(PretrainingError, match="holds other files"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path, steps=1)
    folder, _ = trained
    with pytest.raises(PretrainingError, match=r"another seed \(stored: 0; this training: 1\)"):
        hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=1, seed=1)
    with pytest.raises(PretrainingError, match=r"another scene"):
        hsifeat.pretrain(Scene("small", small_cube(seed=1)), out=folder, steps=1)


def test_a_second_training_in_a_folder_is_refused_and_leaves_the_files_of_the_first(tmp_path):
    out, unfinished = tmp_path / "models" / "m", tmp_path / "models" / "m" / ".checkpoint.pt.1.part"

    def train_again(event):
        if isinstance(event, Advanced) and event.done == 2:
            unfinished.write_bytes(b"half a checkpoint")
            with pytest.raises(PretrainingError, match="another training is running in .*m: wait for its end, or name"):
                hsifeat.pretrain(tiny_scene(), out=out, steps=2)
            assert unfinished.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hsifeat.pretrain(tiny_scene(), out=out, steps=2, listen=train_again)
    hsifeat.pretrain(tiny_scene(), out=out, steps=2)
    assert not list(out.glob(".*"))


def test_a_checkpoint_of_other_settings_is_refused(trained, monkeypatch):
    from dataclasses import replace

    folder, _ = trained
    monkeypatch.setitem(NETWORK_SPECS["mtmsd"], "small", replace(NETWORK_SPECS["mtmsd"]["small"], batch=8))
    with pytest.raises(PretrainingError, match=r"another batch \(stored: 4; this training: 8\)"):
        hsifeat.pretrain(Scene("small", small_cube()), out=folder, steps=20)


@pytest.mark.parametrize("name", ["settings.json", "training.json"])
@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"[" * 5000], ids=range(4))
def test_records_that_can_not_be_read_are_refused(trained, tmp_path, name, content):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / name).write_bytes(content)
    advice = "name another folder with `out`"
    if name == "training.json":
        advice = f"delete it and run the command again, or {advice}"
    with pytest.raises(PretrainingError, match=f"{name} .*: {advice}$") as raised:
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=4)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "m" / name).read_bytes() == content


def test_a_model_of_another_format_can_be_used_but_not_trained_further(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    settings = json.loads((tmp_path / "m" / "settings.json").read_text())
    (tmp_path / "m" / "settings.json").write_text(json.dumps({**settings, "format": 0}))
    assert open_backbone(tmp_path / "m").identity() == open_backbone(folder).identity()
    with pytest.raises(PretrainingError, match="another version of hsifeat trained: it can be used, but not trained"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=20)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("training.json", "{}", "training.json is damaged or was edited: delete it and run the command again, or"),
        ("checkpoint.pt", "torn", "checkpoint.pt is damaged, or is another file under this name: delete it to start"),
    ],
)
def test_damaged_files_are_refused_in_one_line(trained, tmp_path, file, content, message):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    (tmp_path / "m" / file).write_text(content)
    with pytest.raises(PretrainingError, match=message) as refused:
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=5)
    assert "\n" not in str(refused.value)


def test_a_flipped_bit_in_the_weights_of_a_checkpoint_is_refused_and_the_advice_works(trained, tmp_path):
    """torch reads the file without an error, because it does not compare the CRCs of its zip archive."""
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    file = tmp_path / "m" / "checkpoint.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 64
    file.write_bytes(content)
    torch.load(file, weights_only=True)
    with pytest.raises(PretrainingError, match=r"checkpoint\.pt is damaged"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=5)
    file.unlink()
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=5)
    assert json.loads((tmp_path / "m" / "training.json").read_text())["steps"] == 5


def test_the_checkpoint_of_another_training_is_refused(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "n", seed=5, steps=1)
    shutil.copy(tmp_path / "n" / "checkpoint.pt", tmp_path / "m")
    with pytest.raises(PretrainingError, match="another file under this name"):
        hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "m", steps=5)


@pytest.mark.parametrize(
    "name",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "projection.safetensors",
        "training.json",
    ],
)
def test_a_flipped_bit_in_a_file_of_a_model_is_refused_by_all_that_open_it(trained, tmp_path, name):
    folder, _ = trained
    shutil.copytree(folder, tmp_path / "m")
    content = bytearray((tmp_path / "m" / name).read_bytes())
    content[-5] ^= 1
    (tmp_path / "m" / name).write_bytes(content)
    with pytest.raises(BackboneError, match=rf"{name.rpartition('/')[2]} is damaged") as refused:
        open_backbone(tmp_path / "m").identity()
    assert "\n" not in str(refused.value)
    if name.endswith("pytorch_model.safetensors"):
        with pytest.raises(BackboneError, match="is damaged or was replaced"):
            hsifeat.pretrain(Scene("small", small_cube()), out=tmp_path / "n", start=tmp_path / "m", steps=1)
        with pytest.raises(BackboneError, match="is damaged or was replaced"):
            open_backbone(tmp_path / "m" / name).identity()


SCENE_NETWORKS = ["mtmsd", "diffcrn", "spectraldiff", "multistage"]


@pytest.mark.parametrize("network", SCENE_NETWORKS)
def test_the_networks_of_paper_size_take_their_patches(network):
    spec = NETWORK_SPECS[network]["paper"]
    with torch.device("meta"):
        model = spec.build(spec.components or 200)
        image = torch.zeros(1, spec.components or 200, spec.patch_px, spec.patch_px)
        assert model(image, 0, return_dict=False)[0].shape == image.shape
        spec.build_objective(model)


@pytest.mark.parametrize("network", SCENE_NETWORKS)
def test_the_small_networks_train(network, tmp_path, monkeypatch):
    monkeypatch.setitem(NETWORK_SPECS, network, SHIPPED[network])
    boundaries = {"boundaries": [442, 631]} if network == "multistage" else {}
    out = hsifeat.pretrain(Scene("small", small_cube()), network=network, out=tmp_path / "m", steps=1, **boundaries)
    backbone, schedule = open_backbone(out), (out / "scheduler" / "scheduler_config.json").read_text()
    assert backbone.channels == min(SHIPPED[network]["small"].components, small_cube().shape[2])
    if network == "spectraldiff":
        assert backbone.schedule.timesteps == 500 and json.loads(schedule)["beta_schedule"] == "linear"
        assert np.abs(Projection.load(backbone.projection_file).apply(small_cube())).max() == pytest.approx(1)
    assert f"T = {backbone.schedule.timesteps}" in (out / "README.md").read_text()


def test_decoders_begin_where_the_optimal_denoisers_of_the_scene_change(tmp_path):
    heard = []
    scene = tiny_scene()
    out = hsifeat.pretrain(scene, network="multistage", out=tmp_path / "m", steps=1, listen=heard.append)
    boundaries = json.loads((out / "unet" / "config.json").read_text())["boundaries"]
    ranking = rank_timesteps(scene, projection=Projection.load(out / "projection.safetensors"), intervals=3)
    assert [0, *boundaries] == [first for first, _ in ranking.intervals]
    text = f"0, {boundaries[0]}, {boundaries[1]}"
    assert any(isinstance(event, Note) and event.message.endswith(f"begin at the timesteps {text}") for event in heard)
    record = json.loads((out / "training.json").read_text())
    assert record["settings"]["timesteps of a batch"] == f"in one interval between {text[3:]}"


def test_a_preset_decides_the_options_that_are_not_set(tmp_path):
    (tmp_path / "own.toml").write_text(
        'title = "own"\nsource = "none"\n[pretrain]\nnetwork = "mtmsd"\ncomponents = 5\nsteps = 3\n[extract]\n'
    )
    config = resolve_training(tmp_path / "own.toml", steps=2, size=None)
    assert (config.components, config.steps, config.size) == (5, 2, "small")
    assert config.model_fields_set == {"steps"}
    (tmp_path / "bad.toml").write_text('title = "b"\nsource = "n"\n[pretrain]\ncomponents = "x"\n[extract]\n')
    with pytest.raises(HsifeatError, match=r"bad\.toml: pretrain\.components: "):
        resolve_training(tmp_path / "bad.toml")
