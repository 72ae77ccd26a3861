"""Label rasters aligned with the grid of a scene, against rasterio's and GDAL's warp."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyproj
import pytest
import rasterio.warp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import Scene, open_labels, open_scene, scene_blocks
from hsifeat.scenes.labels.resampling import align_to_grid
from tests.helpers.georeferenced import blank_scene, georeference, read_first_band

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_000_000)
ROTATED = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
# Classes and unlabelled cells in patches, so that cells of a pixel agree often enough.
PATCHES = arrays.arrays(np.uint8, (4, 5), elements=st.integers(0, 3))


def of_one_class(cells, factor, row=0, col=0, rows=None, cols=None):
    """Apply the rule pixel by pixel. Return the classes and the number of mixed pixels.

    A pixel gets a class if all its cells exist and have this class.
    """
    rows, cols = rows or cells.shape[0] // factor, cols or cells.shape[1] // factor
    classes, mixed = np.zeros((rows, cols), int), 0
    for r in range(rows):
        for c in range(cols):
            top, left = row + factor * r, col + factor * c
            if top < 0 or left < 0 or top + factor > cells.shape[0] or left + factor > cells.shape[1]:
                continue
            result = set(cells[top : top + factor, left : left + factor].ravel().tolist())
            classes[r, c] = result.pop() if len(result) == 1 else 0
            mixed += bool(result)
    return classes, mixed


@given(patches=PATCHES, factor=st.integers(2, 4), specks=st.sets(st.integers(0, 79), max_size=8))
def test_pixels_with_unanimous_cells_keep_their_class(patches, factor, specks):
    cells = np.kron(patches, np.ones((factor, factor), np.uint8))
    cells.flat[list(specks)] = 1
    expected, mixed = of_one_class(cells, factor)
    classes, notes = align_to_grid(cells, None, blank_scene(4, 5), "gt")
    np.testing.assert_array_equal(classes, expected)
    kept = f"{np.count_nonzero(expected)} of 20 pixels keep a class, {mixed} with mixed cells became 0"
    assert notes == (f"gt: has {factor} x {factor} cells per pixel of the scene; {kept}",)


def test_the_result_does_not_depend_on_blocks(monkeypatch):
    cells = np.kron(np.random.default_rng(1).integers(0, 3, (30, 20)), np.ones((3, 3), int)).astype(np.uint8)
    cells[::7, ::5] = 2
    whole = align_to_grid(cells, None, blank_scene(30, 20), "gt")
    monkeypatch.setattr(scene_blocks, "VALUES_AT_A_TIME", 50)
    parts = align_to_grid(cells, None, blank_scene(30, 20), "gt")
    np.testing.assert_array_equal(parts[0], whole[0])
    assert parts[1] == whole[1]


def test_houston_has_4185_pixels_with_unanimous_cells(data_folder):
    from scipy.io import loadmat

    path = data_folder / "houston2018_subset" / "houston_dataset.mat"
    scene = Scene("houston", loadmat(path)["hyprImg"])
    result = open_labels(f"{path}:clasLabs", scene)
    expected, mixed = of_one_class(loadmat(path)["clasLabs"], 4)
    np.testing.assert_array_equal(result.classes, expected)
    assert result.name == "clasLabs"
    assert f"4185 of 16384 pixels keep a class, {mixed} with mixed cells became 0" in result.notes[-2]
    assert set(np.unique(loadmat(path)["clasLabs"])) - set(np.unique(expected)) == {8}
    assert result.notes[-1] == "houston_dataset.mat: 1 of 12 classes labels no pixel of the scene: 8"
    assert scene.with_labels(result).notes == result.notes


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED], ids=["north-up", "rotated"])
@given(
    factor=st.integers(1, 4),
    row=st.integers(-20, 20),
    col=st.integers(-20, 20),
    shape=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    seed=st.integers(0, 99),
)
def test_aligned_cells_with_any_offset(transform, factor, row, col, shape, seed):
    patches = np.random.default_rng(seed).integers(1, 4, (24, 24)).astype(np.uint8)
    cells = np.kron(patches, np.ones((factor, factor), np.uint8))[: shape[0], : shape[1]]
    finer = transform @ Affine.scale(1 / factor) @ Affine.translation(-col, -row)
    expected, _ = of_one_class(cells, factor, row, col, 6, 5)
    whole = [
        any(first + factor * pixel >= 0 and first + factor * (pixel + 1) <= there for pixel in range(wide))
        for first, there, wide in zip((row, col), cells.shape, (6, 5), strict=True)
    ]
    if not all(whole):
        with pytest.raises(SceneError, match="no labelled pixel lies on the scene x"):
            align_to_grid(cells, georeference(finer), blank_scene(6, 5, transform), "gt")
        return
    classes, notes = align_to_grid(cells, georeference(finer), blank_scene(6, 5, transform), "gt")
    np.testing.assert_array_equal(classes, expected)
    as_is = factor == 1 and (row, col) == (0, 0) and cells.shape == (6, 5)
    assert as_is == (not notes)
    assert as_is or ("cells per pixel" if factor > 1 else "cropped its") in notes[0]


def nearest(cells, source, crs, scene_transform, scene_crs, rows, cols):
    """Return the classes that rasterio resamples, and a mask of the pixels to compare.

    The mask leaves out pixels whose centres are close to an edge of a cell, because rasterio approximates the transform.
    """
    x, y = scene_transform @ tuple(np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5))
    col, row = ~source @ pyproj.Transformer.from_crs(scene_crs, crs, always_xy=True).transform(x, y)
    clear = np.all([np.abs(location - np.round(location)) > 0.13 for location in (row, col)], axis=0)
    expected = np.zeros((rows, cols), np.uint8)
    rasterio.warp.reproject(cells, expected, src_transform=source, src_crs=crs, dst_transform=scene_transform,
                            dst_crs=scene_crs, resampling=rasterio.warp.Resampling.nearest)  # fmt: skip
    return expected, clear


@given(
    crs=st.sampled_from(["EPSG:32617", "EPSG:32618", "EPSG:4326", "EPSG:3857", "EPSG:2264"]),
    scene_crs=st.sampled_from(["EPSG:32617", "EPSG:3857"]),
    angles=st.tuples(st.floats(0, 360), st.floats(0, 360)),
    sizes=st.tuples(st.floats(0.4, 3), st.floats(0.4, 3)),
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    seed=st.integers(0, 99),
)
def test_other_grids_are_resampled_by_nearest_neighbour(crs, scene_crs, angles, sizes, shift, seed):
    cells = np.random.default_rng(seed).integers(1, 250, (14, 17)).astype(np.uint8)
    transforms = []
    for one, angle, size, (dx, dy) in zip((scene_crs, crs), angles, sizes, ((0, 0), shift), strict=True):
        x, y = pyproj.Transformer.from_crs("EPSG:4326", one, always_xy=True).transform([-78.7, -78.6], [35.7, 35.7])
        unit = (x[1] - x[0]) / 900  # about 10 m
        centre = Affine.translation(x[0] + dx * unit, y[0] + dy * unit)
        transforms.append(centre @ Affine.rotation(angle) @ Affine.scale(size * unit, -size * unit))
    transforms = [t @ Affine.translation(-8, -6) for t in transforms]
    expected, clear = nearest(cells, transforms[1], crs, transforms[0], scene_crs, 12, 15)
    scene = blank_scene(12, 15, transforms[0], scene_crs)
    if not expected.any():
        return
    classes, notes = align_to_grid(cells, georeference(transforms[1], crs), scene, "gt")
    np.testing.assert_array_equal(classes[clear], expected[clear])
    assert crs == scene_crs or "reprojected by nearest neighbour" in notes[0]


def test_reprojection_agrees_with_gdalwarp(data_folder, gdal, tmp_path):
    source = data_folder / "nc_landsat7" / "landsat96_labelled_pixels.tif"
    warp = ("gdalwarp", "-q", "-r", "near", "-et", "0", "-t_srs", "EPSG:32617", "-tr", 40, 40)
    gdal(*warp, source, tmp_path / "warped.tif")
    with rasterio.open(tmp_path / "warped.tif") as file:
        expected, scene = file.read(1), blank_scene(*file.shape, file.transform)
    result = open_labels(source, scene)
    np.testing.assert_array_equal(result.classes, expected.clip(0))
    assert result.notes[1].startswith(f"{source.name}: reprojected by nearest neighbour from NAD83_HARN_North_Carolina")


@pytest.mark.parametrize("crs", ["EPSG:32617", "EPSG:32618", "EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize("angle", [0, 25])
def test_every_pixel_centre_agrees_with_gdalwarp(gdal, tmp_path, crs, angle):
    cells = np.random.default_rng(0).integers(1, 250, (90, 110)).astype(np.uint8)
    source = Affine(31, 0, 500_000, 0, -31, 4_000_000)
    x, y = pyproj.Transformer.from_crs("EPSG:32617", crs, always_xy=True).transform([500_400, 502_900], [3_999_800] * 2)
    size = (x[1] - x[0]) / 60
    target = Affine.translation(x[0], y[0]) @ Affine.rotation(-angle) @ Affine.scale(size, -size)
    shape = {"width": 60, "height": 50, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "to.tif", "w", **shape, crs=crs, transform=target):
        pass
    with rasterio.open(tmp_path / "from.tif", "w", **shape | {"width": 110, "height": 90}, crs="EPSG:32617",
                       transform=source) as file:  # fmt: skip
        file.write(cells, 1)
    gdal("gdalwarp", "-q", "-r", "near", "-et", "0", tmp_path / "from.tif", tmp_path / "to.tif")
    result, _ = align_to_grid(cells, georeference(source), blank_scene(50, 60, target, crs), "gt")
    np.testing.assert_array_equal(result, read_first_band(tmp_path / "to.tif").array)


@pytest.mark.parametrize("crs", ["ESRI:54008", "ESRI:54009", "ESRI:54030", "EPSG:8857", "EPSG:3857", "EPSG:6933"])
def test_only_pixels_on_the_map_get_labels(crs):
    """The scene reaches beyond a world map at all sides. On cylindrical maps, longitudes repeat."""
    transform, shape = Affine(500e3, 0, -22e6, 0, -500e3, 10e6), (40, 88)
    x, y = transform @ tuple(np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5))
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(x, y)
    back_x, back_y = to_degrees.transform(lon, lat, direction="INVERSE")
    turn = {"EPSG:3857": 2 * 20037508.34, "EPSG:6933": 2 * 17367530.45}.get(crs)
    back_x = back_x if turn is None else x + (back_x - x + turn / 2) % turn - turn / 2
    on_map = np.hypot(back_x - x, back_y - y) < 1
    world = georeference(Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    classes, _ = align_to_grid(np.ones((180, 360), np.uint8), world, blank_scene(*shape, transform, crs), "gt")
    assert 0 < np.count_nonzero(on_map) < on_map.size or crs == "EPSG:3857"
    np.testing.assert_array_equal(classes, on_map)


@pytest.mark.parametrize(
    ("crs", "bounds", "area"),
    [
        ("EPSG:2056", (2485e3, 1075e3, 2834e3, 1296e3), (5.9, 10.6, 45.7, 47.9)),  # Switzerland
        ("EPSG:5514", (-905e3, -1333e3, -164e3, -930e3), (11.9, 22.7, 47.6, 51.2)),  # Czechia and Slovakia
        ("EPSG:27200", (2003e3, 5310e3, 3012e3, 6752e3), (166, 179, -47.5, -34)),  # New Zealand
    ],
)
def test_labels_of_a_country_are_not_repeated_on_the_other_side_of_the_earth(crs, bounds, area):
    """Some projections put places far from their area of use onto places in this area."""
    shape, (west, south, east, north) = (360, 720), bounds
    cells = np.ones((50, 50), np.uint8)
    where = Affine((east - west) / 50, 0, west, 0, (south - north) / 50, north)
    scene = blank_scene(*shape, Affine(0.5, 0, -180, 0, -0.5, 90), "EPSG:4326")
    classes, _ = align_to_grid(cells, georeference(where, crs), scene, "gt")
    row, col = np.nonzero(classes)
    lon, lat = (col + 0.5) / 2 - 180, 90 - (row + 0.5) / 2
    assert len(row) > 20
    assert area[0] - 0.5 < lon.min() < lon.max() < area[1] + 0.5
    assert area[2] - 0.5 < lat.min() < lat.max() < area[3] + 0.5


def test_landsat_labels_in_a_differently_written_crs(data_folder):
    folder = data_folder / "nc_landsat7"
    where = read_first_band(folder / "landsat_multiband.tif").georeference
    given = read_first_band(folder / "landsat96_labelled_pixels.tif")
    assert rasterio.CRS.from_wkt(where.crs) == rasterio.CRS.from_wkt(given.georeference.crs)
    assert not where.same_crs(given.georeference)
    sources = [folder / "landsat96_labelled_pixels.tif", f"{folder / 'landsat96_polygons.shp'}:id"]
    scene = open_scene(folder / "landsat_multiband.tif", labels=sources)
    result, polygons = scene.labels["landsat96_labelled_pixels"], scene.labels["id"]
    np.testing.assert_array_equal(result.classes, given.array.clip(0))
    assert sum(result.counts.values()) == 2872 and len(result.counts) == 7
    inside = polygons.classes != 0
    np.testing.assert_array_equal(polygons.classes[inside], result.classes[inside])
    assert np.count_nonzero(inside) == 2264 and scene.notes[-4:] == (*result.notes, *polygons.notes)
    assert "213755 pixels of nodata became 0" in result.notes[0] and "reprojected" in result.notes[1]


def test_labels_without_georeference_are_aligned_by_shape():
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert align_to_grid(classes, None, blank_scene(3, 4), "gt") == (classes, ())
    for where, scene, lacks in (
        (None, blank_scene(3, 4, NORTH_UP), "the label map"),
        (georeference(ROTATED), blank_scene(3, 4), "the scene"),
    ):
        same, notes = align_to_grid(classes, where, scene, "gt")
        assert same is classes
        assert notes == (f"gt: aligned with the scene by its shape, because {lacks} has no georeference",)


def test_equal_grids_in_different_notations():
    classes = np.ones((3, 4), np.uint8)
    proj = rasterio.CRS.from_epsg(32617).to_proj4()
    for crs in ("EPSG:32617", None):
        where = georeference(NORTH_UP @ Affine.translation(1e-8, -1e-8), crs)
        assert align_to_grid(classes, where, blank_scene(3, 4, NORTH_UP), "gt") == (classes, ()), crs
    # PROJ's words lose the datum's realisation: not the same system, and yet the same pixels.
    same, _ = align_to_grid(classes, georeference(NORTH_UP, proj), blank_scene(3, 4, NORTH_UP), "gt")
    assert same.all()


@pytest.mark.parametrize(
    ("shape", "where", "scene", "message"),
    [
        pytest.param((4, 3), None, blank_scene(3, 4), r"4 x 3 pixels, which matches when transposed, but the scene x is 3 x 4",
                     id="transposed"),
        pytest.param((6, 4), None, blank_scene(3, 4), r"6 x 4 pixels, but the scene x is 3 x 4: give .* k x k cells",
                     id="finer-one-way"),
        pytest.param((2, 2), georeference(NORTH_UP), blank_scene(3, 4), r"2 x 2 pixels.*or georeferences for both",
                     id="coarser"),
        pytest.param((3, 4), georeference(ROTATED, None), blank_scene(3, 4, NORTH_UP), "gt has no CRS: assign one",
                     id="no-crs"),
        pytest.param((3, 4), georeference(ROTATED), blank_scene(3, 4, NORTH_UP, None), "the scene x has no CRS", id="scene-no-crs"),
        pytest.param((3, 4), georeference(NORTH_UP @ Affine.translation(9.5, 0)), blank_scene(3, 4, NORTH_UP),
                     "no labelled pixel lies on the scene x", id="beside"),
        pytest.param((3, 4), georeference(Affine(1, 0, 9, 0, -1, 9), "EPSG:4326"), blank_scene(3, 4, NORTH_UP),
                     "no labelled pixel lies|can't be reprojected", id="another-continent"),
        pytest.param((3, 4), georeference((0, 0, 5, 0, 0, 5)), blank_scene(3, 4, NORTH_UP), "is degenerate", id="flat"),
        pytest.param((3, 4), georeference((1e-30, 0, 5e5, 0, -1e-30, 4e6)), blank_scene(3, 4, NORTH_UP), "no labelled pixel lies",
                     id="tiny-cells"),
    ],
)  # fmt: skip
def test_labels_that_can_not_be_aligned_are_refused(shape, where, scene, message):
    with pytest.raises(SceneError, match=message) as caught:
        align_to_grid(np.ones(shape, np.uint8), where, scene, "gt")
    assert "\n" not in str(caught.value)


def test_a_large_raster_takes_less_memory_than_its_file(tmp_path):
    cells = np.zeros((2048, 2048), np.float32)
    cells[:1024] = 7
    np.save(tmp_path / "gt.npy", cells)
    scene = blank_scene(1024, 1024)
    open_labels(tmp_path / "gt.npy", scene)  # imports
    tracemalloc.start()
    result = open_labels(tmp_path / "gt.npy", scene)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.counts == {7: 1024 * 512}
    assert peak < cells.nbytes


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED], ids=["north-up", "rotated"])
def test_maps_with_turned_rows_and_columns_are_aligned_like_others(factor, axes, transform, transposed):
    cells = np.kron(np.random.default_rng(2).integers(0, 3, (4, 5)), np.ones((factor, factor), int)).astype(np.uint8)
    cells[1, 2] = 3  # in the finer map, one cell of a pixel
    scene = blank_scene(4, 5, transform)
    rows, cols = cells.shape
    flip = Affine(
        -1 if 1 in axes else 1, 0, cols if 1 in axes else 0, 0, -1 if 0 in axes else 1, rows if 0 in axes else 0
    )
    fine = transform @ Affine.scale(1 / factor) @ flip
    expected, _ = of_one_class(cells, factor)
    turned = np.flip(cells, axes)
    if transposed:
        turned, fine = turned.T, fine @ Affine(0, 1, 0, 1, 0, 0)
    classes, notes = align_to_grid(turned, georeference(fine), scene, "gt")
    np.testing.assert_array_equal(classes, expected)
    assert "resampled" not in "".join(notes)
