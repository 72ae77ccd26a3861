"""Ranking timesteps as a caller does it, and extraction with timesteps that are chosen."""

import json

import numpy as np
import pytest

from hsifeat import Scene, extract, open_scene, rank_timesteps
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.extraction.prepare import prepare
from hsifeat.projection import fit_projection
from hsifeat.runtime.events import Note
from hsifeat.timesteps.rank import cosine
from hsifeat.timesteps.scene_patches import sample_patches
from tests.helpers.small import save_latent, small_cube


def test_patches_are_those_of_the_scene():
    cube = small_cube(40, 30, 4).astype(np.float32)
    cube[:, 10:14] = np.nan
    scene = Scene("striped", cube)
    projection = fit_projection("pca:3", scene)
    patches = sample_patches(scene, projection, 4, 10_000, seed=0)
    whole = projection.apply(cube)
    expected = [
        whole[row : row + 4, col : col + 4].ravel()
        for row in range(37)
        for col in range(27)
        if np.isfinite(whole[row : row + 4, col : col + 4]).all()
    ]
    np.testing.assert_allclose(patches, expected, rtol=1e-5, atol=1e-5)
    few = sample_patches(scene, projection, 4, 50, seed=0)
    assert few.shape == (50, 48) and len(np.unique(few, axis=0)) == 50


def test_patches_on_borders_of_blocks(monkeypatch):
    scene = Scene("s", small_cube(33, 21, 4))
    projection = fit_projection("pca:2", scene)
    whole = sample_patches(scene, projection, 4, 200, seed=1)
    monkeypatch.setattr("hsifeat.scenes.blocks.VALUES_AT_A_TIME", 4 * 50)
    np.testing.assert_array_equal(sample_patches(scene, projection, 4, 200, seed=1), whole)


def test_the_cosine_schedule_is_nichol_and_dhariwals():
    at = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.minimum(1 - at[1:] / at[:-1], 0.999)
    np.testing.assert_allclose(cosine().alphas_cumprod, np.cumprod(1 - betas), rtol=1e-3, atol=1e-8)


def test_without_a_backbone(scene):
    found = rank_timesteps(scene, budget=3)
    assert found.backbone is None and found.angles is None and found.planes is None
    assert found.timesteps == tuple(range(0, 1000, 25)) and len(found.proposal) == 3
    assert set(found.proposal) == {found.timesteps[i] for i in found.order.order[:3]}
    assert (found.projection, found.patch_px) == ("pca:10", 1)
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["proposal"] == list(found.proposal) and said["angles"] is None
    np.testing.assert_array_equal(said["similarity"], found.denoiser.similarity)
    assert [row["t"] for row in found.rows() if row["cache"]] == [found.timesteps[i] for i in found.order.order[:3]]


def test_with_backbone_and_store(scene, backbone_folder, features, tmp_path):
    events = []
    found = rank_timesteps(scene, backbone=backbone_folder, store=features, budget=1, listen=events.append)
    assert found.timesteps == (0, 300) and found.proposal == (0,)
    assert found.redundancy is found.planes.similarity
    assert found.angles.within == "channels" and found.angles.degrees[0] < found.angles.degrees[1]
    assert found.notes == tuple(e.message for e in events if isinstance(e, Note))
    found.picture(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(HsifeatError, match=r"the picture of timesteps is a .png; found 'a.jpg'"):
        found.picture(tmp_path / "a.jpg")


def test_latent_backbones_say_what_their_angles_are_of(scene, tmp_path):
    save_latent(tmp_path / "sd")
    found = rank_timesteps(scene, backbone=tmp_path / "sd", prompt="", timesteps=[0, 500], budget=1, projection="rgb")
    assert found.angles.within == "latents"
    assert any("are of latents, which no spectrum can be made of" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        pytest.param({"budget": 0}, HsifeatError, "40 timesteps are compared: a budget is 1 to 40 of them; found 0", id="zero"),
        pytest.param({"budget": 3, "timesteps": [0, 5]}, HsifeatError, "a budget is 1 to 2 of them; found 3", id="many"),
        pytest.param({"timesteps": [0, 1000]}, HsifeatError, "timestep 1000 is out of range", id="range"),
        pytest.param({"timesteps": []}, HsifeatError, "0 timesteps are compared", id="none"),
        pytest.param({"intervals": 0}, HsifeatError, "cut into 1 or more intervals; found 0", id="intervals"),
        pytest.param({"patch": 0}, HsifeatError, "at least 1 pixel; found 0", id="patch"),
        pytest.param({"patch": 60}, SceneError, "0 places where a patch of 60 x 60 px is wholly valid.*take smaller", id="large"),
        pytest.param({"layer": "mid_block"}, HsifeatError, "looked for in a store: name one with --store", id="layer"),
        pytest.param({"store": "STORE", "layer": "x"}, StoreError, "no complete planes of a layer 'x'", id="unknown"),
        pytest.param({"store": "STORE", "timesteps": [0, 7]}, StoreError, "no complete plane of .* at t = 7; it has 0, 300", id="t"),
    ],
)  # fmt: skip
def test_wrong_input_has_one_clear_message(scene, store_path, options, error, message):
    options = {name: store_path if value == "STORE" else value for name, value in options.items()}
    with pytest.raises(error, match=message) as refused:
        rank_timesteps(scene, **options)
    assert "\n" not in str(refused.value)


