"""Polygons, points and label rasters at the longitude where the CRS of a scene or of a file begins and ends."""

from __future__ import annotations

from itertools import product

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import open_labels
from hsifeat.scenes.labels.resampling import align_to_grid
from tests.helpers.georeferenced import blank_scene, georeference

# West, south, east and north of three fields, in degrees from the meridian in the middle of the scene.
FIELDS = np.array([(-0.3, -0.25, -0.1, -0.05), (-0.08, 0.05, 0.12, 0.25), (0.1, -0.25, 0.3, -0.05)])
SHAPE = (60, 80)


def scene_at(crs, meridian):
    """Return a scene across a meridian, with pixels of about 0.01 degrees.

    Also return the latitudes of the pixel centres, and their longitudes from -180 to 180 relative to the meridian.
    """
    if crs == "EPSG:4326":
        transform = Affine(0.01, 0, meridian - 0.4, 0, -0.01, 0.3)
    else:
        x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(meridian - 1e-9, 0)
        transform = Affine(1110, 0, x - 40 * 1110, 0, -1110, y + 30 * 1110)
    x, y = transform @ tuple(np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5))
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return blank_scene(*SHAPE, transform, crs), (lon - meridian + 180) % 360 - 180, lat


def saved_fields(crs, meridian, path):
    """Write the fields in a CRS, or in longitudes from the number `crs` and cut there."""
    shapes = shapely.box(*(FIELDS + np.array([meridian, 0, meridian, 0])).T)
    if isinstance(crs, int):
        world = shapely.box(crs, -90, crs + 360, 90)
        copies = [[shapely.affinity.translate(shape, turn) for turn in (-360, 0, 360)] for shape in shapes]
        shapes = [shapely.union_all(shapely.intersection(shape, world)) for shape in copies]
        crs = "EPSG:4326"
    else:
        shapes = geopandas.GeoSeries(shapely.segmentize(shapes, 0.01), crs="EPSG:4326").to_crs(crs)
    geopandas.GeoDataFrame({"class": [1, 2, 3]}, geometry=list(shapes), crs=crs).to_file(path)
    return path


@pytest.mark.parametrize(
    ("meridian", "scene_crs", "file_crs"),
    [
        *((180, *pair) for pair in product(["EPSG:32701", "EPSG:3857", "EPSG:4326"], [-180, 0, 170, "EPSG:3832"])),
        *((-180, "EPSG:4326", file_crs) for file_crs in (-180, 0, "EPSG:32701")),
        *((0, *pair) for pair in product(["EPSG:32631", "EPSG:3857", "EPSG:4326"], [-180, 0, "EPSG:32631"])),
        *((360, "EPSG:4326", file_crs) for file_crs in (-180, 0, "EPSG:32631")),
    ],
)
def test_fields_where_the_longitudes_of_the_scene_or_of_the_file_begin(meridian, scene_crs, file_crs, tmp_path):
    scene, lon, lat = scene_at(scene_crs, meridian)
    expected = np.zeros(SHAPE, int)
    for number, (west, south, east, north) in enumerate(FIELDS, 1):
        expected[(lon > west) & (lon < east) & (lat > south) & (lat < north)] = number
    labels = open_labels(saved_fields(file_crs, meridian, tmp_path / "fields.gpkg"), scene)
    np.testing.assert_array_equal(labels.classes, expected)
    assert not [note for note in labels.notes if "reprojected" not in note]


@pytest.mark.parametrize("crs", ["EPSG:32701", "EPSG:4326"])
def test_points_on_both_sides_of_the_antimeridian(crs, tmp_path):
    scene, lon, lat = scene_at(crs, 180)
    at = np.array([(5, 7), (20, 39), (20, 40), (44, 70)])
    points = [shapely.Point((lon[row, col] + 360) % 360 - 180, lat[row, col]) for row, col in at]
    frame = geopandas.GeoDataFrame({"class": [1, 2, 3, 4]}, geometry=points, crs="EPSG:4326")
    frame.to_file(tmp_path / "points.gpkg")
    labels = open_labels(tmp_path / "points.gpkg", scene)
    assert labels.classes[tuple(at.T)].tolist() == [1, 2, 3, 4]
    assert np.count_nonzero(labels.classes) == 4


