"""Preparing features of a network: its projection and the tiling."""

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from tests.helpers.extraction import prepare
from tests.helpers.small import save_unet


def test_a_backbone_brings_its_projection(scene, tmp_path):
    save_unet(tmp_path / "b", channels=4)
    fitted = fit_projection("pca:4", Scene("part", scene.cube[:30]))
    fitted.save(tmp_path / "b" / "projection.safetensors")
    job = prepare(scene, backbone=tmp_path / "b", tile=32, halo=8, out=tmp_path / "s.zarr")
    assert job.recipe.projection.digest == fitted.digest
    assert (
        prepare(scene, backbone=tmp_path / "b", projection="pca:4", tile=32, halo=8).recipe.projection.digest
        != fitted.digest
    )
    with pytest.raises(HsifeatError, match="fitted for 12 bands; fewer has 9"):
        prepare(Scene("fewer", scene.cube[:, :, :9]), backbone=tmp_path / "b", tile=32, halo=8)


def test_an_origin_at_its_default_is_the_default(scene, backbone_folder):
    options = {"backbone": backbone_folder, "timesteps": [0], "tile": 32, "halo": 8}
    assert prepare(scene, **options, origin=(-8, -8)).recipe.key == prepare(scene, **options).recipe.key
