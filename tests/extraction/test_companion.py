"""Companion images: the network sees a finer image of the same area, and planes lie on the scene's grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

import hsifeat
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.repair import repair, verify
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window
from tests.helpers.extraction import prepare
from tests.helpers.small import small_cube

ROWS, COLS = 21, 18
OPTIONS = {"timesteps": [200], "dtype": "float32", "companion": True}


def photograph(factor, dtype=np.uint8):
    values = small_cube(factor * ROWS, factor * COLS, 3, seed=2)
    return (values % 251 if dtype == np.uint8 else values).astype(dtype)


@pytest.fixture(scope="module")
def spectra():
    return small_cube(ROWS, COLS)


def reference_map(folder, image, layer, pixels, factor):
    """The map of one tile that covers the scene and 4 px around it, averaged to `pixels` cells."""
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False).eval()
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    taken = {}
    network.get_submodule(layer).register_forward_hook(
        lambda _m, _i, out: taken.update(out=out[0] if isinstance(out, tuple) else out)
    )
    frame, side = 4 * factor, 32 * factor
    beyond = (frame, side - frame - image.shape[0]), (frame, side - frame - image.shape[1])
    clean = np.pad(image, (*beyond, (0, 0)), mode="reflect").transpose(2, 0, 1)[None]
    noise = noise_field(Window(-frame, -frame, side, side), 3, 0)[None]
    x = scheduler.add_noise(torch.tensor(clean.copy()), torch.tensor(noise), torch.tensor([200]))
    with torch.no_grad():
        network(x, 200)
    maps = taken["out"]
    while maps.shape[-1] > pixels:  # finer than the scene: the mean of 2 x 2 cells, as often as need be
        maps = (maps[..., ::2, ::2] + maps[..., 1::2, ::2] + maps[..., ::2, 1::2] + maps[..., 1::2, 1::2]) / 4
    return maps[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("factor", "layer", "stride"),
    [(2, "mid_block", 2), (2, "up_blocks.0", 1), (2, "up_blocks.2", 1), (4, "mid_block", 1), (4, "up_blocks.2", 1)],
)
def test_planes_equal_the_reference(spectra, backbone_folder, tmp_path, factor, layer, stride):
    image = photograph(factor)
    scene = Scene("both", spectra, companion=image)
    store = hsifeat.extract(
        scene, backbone=backbone_folder, layers=[layer], tile=32, halo=4, out=tmp_path / "s.zarr", **OPTIONS
    )
    plane = store.planes[0]
    assert (plane.id, plane.stride) == (PlaneId(200, layer), stride)
    found = np.asarray(store.plane(plane.id)[:])
    assert found.shape[:2] == (-(-ROWS // stride), -(-COLS // stride))
    wanted = reference_map(backbone_folder, image * np.float32(2 / 255) - 1, layer, 32 // stride, factor)
    edge = 4 // stride
    np.testing.assert_allclose(
        found, wanted[edge : edge + found.shape[0], edge : edge + found.shape[1]], rtol=1e-3, atol=1e-4
    )


def test_other_dtypes_than_bytes_are_stretched_by_percentiles(spectra, backbone_folder, tmp_path):
    image = photograph(2, np.uint16)
    job = prepare(Scene("both", spectra, companion=image), backbone=backbone_folder, tile=32, halo=4, **OPTIONS)
    low, high = np.percentile(image.reshape(-1, 3), (2, 98), axis=0)
    wanted = np.clip((image - low) / (high - low) * 2 - 1, -1, 1)
    found = job.extractor.model_input.read(Window(3, 2, 10, 8)).transpose(1, 2, 0)
    np.testing.assert_allclose(found, wanted[6:26, 4:20], atol=1e-4)
    assert job.recipe.projection.spec == "bands:0,1,2"


def test_the_key_follows_the_image_and_the_store_holds_the_spectra(spectra, backbone_folder, tmp_path):
    options = {"backbone": backbone_folder, "layers": ["mid_block"], "tile": 32, "halo": 4, **OPTIONS}
    scene = Scene("both", spectra, companion=photograph(2))
    store = hsifeat.extract(scene, out=tmp_path / "s.zarr", **options)
    np.testing.assert_array_equal(store.scene_array("cube")[:], spectra)
    assert store.manifest.recipe["companion"].keys() == {"digest", "factor", "finer"}
    assert hsifeat.open_features(tmp_path / "s.zarr").sample([3], [4]).shape == (1, 16)
    assert prepare(scene, **options).recipe.key == store.key
    changed = photograph(2)
    changed[0, 0, 0] ^= 1
    others = [
        prepare(replace(scene, companion=changed), **options),
        prepare(replace(scene, companion=photograph(4)), **options),
        prepare(scene, **{**options, "companion": False}),
    ]
    assert len({store.key, *(job.recipe.key for job in others)}) == 4
    like = prepare(scene, like=Store.open(store.location), out=tmp_path / "new.zarr")
    assert like.recipe.key == store.key
    # Blends and the whole scene work on it too.
    for stitch in ({"stitch": "hann"}, {"stitch": "whole", "tile": None, "halo": None}):
        values = hsifeat.extract(scene, out=tmp_path / f"{stitch['stitch']}.zarr", **{**options, **stitch})
        assert np.isfinite(values.plane(PlaneId(200, "mid_block"))[:]).all()


def test_repair_needs_the_image(spectra, backbone_folder, tmp_path):
    np.save(tmp_path / "photograph.npy", photograph(2))
    scene = Scene("both", spectra, companion=photograph(2))
    store = hsifeat.extract(
        scene, backbone=backbone_folder, layers=["mid_block"], tile=32, halo=4, out=tmp_path / "s.zarr", **OPTIONS
    )
    before = np.asarray(store.plane(PlaneId(200, "mid_block"))[:])
    next((tmp_path / "s.zarr").glob("planes/t*/*/c/0/0/0")).unlink()
    location = as_location(tmp_path / "s.zarr")
    damaged = verify(location)
    with pytest.raises(StoreError, match="made from a companion image, .* name it with `companion=FILE`"):
        repair(location, damaged)
    assert not repair(location, damaged, companion=tmp_path / "photograph.npy").damages
    np.testing.assert_array_equal(Store.open(location).plane(PlaneId(200, "mid_block"))[:], before)


def test_images_that_do_not_fit_are_refused(spectra, backbone_folder):
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, **OPTIONS}
    with pytest.raises(HsifeatError, match="has no companion image: name one with `companion=FILE`"):
        prepare(Scene("alone", spectra), **options)
    with pytest.raises(HsifeatError, match="has 1 band, but tiny takes 3 channels"):
        prepare(Scene("grey", spectra, companion=photograph(2)[..., :1]), **options)
    odd = Scene("odd", spectra, companion=photograph(3))
    with pytest.raises(
        HsifeatError, match="mid_block has a stride of 4 px of the companion image, but a scene pixel is 3 px wide"
    ):
        prepare(odd, layers=["mid_block"], **options)
    assert [p.id.layer for p in prepare(odd, **options).planes] == ["up_blocks.1", "up_blocks.2"]
    with pytest.raises(HsifeatError, match="multiples of 4, the coarsest stride"):
        prepare(odd, **{**options, "halo": 6})
