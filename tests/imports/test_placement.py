"""Features on the grid of a scene, against GDAL's programs and NumPy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio import Affine
from scipy.ndimage import map_coordinates

import hsifeat
from hsifeat.errors import SceneError
from hsifeat.imports import placed_features
from hsifeat.imports.placed_features import fill_gaps
from hsifeat.types import Window
from tests.helpers.georeferenced import blank_scene
from tests.helpers.placing import DEGREES, SCENE, UTM_32, UTM_33, placed, smooth, whole, write


@pytest.mark.parametrize(
    ("transform", "crs", "shape", "stride"),
    [
        pytest.param(Affine(23, 0, 499_950, 0, -23, 4_000_040), UTM_32, (48, 42), 2, id="coarser, other origin"),
        pytest.param(Affine(10, 0, 499_996, 0, -10, 4_000_003), UTM_32, (93, 80), 1, id="same size, shifted"),
        pytest.param(Affine(10, 0, 499_990, 0, 10, 3_999_080), UTM_32, (95, 80), 1, id="bottom up"),
        pytest.param(Affine(21, 2, -40_150, 1, -21, 4_016_700), UTM_33, (45, 60), 1, id="other zone, rotated"),
        pytest.param(Affine(1.7e-4, 0, 8.9995, 0, -1.4e-4, 36.1445), DEGREES, (56, 54), 1, id="degrees"),
    ],
)
def test_cells_of_another_grid_land_where_gdalwarp_puts_them(transform, crs, shape, stride, gdal, tmp_path):
    values = smooth(*shape)
    values[20:23, 11:15] = -9999
    result = placed(values, transform, crs, stride=stride, nodata=(-9999.0,))
    file = write(tmp_path / "f.tif", values, transform, crs, nodata=-9999)
    side = 10 * stride
    bounds = [500_000, 4_000_000 - side * result.rows, 500_000 + side * result.cols, 4_000_000]
    warp = ["-r", "bilinear", "-et", 0, "-t_srs", UTM_32, "-te", *bounds, "-tr", side, side, "-dstnodata", "nan"]
    gdal("gdalwarp", "-q", *warp, file, tmp_path / "w.tif")
    with rasterio.open(tmp_path / "w.tif") as warped:
        expected = warped.read().transpose(1, 2, 0)
    found = whole(result)
    assert found.shape == expected.shape
    assert 0.5 < np.isfinite(expected[..., 0]).mean() < 1
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    # Any window has the same values.
    part = Window(3, 30, 30, 7)
    np.testing.assert_array_equal(result.read(part), found[part.slices])


def test_the_default_stride_of_another_grid_keeps_its_resolution():
    coarse = placed(smooth(9, 9), Affine(93, 0, 499_950, 0, -93, 4_000_040))
    assert (coarse.stride, coarse.rows, coarse.cols) == (8, 12, 10)
    assert coarse.rule == "resampled bilinearly"
    assert placed(smooth(99, 99), Affine(13, 0, 499_950, 0, -13, 4_000_040)).stride == 1


def test_smaller_cells_of_another_grid_are_averaged(gdal, tmp_path):
    transform, values = Affine(3.7, 0, 499_950, 0, -3.7, 4_000_040), smooth(270, 230)
    result = placed(values, transform)
    assert result.rule == "resampled bilinearly, mean of 3 x 3 points"
    file = write(tmp_path / "f.tif", values, transform, UTM_32)
    # The mean of three pixels by three is that of bilinear values at a third of the cell size.
    bounds = [500_000, 3_999_100, 500_750, 4_000_000]
    gdal("gdalwarp", "-q", "-r", "bilinear", "-et", 0, "-wo", "XSCALE=1", "-wo", "YSCALE=1", "-te", *bounds,
         "-ts", 225, 270, file, tmp_path / "w.tif")  # fmt: skip
    with rasterio.open(tmp_path / "w.tif") as warped:
        expected = warped.read().reshape(3, 90, 3, 75, 3).mean(axis=(2, 4)).transpose(1, 2, 0)
    np.testing.assert_allclose(whole(result), expected, rtol=1e-4, atol=1e-5)


def test_a_cell_of_whole_pixels_is_the_one_that_gdallocationinfo_finds(gdal, tmp_path):
    transform, values = Affine(30, 0, 499_910, 0, -30, 4_000_120), smooth(40, 40)
    result = placed(values, transform)
    assert (result.stride, result.rule) == (3, "copied, one cell per 3 x 3 pixels")
    file = write(tmp_path / "f.tif", values, transform, UTM_32)
    for row, col in [(0, 0), (89, 74), (40, 23)]:
        at = 500_000 + 10 * (col + 0.5), 4_000_000 - 10 * (row + 0.5)
        texts = gdal("gdallocationinfo", "-valonly", "-geoloc", file, *at).split()
        np.testing.assert_allclose(whole(result)[row // 3, col // 3], np.array(texts, float), rtol=1e-6)


def test_cells_within_a_pixel_are_averaged_where_they_have_a_value():
    values = smooth(360, 300)
    values[4:10, 11:18] = np.nan
    found = whole(placed(values, Affine(2.5, 0, 500_000, 0, -2.5, 4_000_000)))
    cells = values.reshape(90, 4, 75, 4, 3).astype(float)
    with np.errstate(invalid="ignore"):
        expected = np.nansum(cells, axis=(1, 3)) / np.isfinite(cells).sum(axis=(1, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert np.isnan(found).any()
    coarse = whole(placed(values, Affine(2.5, 0, 500_000, 0, -2.5, 4_000_000), stride=3))
    with_value = np.isfinite(values.reshape(30, 12, 25, 12, 3)).sum(axis=(1, 3))
    sums = np.nansum(values.reshape(30, 12, 25, 12, 3).astype(float), axis=(1, 3))
    np.testing.assert_allclose(coarse, sums / with_value, rtol=1e-5, atol=1e-6)


def test_a_file_that_covers_a_part_leaves_the_other_pixels_without_a_value():
    found = whole(placed(values := smooth(20, 30), Affine(10, 0, 500_300, 0, -10, 3_999_900)))
    expected = np.full((90, 75, 3), np.nan, np.float32)
    expected[10:30, 30:60] = values
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "stride", "cell"),
    [((90, 75), None, 1), ((23, 19), None, 4), ((12, 10), 7, None), ((13, 11), 7, 7)],
    ids=["pixels", "4 x 4 pixels", "incomplete cells dropped", "incomplete cells kept"],
)
def test_without_a_georeference_the_shape_tells_the_stride(shape, stride, cell):
    values = smooth(*shape)
    result = placed(values, None, scene=blank_scene(90, 75), stride=stride)
    found = whole(result)
    assert result.stride == (cell or stride)
    np.testing.assert_array_equal(found[: shape[0], : shape[1]], values)
    assert np.isnan(found[shape[0] :]).all()
    assert np.isnan(found[:, shape[1] :]).all()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((50, 60), {}, r"50 x 60 cells on a scene of 90 x 75 pixels \(x\).*`stride=K`.*`grid`"),
        ((9, 8), {"stride": 9}, r"with a stride of 9 px there would be 10 x 9 cells: set another `stride`"),
        ((7, 6), {}, r"set `stride`; 13 and 14 fit"),
    ],
)
def test_a_shape_that_fits_no_stride_or_several_is_refused(shape, options, message):
    with pytest.raises(SceneError, match=message):
        placed(smooth(*shape), None, scene=blank_scene(90, 75), **options)


def test_a_grid_without_a_crs_can_only_be_that_of_the_scene():
    scene = blank_scene(90, 75, SCENE, None)
    assert placed(smooth(30, 25), Affine(30, 0, 500_000, 0, -30, 4_000_000), None, scene).stride == 3
    with pytest.raises(
        SceneError, match=r"f.tif lies on another grid than the scene x, and f.tif has no CRS: assign one"
    ):
        placed(smooth(30, 25), Affine(31, 0, 500_000, 0, -31, 4_000_000), None, scene)
    with pytest.raises(SceneError, match="the scene x has no CRS"):
        placed(smooth(30, 25), Affine(31, 0, 500_000, 0, -31, 4_000_000), UTM_32, scene)


def test_gaps_beside_cells_with_a_value_get_their_mean():
    values = smooth(9, 8, 2)
    values[3:, 2:7] = np.nan
    found, expected = fill_gaps(values), np.nan_to_num(values)
    for row, col in zip(*np.nonzero(np.isnan(values[..., 0])), strict=True):
        around = values[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2].reshape(-1, 2)
        if np.isfinite(around).any():
            expected[row, col] = np.nanmean(around.astype(float), axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not found[5:, 4].any()


def test_memory_does_not_grow_with_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr(placed_features, "BLOCK_CELLS", 32)
    peaks = []
    for side in (256, 512):
        np.save(tmp_path / "f.npy", np.ones((side, side, 16), np.float32))
        scene = hsifeat.Scene("wide", np.ones((side, side, 1), np.uint8))
        mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
        tracemalloc.start()
        one = placed(mapped, None, scene=scene)
        for block in one.blocks():
            one.read(block)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 16 * 256 * 256


@pytest.mark.parametrize(("side", "limit"), [(20, 400), (20, 60), (5, 60)], ids=["cells", "parts of cells", "pixels"])
@pytest.mark.parametrize("shift", [0, 0.45], ids=["aligned", "shifted"])
def test_much_finer_cells_are_read_in_parts(side, limit, shift, monkeypatch):
    """A pixel has `side` x `side` cells."""
    monkeypatch.setattr(placed_features, "BLOCK_CELLS", 4)
    monkeypatch.setattr(placed_features, "_PART_VALUES", 2 * limit)
    values, cell, points = Windows(smooth(4 * side, 6 * side, 2)), 10 / side, min(side, 16)
    if not shift:
        values.values[: side + 3, : side // 2] = np.nan
    where = Affine(cell, 0, 500_010 + shift * cell, 0, -cell, 3_999_990)
    one = placed(values, where, scene=blank_scene(6, 8, SCENE, UTM_32))
    found = whole(one)
    assert max(values.sizes) <= one.block_cells <= max(limit, 16)
    if shift:
        assert one.rule == f"resampled bilinearly, mean of {points} x {points} points"
        rows, cols = ((np.arange(count * points) + 0.5) / points * side - 0.5 for count in (4, 5))
        at = np.meshgrid(rows, cols + side - shift, indexing="ij")
        channels = [map_coordinates(one, at, order=1, mode="nearest") for one in np.moveaxis(values.values, 2, 0)]
        expected = np.stack(channels, axis=2).reshape(4, points, 5, points, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(found[1:5, 2:7], expected, rtol=1e-4, atol=1e-5)
    else:
        assert one.rule == f"averaged over {side} x {side} cells"
        expected = np.nanmean(values.values.reshape(4, side, 6, side, 2).astype(float), axis=(1, 3))
        np.testing.assert_allclose(found[1:5, 1:7], expected, rtol=1e-5, atol=1e-6)
        assert np.isfinite(found).all(axis=2).sum() == 4 * 6


@pytest.mark.parametrize("stride", [None, 2])
def test_a_grid_in_another_unit_is_outside_of_the_scene(stride):
    """A pixel of 10 units seems to have 14,286 x 14,286 cells."""
    degrees = Affine(0.0007, 0, 13, 0, -0.0007, 47)
    assert np.isnan(whole(placed(smooth(60, 60), degrees, stride=stride))).all()


@pytest.mark.parametrize("west", [-180, 0, 170], ids=["from -180", "from 0", "from 170 to 190"])
@pytest.mark.parametrize("crs", ["EPSG:32701", DEGREES])
def test_longitudes_that_differ_by_a_turn_are_the_same_place(crs, west, gdal, tmp_path):
    """gdalwarp reads a file whose longitudes do not begin within the scene."""
    if crs == DEGREES:
        transform, side = Affine(0.01, 0, -180.3, 0, -0.01, 0.3), 0.01
    else:
        transform, side = Affine(1000, 0, 140_000, 0, -1000, 10_000_000 - 40_000), 1000
    scene = blank_scene(60, 70, transform, crs)
    around = smooth(12, 200)  # from 170 to 190 degrees
    bounds = [transform.c, transform.f - 60 * side, transform.c + 70 * side, transform.f]
    if crs == DEGREES:
        bounds[0], bounds[2] = bounds[0] + 360, bounds[2] + 360
    file = write(tmp_path / "f.tif", around, Affine(0.1, 0, 170, 0, -0.1, 0.3), DEGREES)
    warp = ["-r", "bilinear", "-et", 0, "-t_srs", crs, "-te", *bounds, "-ts", 70, 60, "-dstnodata", "nan"]
    gdal("gdalwarp", "-q", *warp, file, tmp_path / "w.tif")
    with rasterio.open(tmp_path / "w.tif") as warped:
        expected = warped.read().transpose(1, 2, 0)
    values = around
    if west != 170:
        values = np.zeros((12, 3600, 3), np.float32)
        values[:, (np.arange(200) + 10 * (170 - west)) % 3600] = around
    found = whole(placed(values, Affine(0.1, 0, west, 0, -0.1, 0.3), DEGREES, scene, stride=1))
    assert np.isfinite(expected[..., 0]).mean() > 0.5
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("cell", "name"), [(0.05, "CopiedFeatures"), (0.01, "CopiedFeatures"), (0.005, "AveragedFeatures")]
)
@pytest.mark.parametrize(("scene_west", "west"), [(-0.3, 0), (359.7, 0), (-180.3, -180), (179.7, -180), (-180.3, 0)])
def test_cells_on_the_grid_of_the_scene_are_copied_or_averaged_at_both_ends_of_a_file(scene_west, west, cell, name):
    scene = blank_scene(20, 70, Affine(0.01, 0, scene_west, 0, -0.01, 0.1), DEGREES)
    count = round(360 / cell)
    values = np.random.default_rng(0).normal(size=(round(0.2 / cell), count, 1)).astype(np.float32)
    one = placed(values, Affine(cell, 0, west, 0, -cell, 0.1), DEGREES, scene)
    assert type(one).__name__ == name
    first, length = round((scene_west - west) / cell), round(0.7 / cell)
    expected = values[:, np.arange(first, first + length) % count]
    if cell == 0.005:
        expected = expected.reshape(20, 2, 70, 2, 1).mean(axis=(1, 3))
    np.testing.assert_allclose(whole(one), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("block_cells", [8, 1], ids=["pixels", "parts of pixels"])
@pytest.mark.parametrize(("scene_west", "west"), [(0, -180), (-180, 0)])
def test_smaller_cells_of_a_world_map_are_averaged_in_all_blocks(scene_west, west, block_cells, monkeypatch):
    """Half of the blocks lie beyond the end of the file. A pixel has 2 x 2 cells."""
    monkeypatch.setattr(placed_features, "BLOCK_CELLS", block_cells)
    monkeypatch.setattr(placed_features, "_PART_VALUES", block_cells)
    values = smooth(4, 180, 2)
    scene = blank_scene(2, 90, Affine(4, 0, scene_west, 0, -4, 4), DEGREES)
    one = placed(values, Affine(2, 0, west, 0, -2, 4), DEGREES, scene)
    assert one.rule == "averaged over 2 x 2 cells"
    expected = np.roll(values, 90, axis=1).reshape(2, 2, 90, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(whole(one), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("scene_west", "west"), [(-0.35, 0), (359.65, 0), (-0.35, 360), (-180.35, -180), (0.35, 0)])
@pytest.mark.parametrize("crs", [DEGREES, "EPSG:4258"])
def test_cells_of_which_no_whole_number_makes_a_turn_are_found_at_both_ends_of_a_file(scene_west, west, crs):
    """EPSG:4258 has the same positions, but goes through pyproj."""
    scene = blank_scene(20, 70, Affine(0.01, 0, scene_west, 0, -0.01, 0.1), crs)
    values = np.add.outer(np.zeros(4), np.arange(5142)).astype(np.float32)[..., np.newaxis]  # all but 0.06 degrees
    one = placed(values, Affine(0.07, 0, west, 0, -0.07, 0.14), DEGREES, scene, stride=1)
    columns = (scene_west + 0.01 * (np.arange(70) + 0.5) - west) % 360 / 0.07
    expected = np.where(columns < 5142, (columns - 0.5).clip(0, 5141), np.nan)
    np.testing.assert_allclose(whole(one)[10, :, 0], expected, rtol=0, atol=1e-3)


def test_a_pixel_across_the_end_of_a_file_is_not_wider_than_others():
    scene = blank_scene(20, 70, Affine(0.01, 0, -0.346, 0, -0.01, 0.1), DEGREES)
    one = placed(np.ones((4, 5143, 1), np.float32), Affine(0.07, 0, 0, 0, -0.07, 0.14), DEGREES, scene)  # to 360.01
    assert (one.stride, one.rule) == (4, "resampled bilinearly")


def test_a_file_on_the_grid_of_the_scene_is_copied_where_no_whole_number_of_cells_makes_a_turn():
    values = np.random.default_rng(0).normal(size=(4, 5143, 1)).astype(np.float32)
    where = Affine(0.07, 0, -180, 0, -0.07, 0.14)
    one = placed(values, where, DEGREES, blank_scene(4, 5143, where, DEGREES))
    assert one.rule == "copied, one cell per pixel"
    np.testing.assert_array_equal(whole(one), values)


def at_pixels(transform, shape, crs, file_crs, file_transform):
    """Positions of the pixels in a file according to pyproj, in cells, and the pixels that are on the map."""
    x, y = transform @ tuple(np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5))
    to_file = pyproj.Transformer.from_crs(crs, file_crs, always_xy=True)
    there = np.nan_to_num(to_file.transform(x, y), posinf=1e30)
    back_x, back_y = np.nan_to_num(to_file.transform(*there, direction="INVERSE"), posinf=1e30)
    return *(~file_transform @ there), np.hypot(back_x - x, back_y - y) < 1


@pytest.mark.parametrize("file_crs", ["ESRI:54008", "ESRI:54009", "EPSG:8857", "ESRI:54030"])
@pytest.mark.parametrize("west", [178, 178.013, -182])
def test_pixels_on_both_sides_of_the_end_of_a_world_map_are_interpolated_like_others(file_crs, west):
    """Sinusoidal, Mollweide, Equal Earth and Robinson. At 178, the centre of the scene is the end of the map."""
    pixel, shape = Affine(0.05, 0, west, 0, -0.05, -15), (60, 80)
    to_map = pyproj.Transformer.from_crs(DEGREES, file_crs, always_xy=True)
    bottom, top = to_map.transform([0, 0], [-18.3, -14.7])[1]
    side = 14_000  # larger than a pixel
    rows, cols = int((top - bottom) / side), int(40.1e6 / side)
    where = Affine(side, 0, -cols * side / 2, 0, -side, top)
    values = smooth(rows, cols, 1)
    one = placed(values, where, file_crs, blank_scene(*shape, pixel, DEGREES), stride=1)
    col, row, _ = at_pixels(pixel, shape, DEGREES, file_crs, where)
    expected = map_coordinates(values[..., 0].astype(float), [row - 0.5, col - 0.5], order=1, mode="nearest")
    assert "mean" not in one.rule
    assert np.ptp(col) > 2000
    np.testing.assert_allclose(whole(one)[..., 0], expected, rtol=0, atol=1e-4)


class Windows:
    """An array that keeps the sizes of the windows that are read."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.sizes = values, values.shape, values.dtype, []

    def __getitem__(self, where):
        part = self.values[where]
        self.sizes.append(part.shape[0] * part.shape[1])
        return part


