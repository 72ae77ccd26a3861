"""Stitching, padding, origins and the whole scene in one pass against every tile's map, weighted in NumPy."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from hypothesis import given
from hypothesis import strategies as st

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.repair import repair, verify
from hsifeat.extraction.tiling.scene_tiling import tile_scene
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window, windows
from tests.helpers.extraction import plan, prepare

LAYER, STRIDE = "up_blocks.0", 2
OPTIONS = {"timesteps": [300], "layers": [LAYER], "dtype": "float32"}


def plane_values(store):
    return np.asarray(store.plane(PlaneId(300, LAYER))[:])


@pytest.fixture(scope="module")
def network(backbone_folder):
    return UNet2DModel.from_pretrained(backbone_folder / "unet", low_cpu_mem_usage=False).eval()


def tap(network, scheduler, clean, noise):
    taken = {}
    hook = network.get_submodule(LAYER).register_forward_hook(lambda _m, _i, out: taken.update(out=out))
    with torch.no_grad():
        network(scheduler.add_noise(*(torch.tensor(x[None].copy()) for x in (clean, noise)), torch.tensor([300])), 300)
    hook.remove()
    return taken["out"][0].permute(1, 2, 0).numpy()


def blended(scene, folder, network, window, starts, tile, mode):
    """Compute the weighted mean of all tiles of a grid, one tile after the other.

    The image is padded by the side of a tile on all sides.
    """
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    channels = fit_projection("rgb", scene).apply(scene.cube)
    beyond = {"reflect": {"mode": "reflect"}, "zero": {"constant_values": -1}}[mode]
    image = np.pad(channels, ((tile, tile), (tile, tile), (0, 0)), **beyond).transpose(2, 0, 1)
    cells = tile // STRIDE
    sums = np.zeros((3 * tile + scene.rows, 3 * tile + scene.cols, 16))
    weights = np.zeros((*sums.shape[:2], 1))
    for row in starts[0]:
        for col in starts[1]:
            clean = image[:, row + tile : row + 2 * tile, col + tile : col + 2 * tile]
            maps = tap(network, scheduler, clean, noise_field(Window(row, col, tile, tile), 3, 0))
            top, left = (row + tile) // STRIDE, (col + tile) // STRIDE
            sums[top : top + cells, left : left + cells] += np.outer(window, window)[..., None] * maps
            weights[top : top + cells, left : left + cells] += np.outer(window, window)[..., None]
    down, across = -(-scene.rows // STRIDE), -(-scene.cols // STRIDE)
    edge = tile // STRIDE
    part = np.s_[edge : edge + down, edge : edge + across]
    return sums[part] / weights[part]


@pytest.mark.parametrize("stitch", ["mean", "hann"])
def test_blends_equal_weighted_means_of_tiles(scene, backbone_folder, network, tmp_path, stitch):
    window = np.ones(16) if stitch == "mean" else np.hanning(2 * 16 + 1)[1::2]
    store = hsifeat.extract(
        scene, backbone=backbone_folder, tile=32, halo=8, stitch=stitch, out=tmp_path / "s.zarr", **OPTIONS
    )
    starts = range(-8, 75 - 16, 16), range(-8, 53 - 16, 16)
    wanted = blended(scene, backbone_folder, network, window, starts, 32, "reflect")
    np.testing.assert_allclose(plane_values(store), wanted, rtol=1e-3, atol=1e-4)


def test_published_windows(scene, backbone_folder, network, tmp_path):
    """GeoDiffNet pads with zeros above and left of the scene, and takes the mean of windows that overlap by half."""
    # 75 x 53 px become 80 x 64; at stride 2 windows begin an even number of pixels before the scene.
    origin = (75 - 80 + 1, 53 - 64 + 1)
    store = hsifeat.extract(
        scene, backbone=backbone_folder, tile=32, halo=8, stitch="mean", padding="zero", origin=origin,
        out=tmp_path / "s.zarr", **OPTIONS,
    )  # fmt: skip
    starts = range(-4, 75 - 16, 16), range(-10, 53 - 16, 16)
    assert (len(starts[0]), len(starts[1])) == (4, 3)
    wanted = blended(scene, backbone_folder, network, np.ones(16), starts, 32, "zero")
    np.testing.assert_allclose(plane_values(store), wanted, rtol=1e-3, atol=1e-4)
    like = prepare(scene, like=Store.open(store.location), out=tmp_path / "new.zarr")
    assert like.recipe.key == store.key and sum(plan(like).unit_tiles.values()) == 12


@pytest.mark.parametrize(
    ("shape", "origin", "layer", "passes"),
    [
        ((332, 485), (-20, -26), "up_blocks.0", 150),
        ((1723, 476), (-5, -4), "up_blocks.2", (53 + 3 * 2) * 14),
    ],
)
def test_passes_over_the_published_scenes(backbone_folder, shape, origin, layer, passes):
    """Two windows lie over each border of units (of 512 px); they are run for both."""
    scene = Scene("large", np.random.default_rng(0).integers(1, 255, (*shape, 3), np.uint8))
    job = prepare(
        scene, backbone=backbone_folder, tile=64, halo=16, stitch="mean", padding="zero", origin=origin,
        **{**OPTIONS, "layers": [layer]},
    )  # fmt: skip
    assert plan(job).passes == passes


def test_the_whole_scene_in_one_pass(scene, backbone_folder, network, tmp_path):
    store = hsifeat.extract(scene, backbone=backbone_folder, stitch="whole", out=tmp_path / "s.zarr", **OPTIONS)
    image = fit_projection("rgb", scene).apply(scene.cube)
    clean = np.pad(image, ((0, 1), (0, 3), (0, 0)), mode="reflect").transpose(2, 0, 1)
    scheduler = DDPMScheduler.from_pretrained(backbone_folder / "scheduler")
    wanted = tap(network, scheduler, clean, noise_field(Window(0, 0, 76, 56), 3, 0))[:38, :27]
    np.testing.assert_allclose(plane_values(store), wanted, rtol=1e-3, atol=1e-4)
    assert len(store.units) == 1
    like = prepare(scene, like=Store.open(store.location), out=tmp_path / "new.zarr")
    assert like.recipe.key == store.key and plan(like).passes == 1


@pytest.mark.parametrize("stitch", ["core", "hann"])
def test_planes_do_not_depend_on_units(scene, backbone_folder, tmp_path, monkeypatch, stitch):
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "stitch": stitch, **OPTIONS}
    large = hsifeat.extract(scene, out=tmp_path / "large.zarr", **options)
    for name in ("UNIT_PX", "BLENDED_UNIT_PX"):
        monkeypatch.setattr(f"hsifeat.extraction.tiling.scene_tiling.{name}", 32)
    # Begun in the middle of a tile too.
    small = hsifeat.extract(scene, out=tmp_path / "small.zarr", **options)
    assert len(small.units) == 6 and small.key == large.key
    # Other units make other batches, in which a tile moves by some 1e-6.
    np.testing.assert_allclose(plane_values(small), plane_values(large), rtol=1e-4, atol=1e-5)


def test_cores_may_lie_across_borders_of_units(scene, backbone_folder, tmp_path, monkeypatch):
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "origin": (-12, -20), **OPTIONS}
    large = hsifeat.extract(scene, out=tmp_path / "large.zarr", **options)
    monkeypatch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 32)
    small = hsifeat.extract(scene, out=tmp_path / "small.zarr", **options)
    assert len(small.units) == 6
    np.testing.assert_allclose(plane_values(small), plane_values(large), rtol=1e-4, atol=1e-5)


@given(
    st.sampled_from(["mean", "hann"]), st.integers(1, 6), st.integers(0, 4), st.sampled_from([1, 2]), st.integers(1, 18),
    st.integers(1, 18), st.integers(1, 12), st.data(),
)  # fmt: skip
def test_blending_tiles_of_one_map_gives_the_map(stitch, core, halo, stride, rows, cols, unit, data):
    """On any grid, tiles cut from one map and blended unit by unit give it back; cells without a tile hold 0."""
    core, halo, unit = core * stride, halo * stride, unit * stride
    tile = core + 2 * halo
    first = tuple(-stride * data.draw(st.integers(0, tile // stride - 1)) for _ in range(2))
    tiling = tile_scene((rows, cols), tile_px=tile, halo_px=halo, multiple=stride, stitch=stitch, origin=first)
    rng = np.random.default_rng(0)
    size = 60 // stride
    field = rng.normal(size=(2, (rows + 120) // stride + 1, (cols + 120) // stride + 1)).astype(np.float32)
    plane = PlaneSpec(PlaneId(0, "x"), stride, 2, "float32")
    skipped = data.draw(st.booleans())
    for window in windows(rows, cols, unit):
        block = tiling.new_block(plane, window)
        wanted = np.zeros(plane.cells(window.rows, window.cols), np.float32)
        for t in tiling.tiles(window):
            if skipped and (t.row, t.col) == first:
                continue
            row, col, side = t.row // stride + size, t.col // stride + size, tile // stride
            block.add([t], torch.tensor(field[None, :, row : row + side, col : col + side]))
            top, left = (t.row - window.row) // stride, (t.col - window.col) // stride
            part = np.s_[max(top, 0) : top + side, max(left, 0) : left + side]
            inside = np.s_[window.row // stride + size :, window.col // stride + size :]
            height, width = wanted.shape[:2]
            wanted[part] = field[:, *inside][:, :height, :width].transpose(1, 2, 0)[part]
        np.testing.assert_allclose(block.finish(), wanted, atol=1e-5)


@pytest.mark.parametrize("stitch", ["core", "mean"])
def test_maps_are_rounded_to_float16_as_numpy_rounds(stitch):
    """Subnormal numbers, ties and overflow included."""
    edges = np.array([65504, 65519.99, 65520, 1e30, -7e4, 2.0**-24, 2.0**-25, 3 * 2.0**-26, 1 + 2.0**-11], np.float32)
    random = np.random.default_rng(0)
    values = random.normal(size=(3, 32, 32)) * np.exp(random.uniform(-20, 12, (3, 32, 32)))
    maps = np.float32(values)
    maps[0, 0, :9], maps[1, 0, :9] = edges, -edges
    plane = PlaneSpec(PlaneId(0, "x"), 1, 3, "float16")
    tiling = tile_scene((32, 32), tile_px=32, halo_px=0, multiple=1, stitch=stitch, origin=(0, 0))
    block = tiling.new_block(plane, Window(0, 0, 32, 32))
    block.add([Window(0, 0, 32, 32)], torch.tensor(maps[None]).contiguous(memory_format=torch.channels_last))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(
            block.finish().view(np.uint16), maps.transpose(1, 2, 0).astype(np.float16).view(np.uint16)
        )


@pytest.mark.parametrize("stitch", ["mean", "hann", "whole"])
def test_tiles_without_valid_pixels_are_skipped(scene, backbone_folder, tmp_path, stitch):
    cube = scene.cube.copy()
    cube[:40, :40] = 0
    holed = Scene("holed", cube)
    options = {"backbone": backbone_folder, "stitch": stitch, **OPTIONS}
    if stitch != "whole":
        options |= {"tile": 32, "halo": 8}
    job = prepare(holed, out=tmp_path / "s.zarr", **options)
    # Rows begin at -8, 8, 24, 40, 56 and columns at -8, 8, 24: 2 x 2 tiles end before the 40th row and column.
    assert plan(job).passes == (1 if stitch == "whole" else 5 * 3 - 4)
    store = hsifeat.extract(holed, out=tmp_path / "s.zarr", **options)
    values = plane_values(store)
    assert np.isfinite(values).all()
    if stitch != "whole":
        assert store.manifest.recipe["tiling"]["masked"] == "skipped"
        assert not values[:12, :12].any() and values[13:, 13:].any(axis=2).all()


def test_a_repaired_blend_has_the_same_bits(scene, backbone_folder, tmp_path):
    store = hsifeat.extract(
        scene, backbone=backbone_folder, tile=32, halo=8, stitch="hann", noise="shared", padding="zero",
        origin=(-8, -12), out=tmp_path / "s.zarr", **OPTIONS,
    )  # fmt: skip
    before = plane_values(store)
    shard = next((tmp_path / "s.zarr").glob("planes/t*/*/c/0/0/0"))
    shard.write_bytes(shard.read_bytes()[:-9])
    location = as_location(tmp_path / "s.zarr")
    damaged = verify(location)
    assert damaged.damages
    assert not repair(location, damaged).damages
    np.testing.assert_array_equal(plane_values(Store.open(location)), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stitch": "median"}, "stitch: expected core, mean, hann or whole; found 'median'"),
        ({"padding": "edge"}, "padding: expected reflect or zero; found 'edge'"),
        ({"stitch": "whole"}, "no effect with `stitch='whole'`: `halo`, `tile`"),
        ({"stitch": "mean", "origin": (4, 0)}, "do not cover the first pixels"),
        ({"stitch": "mean", "origin": (-32, 0)}, "lies outside"),
        ({"origin": (-6, -8)}, "`stitch='core'`, give an origin between -23 and -8"),
        ({"origin": (-8, -9)}, "not aligned with the cells of up_blocks.0.*multiples of .*, such as -8,-8"),
    ],
)
def test_wrong_tilings(scene, backbone_folder, options, message):
    with pytest.raises(HsifeatError, match=message):
        prepare(scene, backbone=backbone_folder, tile=32, halo=8, **OPTIONS, **options)
    with pytest.raises(HsifeatError, match="no effect with `stitch='whole'`: `origin`"):
        prepare(scene, backbone=backbone_folder, stitch="whole", origin=(0, 0), **OPTIONS)
