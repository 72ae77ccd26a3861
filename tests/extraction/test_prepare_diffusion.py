"""Preparing features of a network: its projection and the tiling."""

import numpy as np
import pytest
import torch

from hsifeat import ModuleBackbone, NoiseSchedule
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


@pytest.mark.parametrize(
    ("total", "expected"), [(1000, [0, 50, 100, 200, 400]), (300, [0, 15, 30, 60, 120]), (4, [0, 1])]
)
def test_default_timesteps_are_in_proportion_to_those_of_the_backbone(scene, total, expected):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Conv2d(3, 3, 3, padding=1))
    schedule = NoiseSchedule.from_betas(np.linspace(1e-4, 0.02, total))
    backbone = ModuleBackbone(module, schedule, 3, name="own", call=lambda network, noisy, _: network(noisy))
    notes = []
    job = prepare(scene, backbone=backbone, projection="bands:0,1,2", tile=32, halo=8, listen=notes.append)
    assert sorted({plane.id.t for plane in job.planes}) == expected
    assert "2 of 2 layers by default: 0, 1; `layers` selects others" in [note.message for note in notes]
    with pytest.raises(HsifeatError, match=f"timestep {total} is out of range"):
        prepare(scene, backbone=backbone, projection="bands:0,1,2", timesteps=[total], tile=32, halo=8)