def test_a_scene_of_other_bands(scene, backbone_folder, store_path, tmp_path):
    few = Scene("few", small_cube(75, 53, 7))
    with pytest.raises(StoreError, match=r"75 x 53 x 12 \(rows, cols, bands\); few has 75 x 53 x 7"):
        rank_timesteps(few, store=store_path)
    fitted = fit_projection("pca:3", scene)
    with pytest.raises(HsifeatError, match="pca:3 was fitted for 12 bands; few has 7"):
        rank_timesteps(few, backbone=backbone_folder, projection=fitted)


@pytest.fixture
def _few(monkeypatch):
    """Compare few timesteps on one tile: what is tested is what becomes of them."""
    for name, value in {"_PARTS": 8, "_TILES": 1, "_DRAWS": 64}.items():
        monkeypatch.setattr(f"hsifeat.timesteps.rank.{name}", value)


@pytest.mark.usefixtures("_few")
def test_extraction_takes_what_is_proposed(scene, backbone_folder, tmp_path):
    options = {"layers": ["mid_block"], "tile": 32, "halo": 8, "seed": 3, "projection": "pca:3"}
    proposed = rank_timesteps(scene, backbone=backbone_folder, budget=2, seed=3, projection="pca:3").proposal
    events = []
    store = extract(
        scene, backbone=backbone_folder, timesteps="auto:2", out=tmp_path / "a.zarr", listen=events.append, **options
    )
    assert sorted({plane.id.t for plane in store.planes}) == list(proposed)
    assert Note(f"auto:2 takes the timesteps {', '.join(map(str, proposed))}") in events
    plain = prepare(scene, backbone=backbone_folder, timesteps=proposed, out=tmp_path / "b.zarr", **options)
    assert plain.recipe.key == store.key and "auto" not in json.dumps(store.manifest.model_dump())
    again = prepare(scene, backbone=backbone_folder, timesteps="auto:2", out=tmp_path / "a.zarr", **options)
    assert again.plan.passes == 0
    more = prepare(scene, backbone=backbone_folder, timesteps="auto:3", out=tmp_path / "a.zarr", **options)
    assert set(proposed) < {plane.id.t for plane in more.plan.planes}
    like = prepare(scene, like=store, out=tmp_path / "c.zarr")
    assert sorted({plane.id.t for plane in like.plan.planes}) == list(proposed)


def test_an_inversion_is_taken_at_its_steps(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, timesteps="auto:2", noise="inversion:4", out=tmp_path / "a.zarr")
    assert {plane.id.t for plane in job.plan.planes} <= {0, 250, 500, 750}
    with pytest.raises(HsifeatError, match="auto:2 compares noised images, but with the noise none"):
        prepare(scene, backbone=backbone_folder, timesteps="auto:2", noise="none", out=tmp_path / "a.zarr")


def test_indian_pines_needs_no_labels(data_folder):
    scene = open_scene("indian-pines")
    bare = Scene("bare", scene.cube, mask=scene.valid)
    first, second = rank_timesteps(scene), rank_timesteps(bare)
    np.testing.assert_array_equal(first.denoiser.similarity, second.denoiser.similarity)
    assert first.proposal == second.proposal
    # Neighbouring timesteps are more alike than far ones, up to the ends, where all is noise or nothing is.
    similarity = first.denoiser.similarity
    assert (np.diagonal(similarity, 1)[2:-2] > np.diagonal(similarity, 8)[:29].max()).all()