@pytest.mark.parametrize(
    ("crs", "pixel", "file_crs", "file_transform", "cols", "limit"),
    [
        pytest.param(DEGREES, Affine(0.05, 0, 178, 0, -0.05, -15), "ESRI:54008",
                     Affine(1e4, 0, -2.002e7, 0, -1e4, -1.6e6), 4004, 64 * 64, id="both ends of a map"),
        pytest.param("EPSG:3413", Affine(25e3, 0, -8e5, 0, -25e3, 8e5), DEGREES,
                     Affine(0.3, 0, -180, 0, -0.3, 90), 1200, 25_000, id="around a pole"),
    ],
)  # fmt: skip
def test_windows_of_a_file_are_small_where_neighbouring_pixels_lie_far_from_each_other(
    crs, pixel, file_crs, file_transform, cols, limit
):
    values = Windows(np.add.outer(np.arange(120.0), np.zeros(cols)).astype(np.float32)[..., np.newaxis])
    one = placed(values, file_transform, file_crs, blank_scene(60, 60, pixel, crs), stride=1)
    found = whole(one)[..., 0]
    assert max(values.sizes) <= one.block_cells <= limit
    _, row, _ = at_pixels(pixel, (60, 60), crs, file_crs, file_transform)
    inside = (row > 0) & (row < 120)
    assert inside.mean() > 0.5
    np.testing.assert_array_equal(np.isfinite(found), inside)
    np.testing.assert_allclose(found[inside], (row[inside] - 0.5).clip(0, 119), rtol=0, atol=0.3)


