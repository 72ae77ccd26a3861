"""Trainings on several scenes: common projection, held-out blocks, record and card, command line, refusals."""

import json
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

import hsifeat
from hsifeat.commands.app import app
from hsifeat.errors import HsifeatError, PretrainingError
from hsifeat.pretraining.data import fit_scenes, prepare_scenes
from hsifeat.pretraining.model_writer import WEIGHTS
from hsifeat.projection import Projection
from hsifeat.runtime.events import Note, silent
from hsifeat.scenes import Scene
from tests.helpers.small import small_cube
from tests.helpers.tiny_training import TINY, tiny_scene, use_tiny


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    use_tiny(monkeypatch)


@pytest.fixture(scope="module")
def pair():
    return tiny_scene(name="north"), tiny_scene(seed=1, rows=90, name="south")


@pytest.fixture(scope="module")
def trained(pair, tmp_path_factory):
    out = tmp_path_factory.mktemp("pair") / "model"
    notes = []
    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch)
        hsifeat.pretrain(pair, out=out, steps=8, listen=notes.append)
    return out, [note.message for note in notes if isinstance(note, Note)]


def test_the_record_names_all_scenes_in_order(pair, trained):
    out, _ = trained
    record = json.loads((out / "training.json").read_text())
    assert [(s["name"], s["digest"]) for s in record["scenes"]] == [(s.name, s.digest) for s in pair]
    with pytest.raises(
        PretrainingError, match=r"another scene \(stored: north and south; this training: south and north\)"
    ):
        hsifeat.pretrain(pair[::-1], out=out, steps=8)
    with pytest.raises(PretrainingError, match=r"another scene \(stored: north and south; this training: north\)"):
        hsifeat.pretrain(pair[0], out=out, steps=8)


def test_the_projection_is_of_all_pixels_of_all_scenes(pair, trained):
    from sklearn.decomposition import PCA

    pixels = np.concatenate([scene.cube[scene.valid] for scene in pair]).astype(np.float64)
    oracle = PCA(4, svd_solver="full", whiten=True).fit(pixels)
    result = Projection.load(trained[0] / "projection.safetensors").apply(pixels)
    np.testing.assert_allclose(np.abs(result), np.abs(oracle.transform(pixels)), atol=2e-3)


def test_held_out_blocks_are_evaluated_and_reported(pair, trained):
    out, notes = trained
    record = json.loads((out / "training.json").read_text())
    assert list(record["held_out"]) == ["4", "8"]
    assert all(len(losses) == 10 and np.isfinite(losses).all() for losses in record["held_out"].values())
    blocks = [len(scene["held_out"]) for scene in record["scenes"]]
    assert sum(blocks) > 0
    assert any(f"{sum(blocks)} block" in note and "% of all patches touch" in note for note in notes)
    card = (out / "README.md").read_text()
    row, col, *_ = next(scene["held_out"] for scene in record["scenes"] if scene["held_out"])[0]
    mean = np.mean(record["held_out"]["8"])
    for text in ("north", "south", f"16 x 16 px at row {row}, column {col}", f"{mean:.4f} |", "| 8 |"):
        assert text in card


def test_the_card_gives_the_command_to_train_it_again(trained):
    card = (trained[0] / "README.md").read_text()
    assert "hsifeat pretrain north south --network mtmsd --size small --seed 0 --steps 8 --out DIR" in card


def test_a_scene_too_small_to_hold_anything_out_says_so(tmp_path):
    notes = []
    cube = small_cube(rows=24, cols=24)
    hsifeat.pretrain(Scene("field", cube), out=tmp_path / "m", steps=2, listen=notes.append)
    assert any("field: too small to hold out a block" in note.message for note in notes if isinstance(note, Note))
    assert json.loads((tmp_path / "m" / "training.json").read_text())["held_out"] == {}
    assert "Nothing was held out" in (tmp_path / "m" / "README.md").read_text()


def test_held_out_blocks_are_the_same_for_every_seed(pair):
    one, other = (
        prepare_scenes(pair, fit_scenes(pair, TINY, None, silent), TINY, seed, silent).identity["scenes"]
        for seed in (0, 1)
    )
    assert one == other


def test_the_command_takes_further_scenes(tmp_path):
    for name, seed in (("north", 0), ("south", 1)):
        np.save(tmp_path / f"{name}.npy", small_cube(seed=seed))
    command = ["pretrain", str(tmp_path / "north.npy"), str(tmp_path / "south.npy"), "--steps", "1"]
    ended = CliRunner().invoke(app, [*command, "--nodata", "7", "--out", str(tmp_path / "m")])
    assert ended.exit_code == 0, ended.output
    record = json.loads((tmp_path / "m" / "training.json").read_text())
    assert [scene["name"] for scene in record["scenes"]] == ["north", "south"]
    assert f"north.npy {tmp_path / 'south.npy'} --nodata 7.0" in record["command"]


def test_the_command_of_the_model_card_trains_the_same_model(tmp_path):
    np.save(tmp_path / "a.npy", small_cube())
    options = ["--network", "multistage", "--boundaries", "300,700", "--components", "3", "--steps", "1"]
    command = ["pretrain", str(tmp_path / "a.npy"), *options]
    for folder in ("first", "second"):
        ended = CliRunner().invoke(app, [*command, "--out", str(tmp_path / folder)])
        assert ended.exit_code == 0, ended.output
        _, *command = shlex.split(json.loads((tmp_path / "first" / "training.json").read_text())["command"])
    weights = [(tmp_path / folder / WEIGHTS).read_bytes() for folder in ("first", "second")]
    assert weights[0] == weights[1]


def masked(cube, where):
    changed = cube.astype(np.float32)
    changed[where] = np.nan
    return changed


CUBE = small_cube()
NAN_BAND = masked(CUBE, np.s_[..., 3])
EDGES = masked(CUBE, np.s_[8:, 4:])


@pytest.mark.parametrize(
    ("scenes", "message"),
    [
        pytest.param([Scene("tiny", CUBE[:15])], "tiny is 15 x 53 px, smaller than a patch of 16", id="small"),
        pytest.param([Scene("empty", np.full(CUBE.shape, np.nan))], "empty has no valid pixel", id="masked"),
        pytest.param(
            [Scene("holed", NAN_BAND)],
            r"the bands 3 \(.*\) have no valid value.*`bad_bands='3'`",
            id="NaN band",
        ),
        pytest.param([Scene("flat", np.full(CUBE.shape, 7.0))], "flat: .* all valid pixels are equal", id="constant"),
        pytest.param(
            [Scene("poor", CUBE[..., :1] * np.arange(1.0, 13))],
            "pca:4 can't be fitted, .* 1 significant components",
            id="one component",
        ),
        pytest.param([Scene("edges", EDGES)], "edges has no valid pixel in the middle of a patch of 16 px", id="edges"),
        pytest.param(
            [Scene("a", CUBE), Scene("b", CUBE[..., 1:])], "b has 11 bands and a has 12, and the wave", id="bands"
        ),
        pytest.param([Scene("a", CUBE), Scene("b", CUBE[:9])], "b is 9 x 53 px, smaller", id="second small"),
        pytest.param([], "there is no scene to train on", id="none"),
    ],
)
def test_unusable_scenes_are_refused_in_one_line(tmp_path, scenes, message):
    with pytest.raises(HsifeatError, match=message) as refusal:
        hsifeat.pretrain(scenes, out=tmp_path / "m", steps=1)
    assert "\n" not in str(refusal.value)
    assert not any(tmp_path.iterdir())
