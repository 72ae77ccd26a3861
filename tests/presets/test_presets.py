"""Presets: each built-in one is valid and has the numbers of its paper; a user's own file is validated."""

import json

import numpy as np
import pytest
import torch

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.extraction.resolve import resolve_config
from hsifeat.presets import open_preset, preset_names, preset_options
from hsifeat.pretraining.config import resolve_training
from hsifeat.projection.projection import Projection
from hsifeat.projection.spec import parse_projection
from hsifeat.scenes import Scene
from tests.helpers.adm_oracle import Plan
from tests.helpers.extraction import plan, prepare
from tests.helpers.tiny_training import use_tiny


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_reads_and_tells_its_source(name):
    preset = open_preset(name)
    assert preset.title and preset.source and preset.differs
    config = resolve_config({}, preset=name)
    assert {
        "backbone",
        "timesteps",
        "layers",
        "tile",
    } <= preset.extract.keys() and config.inherited_from == f"the preset {name}"
    # A backbone that is trained on the scene brings the projection that it was trained behind.
    assert preset.pretrain or parse_projection(config.projection)


def test_the_presets_are_those_of_the_papers():
    assert preset_names() == [
        "cleandift", "ddpm-segmentation", "diffcrn", "dift", "geodiffnet-augsburg", "geodiffnet-berlin", "hyperfeatures",
        "mtmsd-houston2018", "mtmsd-indian-pines", "mtmsd-longkou", "mtmsd-pavia-university", "multistage", "multistage-small",
        "natural32", "natural32-rms", "spectraldiff-indian-pines", "spectraldiff-small",
    ]  # fmt: skip
    augsburg, berlin = (preset_options(f"geodiffnet-{scene}", "extract") for scene in ("augsburg", "berlin"))
    assert (augsburg["layers"], augsburg["timesteps"]) == (["output_blocks.10"], [0])
    assert (berlin["layers"], berlin["timesteps"]) == (["output_blocks.11"], [50])
    rule = parse_projection(augsburg["projection"])
    assert (rule.numbers, rule.joint, rule.percentiles, rule.gamma) == ((21, 11, 6), True, (0, 100), 0.4)
    assert parse_projection(berlin["projection"]).numbers == (40, 30, 15)
    segmentation = preset_options("ddpm-segmentation", "extract")
    assert segmentation["timesteps"] == [50, 150, 250] and segmentation["noise"] == "shared"
    assert segmentation["layers"] == [f"output_blocks.{i}" for i in (5, 6, 7, 8, 12)]
    hyper = preset_options("hyperfeatures", "extract")
    assert len(hyper["layers"]) == 12 and len(hyper["timesteps"]) == 11 and hyper["noise"] == "inversion:50"
    spectral = preset_options("spectraldiff-indian-pines", "extract")
    assert (spectral["timesteps"], spectral["layers"], spectral["tile"]) == ([5], ["skips.2"], 64)
    assert preset_options("dift", "extract")["draws"] == 8 and preset_options("cleandift", "extract")["noise"] == "none"


@pytest.mark.parametrize(
    ("scene", "components"), [("indian-pines", 25), ("pavia-university", 13), ("houston2018", 6), ("longkou", 34)]
)
def test_mtmsd_is_trained_and_extracted_with_the_papers_numbers(scene, components):
    preset = open_preset(f"mtmsd-{scene}")
    own = {"network", "size", "components", "steps", "learning_rate"}
    assert resolve_training(f"mtmsd-{scene}").model_dump(include=own) == {
        "network": "mtmsd", "size": "paper", "components": components, "steps": 40_000, "learning_rate": None,
    }  # fmt: skip
    options = preset.extract
    assert options["timesteps"] == [50 * i for i in range(1, 20)] and options["tile"] == 48
    assert options["layers"] == [f"output_blocks.{i}" for i in (0, 1, 2, 3, 5)]
    assert (options["noise"], options["padding"], options["pixels"]) == ("shared", "zero", "ground-truth")


def test_a_preset_trains_and_extracts(scene, tmp_path, monkeypatch):
    """What is given comes before what the preset says; timesteps that it leaves open are chosen."""
    use_tiny(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'title = "x"\nsource = "y"\n[pretrain]\nnetwork = "diffcrn"\ncomponents = 3\nsteps = 9\n'
        '[extract]\nbackbone = "mine"\ntimesteps = "auto:2"\n'
    )
    hsifeat.pretrain(scene, preset="mine.toml", steps=2, out="mine")
    record = json.loads((tmp_path / "mine" / "training.json").read_text())
    assert (record["network"], record["size"], record["steps"]) == ("diffcrn", "small", 2)
    assert Projection.load(tmp_path / "mine" / "projection.safetensors").channels == 3
    job = prepare(scene, preset="mine.toml", out="a.zarr")
    assert {plane.id.layer for plane in job.planes} == {"spatial.0", "spatial.1", "spectral.0", "spectral.1"}
    assert len({plane.id.t for plane in job.planes}) == 2
    job = prepare(scene, preset="mine.toml", timesteps=[7], out="b.zarr")
    assert {plane.id.t for plane in job.planes} == {7}


