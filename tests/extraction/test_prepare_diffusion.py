"""Preparing features of a network: its projection and the tiling."""

import numpy as np
import pytest
import torch

from hsifeat import ModuleBackbone, NoiseSchedule, open_backbone
from hsifeat.errors import HsifeatError
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from tests.helpers.extraction import prepare
from tests.helpers.own_networks import save
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


def _executed(network, t):
    """Return the names of the modules that a forward pass of `network` at timestep `t` executes."""
    names = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, module in network.named_modules()
    ]
    with torch.no_grad():
        network(torch.zeros(1, 6, 8, 8), t)
    for hook in hooks:
        hook.remove()
    return set(names)


def test_default_layers_are_those_that_the_network_executes_at_the_timesteps(scene, tmp_path):
    network = save("MultistageUNet", tmp_path / "b")
    blocks = {"mid_block", *(f"decoders.{d}.up_blocks.{n}" for d in range(3) for n in range(2))}
    options = {"backbone": open_backbone(tmp_path / "b"), "projection": "pca:6", "tile": 32, "halo": 8}
    for timesteps in (None, (441,), (50, 500), (700, 999), (0, 500, 700)):
        notes = []
        job = prepare(scene, **options, timesteps=timesteps, listen=notes.append)
        expected = {(t, name) for t in timesteps or (0, 50, 100, 200, 400) for name in blocks & _executed(network, t)}
        assert {(plane.id.t, plane.id.layer) for plane in job.planes} == expected
        extracted = {name for _, name in expected}
        (note,) = [note.message for note in notes] or [""]
        assert all(name in note for name in blocks - extracted) and not any(name in note for name in extracted)
    with pytest.raises(HsifeatError, match="at the timesteps 631 to 999 only; found 3"):
        prepare(scene, **options, timesteps=[3], layers=["mid_block", "decoders.2.up_blocks.0"])


def test_layers_of_a_preset_that_do_not_run_at_other_timesteps_are_left_out(scene, tmp_path):
    save("MultistageUNet", tmp_path / "b")
    (tmp_path / "p.toml").write_text(
        "title = 'p'\nsource = 'a test'\n[extract]\ntimesteps = [50, 500]\nprojection = 'pca:6'\ntile = 32\nhalo = 8\n"
        "layers = ['decoders.0.up_blocks.1', 'decoders.1.up_blocks.1']\n"
    )
    options, notes = {"preset": tmp_path / "p.toml", "backbone": open_backbone(tmp_path / "b")}, []
    job = prepare(scene, **options, timesteps=[500], listen=notes.append)
    assert [str(plane.id) for plane in job.planes] == ["t500/decoders.1.up_blocks.1"]
    assert "decoders.0.up_blocks.1 (0 to 441)" in notes[-1].message
    with pytest.raises(HsifeatError, match="computes the layer decoders.0.up_blocks.1 at the timesteps 0 to 441 only"):
        prepare(scene, **options, timesteps=[700])
