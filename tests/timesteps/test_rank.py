"""Ranking timesteps as a caller does it, and extraction with timesteps that are chosen."""

import json

import numpy as np
import pytest

from hsifeat import Scene, open_scene, pretrain, rank_timesteps
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.projection import fit_projection
from hsifeat.projection.image import ArrayImage
from hsifeat.runtime.events import Note
from hsifeat.timesteps.rank import cosine_schedule
from hsifeat.timesteps.ranking_plot import plot_ranking
from tests.helpers.small import save_latent, small_cube


def test_the_cosine_schedule_is_nichol_and_dhariwals():
    at = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.minimum(1 - at[1:] / at[:-1], 0.999)
    np.testing.assert_allclose(cosine_schedule().alphas_cumprod, np.cumprod(1 - betas), rtol=1e-3, atol=1e-8)


def test_without_a_backbone(scene, monkeypatch):
    monkeypatch.setattr("hsifeat.timesteps.rank._DRAWS", 64)
    result = rank_timesteps(scene, budget=3)
    assert result.backbone is None and result.angles is None and result.planes is None
    assert result.timesteps == tuple(range(0, 1000, 25)) and len(result.proposal) == 3
    assert set(result.proposal) == {result.timesteps[i] for i in result.order.order[:3]}
    assert (result.projection, result.patch_px) == ("pca:10", 1)
    said = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert said["proposal"] == list(result.proposal) and said["angles"] is None
    np.testing.assert_array_equal(said["similarity"], result.denoiser.similarity)
    assert [row["t"] for row in result.rows() if row["cache"]] == [result.timesteps[i] for i in result.order.order[:3]]


def test_with_backbone_and_store(scene, backbone_folder, features, tmp_path):
    events = []
    result = rank_timesteps(scene, backbone=backbone_folder, store=features, budget=1, listen=events.append)
    assert result.timesteps == (0, 300) and result.proposal == (0,)
    assert result.similarity is result.planes.similarity
    assert result.angles.space == "channels" and result.angles.degrees[0] < result.angles.degrees[1]
    assert result.notes == tuple(e.message for e in events if isinstance(e, Note))
    plot_ranking(result, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(HsifeatError, match=r"a plot of timesteps is a .png file; found 'a.jpg'"):
        plot_ranking(result, tmp_path / "a.jpg")


def test_notes_say_that_angles_are_between_latents(scene, tmp_path):
    save_latent(tmp_path / "sd")
    result = rank_timesteps(scene, backbone=tmp_path / "sd", prompt="", timesteps=[0, 500], budget=1, projection="rgb")
    assert result.angles.space == "latents"
    assert any("are between latents, which can't be mapped to spectra" in note for note in result.notes)


def test_bands_are_matched_with_those_of_the_projection_and_of_the_training(tmp_path):
    """They were taken in their order, so that scenes with descending bands had another ranking."""
    values, nm = np.random.default_rng(0).normal(size=(40, 40, 6)).astype(np.float32), np.linspace(450, 900, 6)
    first, turned = Scene("first", values, nm), Scene("turned", values[..., ::-1].copy(), nm[::-1])
    pretrain(first, out=tmp_path / "m", network="mtmsd", size="small", components=3, steps=1)
    for options in ({"projection": fit_projection("pca:3", first)}, {"backbone": tmp_path / "m"}):
        events = []
        results = [
            rank_timesteps(scene, timesteps=[0, 300, 600], budget=1, **options, listen=events.append)
            for scene in (first, turned)
        ]
        similarities = [result.denoiser.similarity for result in results]
        np.testing.assert_array_equal(*similarities)
        np.testing.assert_array_equal(results[0].order.order, results[1].order.order)
        assert any("turned: 6 of 6 bands are taken" in event.message for event in events if isinstance(event, Note))


def test_all_timesteps_of_a_small_store_are_proposed_by_default(scene, store_path):
    result = rank_timesteps(scene, store=store_path, timesteps=[0, 300])
    assert result.proposal == (0, 300)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        pytest.param({"budget": 0}, HsifeatError, "40 timesteps are compared, so the budget is 1 to 40; found 0", id="zero"),
        pytest.param({"class_label": 3}, HsifeatError, "no effect without the name of a backbone: `class_label`", id="label"),
        pytest.param({"timesteps": []}, HsifeatError, "timesteps has no timestep to compare", id="none"),
        pytest.param({"budget": 3, "timesteps": [0, 5]}, HsifeatError, "the budget is 1 to 2; found 3", id="many"),
        pytest.param({"timesteps": [0, 1000]}, HsifeatError, "timestep 1000 is out of range", id="range"),
        pytest.param({"intervals": 0}, HsifeatError, "divided into 1 or more intervals; found 0", id="intervals"),
        pytest.param({"patch": 0}, HsifeatError, "at least 1 pixel; found 0", id="patch"),
        pytest.param({"patch": 60}, SceneError, "0 patches of 60 x 60 px with only valid pixels.*take smaller", id="large"),
        pytest.param({"layer": "mid_block"}, HsifeatError, "needs a store that contains it: name one with `store`", id="layer"),
        pytest.param({"store": "STORE", "layer": "x"}, StoreError, "no complete planes of a layer 'x'", id="unknown"),
        pytest.param({"store": "STORE", "timesteps": [0, 7]}, StoreError, "no complete plane of .* at t = 7; it has 0, 300", id="t"),
    ],
)  # fmt: skip
def test_wrong_input_has_one_clear_message(scene, store_path, options, error, message):
    options = {name: store_path if value == "STORE" else value for name, value in options.items()}
    with pytest.raises(error, match=message) as refused:
        rank_timesteps(scene, **options)
    assert "\n" not in str(refused.value)