def test_a_preset_without_training_trains_nothing(scene, tmp_path):
    with pytest.raises(HsifeatError, match=r"the preset dift has no section \[pretrain\]"):
        hsifeat.pretrain(scene, preset="dift", out=tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = ", "is not TOML"),
        ('title = "x"\nsource = "y"', r"has no section \[extract\]"),
        ('title = "x"\n[extract]', "source: required, but not set"),
        ('title = "x"\nsource = "y"\n[extract]\ntiles = 3', r"extract\.tiles: unknown option; nearest: tile"),
        (
            'title = "x"\nsource = "y"\ntile = 3\n[extract]',
            "tile: unknown option; nearest: title",
        ),
        pytest.param("tile = " + "9" * 5000, "is not TOML", id="5000-digits"),
        pytest.param("tile = " + "[" * 5000, "is not TOML", id="5000-lists"),
        ('title = "x"\nsource = "y"\n[extract]\nclass_label = true', r"extract\.class_label"),
        ('title = "x"\nsource = "y"\n[extract]\ntimesteps = "auto"', r"extract\.timesteps"),
        (
            'title = "x"\nsource = "y"\n[extract]\ntile = "wide"',
            r"extract\.tile: expected a whole number; found 'wide'",
        ),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, content, message):
    (tmp_path / "mine.toml").write_text(content)
    with pytest.raises(HsifeatError, match=f"^the preset .*mine.toml:? .*{message}") as raised:
        resolve_config({}, preset=tmp_path / "mine.toml")
    assert "\n" not in str(raised.value)


def test_a_wrong_training_is_one_clear_line(tmp_path):
    (tmp_path / "mine.toml").write_text('title = "x"\nsource = "y"\n[pretrain]\nepochs = 3')
    with pytest.raises(
        HsifeatError, match=r"^the preset .*mine\.toml: pretrain\.epochs: unknown option; nearest: steps"
    ):
        resolve_training(tmp_path / "mine.toml")


def test_an_unknown_name_is_told():
    with pytest.raises(HsifeatError, match="no preset 'geodiffnet'; .*geodiffnet-augsburg"):
        open_preset("geodiffnet")
    with pytest.raises(HsifeatError, match="can't be read"):
        open_preset("nowhere.toml")


@pytest.fixture
def adm64(tmp_path, monkeypatch):
    """A small checkpoint in the current folder, with the levels of ADM-64 and the file name for which the preset looks."""
    torch.save(
        Plan(
            model_channels=32,
            mult=(1, 2, 3, 4),
            residual_blocks=3,
            attention_at=(2, 4, 8),
            heads=2,
            new_order=True,
            classes=5,
        ).draw(),
        tmp_path / "64x64_diffusion.pt",
    )
    facts = 'heads = 2\nattention_order = "new"\nnoise_schedule = "cosine"\ntimesteps = 1000\n'
    (tmp_path / "64x64_diffusion.pt.toml").write_text(facts)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "rows", "cols", "windows"), [("augsburg", 332, 485, 150), ("berlin", 1723, 476, 742)])
@pytest.mark.usefixtures("adm64")
def test_geodiffnet_plans_the_papers_windows(name, rows, cols, windows):
    """Its own count: windows of 64 px at a stride of 32 over the padded sides."""
    padded = [((side - 64) // 32 + 1) * 32 + 64 for side in (rows, cols)]
    assert windows == ((padded[0] - 64) // 32 + 1) * ((padded[1] - 64) // 32 + 1)
    cube = np.random.default_rng(0).integers(1, 99, (rows, cols, 41), np.uint8)
    job = prepare(Scene(name, cube), preset=f"geodiffnet-{name}", out="store.zarr")
    tiles = {tile for unit in plan(job).unit_tiles for tile in job.extractor.tiling.tiles(unit.window)}
    assert len(tiles) == windows


def test_what_a_preset_asks_for_is_said_to_be_the_presets(scene, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HsifeatError, match=r"takes no prompt; .*the preset dift has prompt '': set other values"):
        prepare(scene, preset="dift", backbone=backbone_folder)
    with pytest.raises(HsifeatError, match="the preset hyperfeatures has backbone 'stable-diffusion-v1-5'"):
        prepare(scene, preset="hyperfeatures")
    with pytest.raises(HsifeatError, match="`preset` and `like` both say"):
        prepare(scene, preset="dift", like="ip")


def test_a_preset_of_windows_is_read(tmp_path):
    """The Notepad of Windows writes a byte order mark, and ends lines with CRLF."""
    text = 'title = "a"\r\nsource = "b"\r\n[extract]\r\ntimesteps = [3]\r\n'
    (tmp_path / "p.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert preset_options(tmp_path / "p.toml", "extract") == {"timesteps": [3]}


@pytest.mark.parametrize("content", ["a" + ".a" * 20_000 + "=1", "title = '" + "x" * 10**6 + "'"])
def test_a_long_preset_is_refused_before_it_is_parsed(tmp_path, content):
    (tmp_path / "p.toml").write_text(content)
    with pytest.raises(HsifeatError, match="is longer than 16,384 bytes"):
        preset_options(tmp_path / "p.toml", "extract")


def test_a_preset_may_differ_in_nothing_from_its_source(tmp_path):
    (tmp_path / "p.toml").write_text('title = "a"\nsource = "b"\ndiffers = []\n[extract]\ntimesteps = [3]\n')
    assert open_preset(tmp_path / "p.toml").differs == ()
