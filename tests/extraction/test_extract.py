"""Planes against whole forward passes on padded images with noise of diffusers, and extractions that are refused."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

import hsifeat
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window


def planes_of(store):
    return {str(plane.id): np.asarray(store.plane(plane.id)[:]) for plane in store.planes}


def plainly(scene, folder, t, layer, stride, tile, halo):
    """Compute a plane one tile after the other. Of hsifeat, only the projection and the noise field are used."""
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    taken = {}
    network.get_submodule(layer).register_forward_hook(
        lambda _m, _i, out: taken.update(out=out[0] if isinstance(out, tuple) else out)
    )
    pad = tile
    channels = fit_projection("rgb", scene).apply(scene.cube) * (scene.cube != 0).any(axis=2, keepdims=True)
    image = np.pad(channels, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    core = tile - 2 * halo
    down, across = -(-scene.rows // core), -(-scene.cols // core)
    plane = None
    for i in range(down):
        for j in range(across):
            row, col = i * core - halo, j * core - halo
            clean = image[row + pad : row + pad + tile, col + pad : col + pad + tile].transpose(2, 0, 1)[None]
            noise = noise_field(Window(row, col, tile, tile), 3, 0)[None]
            noised = scheduler.add_noise(*map(torch.tensor, (clean, noise)), torch.tensor([t]))
            with torch.no_grad():
                network(noised, t)
            cells = taken["out"][0].permute(1, 2, 0).numpy()
            edge, side = halo // stride, core // stride
            if plane is None:
                plane = np.empty((down * side, across * side, cells.shape[2]), np.float32)
            plane[i * side : (i + 1) * side, j * side : (j + 1) * side] = cells[edge : edge + side, edge : edge + side]
    return plane[: -(-scene.rows // stride), : -(-scene.cols // stride)]


@pytest.fixture
def forwards(monkeypatch):
    """Count the tiles of each forward."""
    counted = []
    plain = UNet2DBackbone.forward_to

    def counting(self, images, t, layers):
        counted.append(len(images))
        return plain(self, images, t, layers)

    monkeypatch.setattr(UNet2DBackbone, "forward_to", counting)
    return counted


def test_masked_areas_cost_no_forward_and_hold_zeros(scene, backbone_folder, tmp_path, forwards):
    """Of the 20 cores of 16 px, the four upper left cores and a margin are masked. One of the four has a single valid pixel.

    Three forward passes are left out at each timestep.
    """
    cube = scene.cube.copy()
    cube[:34, :34] = 0
    cube[20, 20] = scene.cube[20, 20]
    holed = Scene("holed", cube, scene.wavelengths_nm)
    options = {"backbone": backbone_folder, "timesteps": [0, 300], "layers": ["up_blocks.0"], "tile": 32, "halo": 8}
    store = hsifeat.extract(holed, **options, out=tmp_path / "s.zarr")
    assert sum(forwards) == 2 * (20 - 3), "5 x 4 cores at two timesteps, without three"
    assert store.manifest.recipe["tiling"]["masked"] == "skipped"
    for t in (0, 300):
        found = np.asarray(store.plane(PlaneId(t, "up_blocks.0"))[:]).astype(np.float32)
        wanted = plainly(holed, backbone_folder, t, "up_blocks.0", 2, 32, 8)
        wanted[:16, :16] *= np.kron(np.array([[0, 0], [0, 1]]), np.ones((8, 8)))[..., None]
        np.testing.assert_allclose(found, wanted, atol=2e-3, rtol=2e-3)
    whole = hsifeat.extract(scene, **options, out=tmp_path / "whole.zarr")
    assert whole.manifest.recipe["tiling"]["masked"] == "computed"
    dark = Scene("dark", np.zeros_like(cube), mask=np.zeros(cube.shape[:2], bool))
    with pytest.raises(HsifeatError, match="no valid pixel"):
        hsifeat.extract(dark, **options, out=tmp_path / "dark.zarr")


@pytest.mark.parametrize("stitch", ["core", "hann"])
def test_no_valid_pixel_is_interpolated_from_a_skipped_tile(scene, backbone_folder, tmp_path, stitch):
    """The mask ends at the edge of a core, so the features of the last valid pixels are read from the next tile, too."""
    mask = np.ones(scene.cube.shape[:2], bool)
    mask[:, 16:] = False
    layers = ["mid_block", "up_blocks.0", "up_blocks.2"]
    options = {
        "backbone": backbone_folder,
        "timesteps": [300],
        "layers": layers,
        "tile": 32,
        "halo": 8,
        "stitch": stitch,
    }
    store = hsifeat.extract(replace(scene, mask=mask), **options, out=tmp_path / "s.zarr")
    for layer, stride in zip(layers, (4, 2, 1), strict=True):
        written = np.asarray(store.plane(PlaneId(300, layer))[:]).any(axis=-1)
        last = 15 / stride - 0.5 + 0.5 / stride  # the column of cells at the centre of the last valid pixel
        assert written[:, : int(np.ceil(last)) + 1].all()
        assert not written[:, 48 // stride :].any()


@pytest.mark.parametrize(("layer", "stride"), [("mid_block", 4), ("up_blocks.0", 2), ("up_blocks.2", 1)])
@pytest.mark.parametrize("t", [0, 300])
def test_planes_equal_the_plain_way(scene, backbone_folder, store_path, t, layer, stride):
    wanted = plainly(scene, backbone_folder, t, layer, stride, 32, 8)
    found = np.asarray(Store.open(store_path).plane(PlaneId(t, layer))[:])
    assert found.shape == wanted.shape and found.dtype == np.float16
    # float16 keeps 11 bits; a tile in another batch size moves by some 1e-6 before it is rounded.
    np.testing.assert_allclose(found, wanted, rtol=2**-10, atol=1e-4)


def test_values_are_the_taps_rounded_once(scene, backbone_folder, store_path, tmp_path):
    precise = hsifeat.extract(
        scene, backbone=backbone_folder, timesteps=[300], tile=32, halo=8, dtype="float32", out=tmp_path / "f32.zarr"
    )
    for name, values in planes_of(precise).items():
        assert values.dtype == np.float32
        found = np.asarray(Store.open(store_path).plane(PlaneId.parse(name))[:])
        np.testing.assert_array_equal(found, values.astype(np.float16))


def test_a_plane_does_not_depend_on_what_else_was_asked_for(scene, backbone_folder, store_path, tmp_path):
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "out": tmp_path / "s.zarr"}
    hsifeat.extract(scene, timesteps=[300], layers=["up_blocks.0"], **options)
    store = hsifeat.extract(scene, timesteps=[0, 300], layers=["mid_block", "up_blocks.0"], **options)
    there = planes_of(Store.open(store_path))
    assert sorted(planes_of(store)) == ["t0/mid_block", "t0/up_blocks.0", "t300/mid_block", "t300/up_blocks.0"]
    for name, values in planes_of(store).items():
        np.testing.assert_array_equal(values, there[name])


@pytest.mark.parametrize("value", ["cube", None])
def test_unknown_options_and_options_of_reading_are_refused(value):
    for name in set(inspect.signature(hsifeat.open_scene).parameters) - {"source", "companion"}:
        with pytest.raises(HsifeatError, match=rf"^{name} is an option of reading: give .*open_scene\(SCENE, {name}="):
            hsifeat.extract("missing.mat", **{name: value})
    with pytest.raises(HsifeatError, match=r"^timestep: unknown option; nearest: timesteps"):
        hsifeat.extract("missing.mat", timestep=value)
    for options in ({"see_companion": True}, {"companion": "photo.tif"}):
        with pytest.raises(
            HsifeatError, match=r"open_scene\(SCENE, companion=FILE\) as the scene, and companion=True$"
        ):
            hsifeat.extract("missing.mat", **options)