def test_a_polygon_across_both_ends_of_a_global_scene(tmp_path):
    scene = blank_scene(90, 180, Affine(2, 0, -180, 0, -2, 90), "EPSG:4326")
    field = geopandas.GeoSeries([shapely.box(170, -10, 190, 10)], crs="EPSG:4326")
    expected = np.zeros((90, 180), int)
    expected[40:50, [*range(5), *range(175, 180)]] = 1
    path = tmp_path / "x.gpkg"
    geopandas.GeoDataFrame({"class": [1]}, geometry=field, crs=field.crs).to_file(path)
    np.testing.assert_array_equal(open_labels(path, scene).classes, expected)
    shapes = field.segmentize(1).to_crs("EPSG:32701")
    geopandas.GeoDataFrame({"class": [1]}, geometry=shapes, crs=shapes.crs).to_file(path)
    with pytest.raises(
        SceneError, match=r"x\.gpkg: 1 polygon crosses the meridian opposite to the centre of the scene x"
    ):
        open_labels(path, scene)


@pytest.mark.parametrize(
    ("cell", "west", "width"),
    [
        *((0.25, *span) for span in [(-180, 360), (0, 360), (0, 359.75), (170, 20), (-10, 20)]),
        *((0.01, *span) for span in [(0, 360), (170, 20), (-10, 20)]),
        *((0.005, *span) for span in [(-180, 360), (0, 360)]),  # 2 x 2 cells per pixel
    ],
)
@pytest.mark.parametrize(
    ("meridian", "crs"),
    [
        (180, "EPSG:32701"),
        (180, "EPSG:4326"),
        (-180, "EPSG:4326"),
        (0, "EPSG:32631"),
        (0, "EPSG:4326"),
        (360, "EPSG:4326"),
    ],
)
def test_rasters_where_the_longitudes_of_the_scene_or_of_the_raster_begin(meridian, crs, cell, west, width):
    scene, offset, lat = scene_at(crs, meridian)

    def class_at(lon, lat):
        step = max(cell, 0.01)
        numbers = np.floor(lon % 360 / step) * 7 % 5, np.floor((lat + 1) / step) * 3 % 5
        return sum(number.astype(np.uint8) for number in numbers) % 5 + 1

    cell_lon = (np.arange(round(width / cell)) + 0.5) * cell + west
    cell_lat = 0.5 - (np.arange(round(1 / cell)) + 0.5) * cell
    lon = (offset + meridian - west) % 360 + west
    expected = np.where(lon < west + width, class_at(lon, lat), 0)
    where = georeference(Affine(cell, 0, west, 0, -cell, 0.5), "EPSG:4326")
    if not expected.any():
        with pytest.raises(SceneError, match="no labelled pixel lies on the scene x"):
            align_to_grid(class_at(cell_lon, cell_lat[:, None]), where, scene, "gt")
        return
    classes, notes = align_to_grid(class_at(cell_lon, cell_lat[:, None]), where, scene, "gt")
    np.testing.assert_array_equal(classes, expected)
    begins_in_scene = (meridian - west) % 360 == 0
    assert any("read at both ends" in note for note in notes) == (crs == "EPSG:4326" and begins_in_scene)


WORLD = Affine(400e3, 0, -18e6, 0, -400e3, 9e6)


