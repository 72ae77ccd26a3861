"""Preparing context features: the recipe, and the options that have no effect."""

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.extraction import context_extractor
from tests.helpers.extraction import prepare


def test_the_recipe_holds_no_option_of_networks(scene, tmp_path):
    job = prepare(scene, backbone="context", out=tmp_path / "s.zarr")
    assert set(job.recipe.canonical()) == {"algorithm", "scene", "projection", "backbone", "precision"}
    assert job.recipe.backbone["kind"] == "context" and job.recipe.projection.spec.startswith("pca:")
    assert {plane.id.t for plane in job.planes} == {0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 32}, "no effect with `backbone='context'`: `tile`"),
        ({"noise": "none", "seed": 1}, "`noise`, `seed`"),
        ({"pixels": "fields"}, "`pixels`"),
        ({"batch": 4}, "`batch`"),
        ({"prompt": "a field"}, "takes no prompt"),
        ({"class_label": 3}, "takes no class label"),
        ({"timesteps": [0, 50]}, "timestep 0; found 0, 50"),
        ({"timesteps": "auto:3"}, "found auto:3"),
        ({"device": "cuda"}, "runs on the CPU"),
        ({"layers": ["mean-4"]}, "odd numbers"),
    ],
)
def test_options_without_effect_are_refused(scene, tmp_path, options, message):
    with pytest.raises(HsifeatError, match=message):
        prepare(scene, backbone="context", out=tmp_path / "s.zarr", **options)


def test_reconstruction_of_a_scene_that_is_too_large_is_refused(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(context_extractor, "RECONSTRUCTION_LIMIT_BYTES", 100_000)
    with pytest.raises(HsifeatError, match=r"leave them out with `layers='mean-25,mean-45.*profile-33'`$"):
        prepare(scene, backbone="context", out=tmp_path / "s.zarr")
    prepare(scene, backbone="context", layers=["mean-5"], out=tmp_path / "s.zarr")
