"""``auto:N``: an extraction takes the timesteps that `rank_timesteps` proposes."""

import json

import pytest

from hsifeat import extract, rank_timesteps
from hsifeat.errors import HsifeatError
from hsifeat.runtime.events import Note
from tests.helpers.extraction import plan, prepare


@pytest.fixture
def _few(monkeypatch):
    """Compare only a few timesteps on one tile, because the tests do not depend on the ranking itself."""
    for name, value in {"_COMPARED": 8, "_TILES": 1, "_DRAWS": 64}.items():
        monkeypatch.setattr(f"hsifeat.timesteps.rank.{name}", value)


@pytest.mark.usefixtures("_few")
def test_the_backbone_of_the_package_is_ranked_on_the_projection_of_an_extraction(scene, tmp_path):
    ranking = rank_timesteps(scene, backbone="natural32", timesteps=[50], budget=1)
    extracted = prepare(scene, backbone="natural32", out=tmp_path / "a.zarr").recipe.projection.spec
    assert ranking.projection == extracted == "pca:3:clip=2.5"


@pytest.mark.usefixtures("_few")
def test_auto_extracts_the_proposal(scene, backbone_folder, tmp_path):
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
    assert plan(again).passes == 0
    more = prepare(scene, backbone=backbone_folder, timesteps="auto:3", out=tmp_path / "a.zarr", **options)
    assert set(proposed) < {plane.id.t for plane in more.planes}
    like = prepare(scene, like=store, out=tmp_path / "c.zarr")
    assert sorted({plane.id.t for plane in like.planes}) == list(proposed)


def test_auto_proposes_steps_of_an_inversion(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, timesteps="auto:2", noise="inversion:4", out=tmp_path / "a.zarr")
    assert {plane.id.t for plane in job.planes} <= {0, 250, 500, 750}
    with pytest.raises(HsifeatError, match="auto:2 compares noised images, but `noise='none'` adds no noise"):
        prepare(scene, backbone=backbone_folder, timesteps="auto:2", noise="none", out=tmp_path / "a.zarr")