def test_a_scene_with_other_bands_is_refused(scene, backbone_folder, store_path, tmp_path):
    few = Scene("few", small_cube(75, 53, 7))
    with pytest.raises(StoreError, match=r"75 x 53 x 12 \(rows, cols, bands\); few has 75 x 53 x 7"):
        rank_timesteps(few, store=store_path)
    fitted = fit_projection("pca:3", scene)
    with pytest.raises(HsifeatError, match="pca:3 was fitted for 12 bands; few has 7"):
        rank_timesteps(few, backbone=backbone_folder, projection=fitted)


@pytest.mark.parametrize("kind", ["values", "mask", "array"])
def test_a_scene_of_the_same_shape_with_other_values_or_valid_pixels_is_refused(scene, store_path, kind):
    other = {
        "values": lambda: Scene("other", scene.cube + np.eye(75, 53, dtype=np.uint16)[..., None]),
        "mask": lambda: Scene("other", scene.cube, mask=np.eye(75, 53) == 0),
        "array": lambda: ArrayImage("other", scene.cube[::-1], scene.valid),
    }[kind]()
    with pytest.raises(
        StoreError, match=r"made from another scene \(small\) than other: values, order of bands or valid pixels differ"
    ):
        rank_timesteps(other, store=store_path)


@pytest.fixture
def _few(monkeypatch):
    """Compare only a few timesteps on one tile, because the tests do not depend on the ranking itself."""
    for name, value in {"_COMPARED": 8, "_TILES": 1, "_DRAWS": 64}.items():
        monkeypatch.setattr(f"hsifeat.timesteps.rank.{name}", value)


def test_indian_pines_needs_no_labels(data_folder):
    scene = open_scene("indian-pines")
    bare = Scene("bare", scene.cube, mask=scene.valid)
    first, second = (rank_timesteps(one, timesteps=range(0, 1000, 125)) for one in (scene, bare))
    np.testing.assert_array_equal(first.denoiser.similarity, second.denoiser.similarity)
    assert first.proposal == second.proposal
    # Neighbouring timesteps are more alike than far ones, up to the ends, where all is noise or nothing is.
    similarity = rank_timesteps(bare).denoiser.similarity
    assert (np.diagonal(similarity, 1)[2:-2] > np.diagonal(similarity, 8)[:29].max()).all()