@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [
        pytest.param("ESRI:54030", Affine(425145, 0, -17005833, 0, -287505, 8625154), (60, 80), id="Robinson, tight"),
        pytest.param("ESRI:54030", WORLD, (45, 90), id="Robinson"),
        pytest.param("ESRI:54009", WORLD, (45, 90), id="Mollweide"),
        pytest.param("ESRI:54012", WORLD, (45, 90), id="Eckert IV"),
        pytest.param("EPSG:8857", WORLD, (45, 90), id="Equal Earth"),
        pytest.param("+proj=robin +lon_0=150", WORLD, (45, 90), id="Robinson that ends at -30"),
        pytest.param("+proj=igh", Affine(400e3, 0, -20.4e6, 0, -400e3, 9e6), (45, 102), id="Goode, in lobes"),
        pytest.param("ESRI:54030", Affine(60e3, 0, 13e6, 0, -60e3, 4e6), (60, 80), id="east of Robinson"),
        pytest.param("ESRI:54008", Affine(60e3, 0, 16e6, 0, -60e3, 4e6), (60, 80), id="east of sinusoidal"),
        pytest.param("ESRI:54009", Affine(60e3, 0, -18e6, 0, -60e3, 4e6), (60, 80), id="west of Mollweide"),
    ],
)
@pytest.mark.parametrize("west", [170.0, -180.0, 0.0, 175.0, -45.0])
def test_polygons_are_cut_at_the_end_of_a_map_with_curved_meridians(crs, transform, shape, west, tmp_path):
    """One polygon has two parts."""
    boxes = shapely.box([west, 20, 50], 10, [west + 10, 30, 60], 20)
    shapes = [shapely.MultiPolygon([boxes[0], boxes[2]]), boxes[1]]
    geopandas.GeoDataFrame({"class": [1, 2]}, geometry=shapes, crs="EPSG:4326").to_file(tmp_path / "f.gpkg")
    x, y = transform @ tuple(np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5))
    to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = np.nan_to_num(to_degrees.transform(x, y), posinf=1e30)
    back_x, back_y = np.nan_to_num(to_degrees.transform(lon, lat, direction="INVERSE"), posinf=1e30)
    inside = (lat > 10) & (lat < 20) & (np.hypot(back_x - x, back_y - y) < 1)
    first = inside & (((lon - west) % 360 < 10) | ((lon > 50) & (lon < 60)))
    expected = np.where(first, 1, np.where(inside & (lon > 20) & (lon < 30), 2, 0))
    scene = blank_scene(*shape, transform, crs)
    if not expected.any():
        with pytest.raises(SceneError, match="no feature"):
            open_labels(tmp_path / "f.gpkg", scene)
        return
    np.testing.assert_array_equal(open_labels(tmp_path / "f.gpkg", scene).classes, expected)


@pytest.mark.parametrize(
    ("crs", "box"),
    [
        pytest.param("+proj=ob_tran +o_proj=sinu +o_lat_p=60 +o_lon_p=30 +lon_0=0", (100, -70, 130, -50), id="oblique"),
        pytest.param("EPSG:3035", (-180, -70, -150, -50), id="around the antipode of an azimuthal map"),
        pytest.param("+proj=tpeqd +lat_1=0 +lon_1=0 +lat_2=30 +lon_2=60", (-180, -30, -150, -10), id="two points"),
    ],
)
def test_polygons_are_refused_where_a_map_does_not_end_at_a_meridian(crs, box, tmp_path):
    field = geopandas.GeoSeries([shapely.box(*box).segmentize(1)], crs="EPSG:4326")
    geopandas.GeoDataFrame({"class": [1]}, geometry=field, crs=field.crs).to_file(tmp_path / "f.gpkg")
    scene = blank_scene(90, 90, Affine(450e3, 0, -20e6, 0, -450e3, 20e6), crs)
    with pytest.raises(SceneError, match=r"f\.gpkg: 1 polygon reaches both ends of the map"):
        open_labels(tmp_path / "f.gpkg", scene)


@pytest.mark.parametrize("file_crs", ["EPSG:4326", "EPSG:4267", "EPSG:32632"])
@pytest.mark.parametrize("crs", ["EPSG:3995", "ESRI:102008", "EPSG:32618", "ESRI:54030"])
def test_thin_and_large_polygons_are_not_taken_for_torn_ones(crs, file_crs, tmp_path):
    """In NAD27, PROJ takes different transformations on the way to the scene and back."""
    x, y = pyproj.Transformer.from_crs("EPSG:4267", crs, always_xy=True).transform(-74, 70)
    scene = blank_scene(40, 60, Affine(30, 0, x - 900, 0, -30, y + 600), crs)
    x, y = pyproj.Transformer.from_crs(crs, file_crs, always_xy=True).transform(x, y)
    unit = 30 if file_crs == "EPSG:32632" else 3e-4
    shapes = [shapely.box(x - w * unit, y - h * unit, x + w * unit, y + h * unit)
              for w, h in ((1e-3, 900), (900, 1e-3), (1000, 1000), (8, 8), (0.2, 0.2))]  # fmt: skip
    bow = shapely.Polygon([(x - unit, y), (x + unit, y), (x, y + unit), (x, y - 9 * unit)])
    table = geopandas.GeoDataFrame({"class": [1] * 6}, geometry=[*shapes, bow], crs=file_crs)
    table.to_file(tmp_path / "f.gpkg")
    assert open_labels(tmp_path / "f.gpkg", scene).classes.all()