def test_a_scene_around_a_pole_is_interpolated_at_the_centres_of_its_pixels():
    """At the pole itself, a pixel is as wide as half of all columns."""
    pixel, shape = Affine(1e3, 0, -3e4, 0, -1e3, 3e4), (60, 60)
    where = Affine(5, 0, -180, 0, -5, 90)
    values = smooth(2, 72, 1)
    one = placed(values, where, DEGREES, blank_scene(*shape, pixel, "EPSG:3413"), stride=1)
    col, row, _ = at_pixels(pixel, shape, "EPSG:3413", DEGREES, where)
    around = np.concatenate([values[:, -1:], values, values[:, :1]], axis=1)[..., 0].astype(float)
    expected = map_coordinates(around, [row - 0.5, col + 0.5], order=1, mode="nearest")
    assert "mean" not in one.rule
    np.testing.assert_allclose(whole(one)[..., 0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("west", [-180, 0])
@pytest.mark.parametrize("crs", ["ESRI:54008", "EPSG:8857", "ESRI:54030", "+proj=ortho +lat_0=0 +lon_0=150"])
def test_pixels_off_the_map_of_the_scene_have_no_features(crs, west):
    """The scene is the northeast of the map; its centre is off some of the maps."""
    pixel, shape = Affine(400e3, 0, 4e6, 0, -400e3, 9.2e6), (14, 42)
    values = smooth(18, 36, 1)
    where = Affine(10, 0, west, 0, -10, 90)
    found = whole(placed(values, where, DEGREES, blank_scene(*shape, pixel, crs), stride=1))[..., 0]
    _, _, on_map = at_pixels(pixel, shape, crs, DEGREES, where)
    assert 0 < on_map.mean() < 0.95
    np.testing.assert_array_equal(np.isfinite(found), on_map)
