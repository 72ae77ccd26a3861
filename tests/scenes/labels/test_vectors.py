"""Labels from polygons and points."""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio.features
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio import Affine

from hsifeat.errors import SceneError
from hsifeat.scenes import open_labels
from tests.helpers.georeferenced import blank_scene, read_first_band
from tests.helpers.vector_files import CRS, NORTH_UP, box, saved

ROTATED = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
TWO = [box(0, 0, 3, 2), box(1, 3, 6, 5)]
FIELDS = np.zeros((6, 7), int)
FIELDS[0:2, 0:3], FIELDS[3:5, 1:6] = 2, 1


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".json"])
@pytest.mark.parametrize(("classes", "numbers"), [(["wheat", "corn"], {1: "corn", 2: "wheat"}), ([20, 10], {})])
def test_every_vector_format_with_numbers_and_names(tmp_path, suffix, classes, numbers):
    path = saved(
        tmp_path / f"the fields{suffix}", {"crop": classes}, TWO, driver="GeoJSON" if suffix == ".json" else None
    )
    labels = open_labels(path, blank_scene(6, 7, NORTH_UP))
    np.testing.assert_array_equal(labels.classes, FIELDS * (1 if numbers else 10))
    assert labels.class_names == numbers or not numbers
    assert labels.name == "the fields" and not labels.notes
    assert open_labels(f"{path}:crop", blank_scene(6, 7, NORTH_UP)).name == "crop"


def test_landsat_polygons_agree_with_gdal_rasterize(data_folder, gdal, tmp_path):
    folder = data_folder / "nc_landsat7"
    given = read_first_band(folder / "landsat96_labelled_pixels.tif").array.clip(0)
    where = read_first_band(folder / "landsat_multiband.tif").georeference
    labels = open_labels(f"{folder / 'landsat96_polygons.shp'}:id", blank_scene(443, 489, where.transform, where.crs))
    assert labels.georeference.transform == where.transform
    assert "reprojected from NAD83(HARN) / North Carolina" in labels.notes[0]
    for rule, name in (((), "centres"), (("-at",), "touched")):
        grid = ("-a", "id", "-ts", 489, 443, "-te", 630534, 215488.5, 644470.5, 228114, "-ot", "Byte")
        gdal("gdal_rasterize", "-q", *rule, *grid, folder / "landsat96_polygons.shp", tmp_path / f"{name}.tif")
    np.testing.assert_array_equal(labels.classes, read_first_band(tmp_path / "centres.tif").array)
    # The raster beside the polygons holds every pixel that they touch, ours those whose centres they hold.
    np.testing.assert_array_equal(given, read_first_band(tmp_path / "touched.tif").array)
    inside = labels.classes != 0
    np.testing.assert_array_equal(labels.classes[inside], given[inside])
    assert (np.count_nonzero(inside), np.count_nonzero(given)) == (2264, 2872)


def test_the_class_column_of_landsat_polygons_is_guessed(data_folder):
    folder = data_folder / "nc_landsat7"
    where = read_first_band(folder / "landsat_multiband.tif").georeference
    scene = blank_scene(443, 489, where.transform, where.crs)
    named = open_labels(folder / "landsat96_polygons.shp", scene)
    assert named.notes[0].startswith("landsat96_polygons.shp: read the classes from the column label, of label, id")
    assert list(named.class_names.values()) == [
        "agriculture", "developed", "forest", "herbaceous", "sediment", "shrubland", "water",
    ]  # fmt: skip
    numbered = open_labels(f"{folder / 'landsat96_polygons.shp'}:id", scene)
    pairs = set(zip(named.classes.ravel().tolist(), numbered.classes.ravel().tolist(), strict=True))
    assert len(pairs) == 8, "names and numbers tell the same classes apart"


@st.composite
def triangles(draw):
    """Triangles in columns and rows, with their classes."""
    corner = st.tuples(st.floats(-3, 12), st.floats(-3, 10))
    shapes = draw(st.lists(st.tuples(st.tuples(corner, corner, corner), st.integers(0, 4)), min_size=1, max_size=5))
    return [(points, number) for points, number in shapes if shapely.Polygon(points).area > 0.5]


@given(shapes=triangles(), transform=st.sampled_from([NORTH_UP, ROTATED]), crs=st.sampled_from([CRS, "EPSG:4326"]))
def test_polygons_label_the_pixels_whose_centres_they_contain(tmp_path_factory, shapes, transform, crs):
    polygons = [shapely.Polygon([transform @ point for point in points]) for points, _ in shapes]
    frame = geopandas.GeoDataFrame({"class": [number for _, number in shapes]}, geometry=polygons, crs=CRS).to_crs(crs)
    x, y = transform @ tuple(np.meshgrid(np.arange(9) + 0.5, np.arange(7) + 0.5))
    centres = shapely.points(x, y)
    holds = np.array([shapely.contains(polygon, centres) for polygon in polygons]).reshape(-1, 7, 9)
    classes = [number for _, number in shapes]
    if not any(number and held.any() for number, held in zip(classes, holds, strict=True)):
        return
    expected, clashes = np.zeros((7, 9), int), 0
    for pixel in np.ndindex(7, 9):
        result = {number for number, held in zip(classes, holds, strict=True) if held[pixel]}
        expected[pixel] = next(iter(result)) if len(result) == 1 else 0
        clashes += len(result) > 1
    # A centre that lies all but on an edge may fall on either side.
    clear = np.all([shapely.distance(polygon.boundary, centres) > 1e-3 for polygon in polygons], axis=0)
    path = tmp_path_factory.mktemp("vectors") / "fields.gpkg"
    frame.to_file(path)
    try:
        labels = open_labels(path, blank_scene(7, 9, transform))
    except SceneError:
        assert not clear.all() or not expected.any()
        return
    np.testing.assert_array_equal(labels.classes[clear], expected[clear])
    if clear.all():
        outside = sum(not polygon.intersects(box(0, 0, 9, 7, transform)) for polygon in polygons)
        notes = " ".join(labels.notes)
        hold = "pixel holds" if clashes == 1 else "pixels hold"
        assert (f"{clashes} {hold} features of different classes and became 0" in notes) == (clashes > 0)
        # Where a polygon only touches the scene, reprojection decides.
        touching = any(0 <= polygon.intersection(box(0, 0, 9, 7, transform)).area < 1 for polygon in polygons
                       if polygon.distance(box(0, 0, 9, 7, transform)) < 1e-2)  # fmt: skip
        told = f"{outside} of {len(shapes)} features lie outside the scene" in notes
        assert touching or told == (outside > 0)
        empty = sum(not held.any() for held in holds) - outside
        assert touching or (f"{empty} of {len(shapes) - outside} features on the scene hold" in notes) == (empty > 0)
        lost = len(set(classes) - {0} - set(expected.flat))
        assert (f"{lost} of {len(set(classes) - {0})} classes label" in notes) == (lost > 0)
        assert ("reprojected from WGS 84 to the scene's" in notes) == (crs == "EPSG:4326")


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED], ids=["north-up", "rotated"])
@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "EPSG:32618"])
def test_points_label_the_pixels_that_contain_them(tmp_path, transform, crs):
    places = np.random.default_rng(0).uniform((-2, -2), (22, 17), (60, 2))
    numbers = np.random.default_rng(1).integers(1, 4, 60)
    points = [shapely.Point(*(transform @ tuple(location)), 5.0) for location in places]  # with a height
    pairs = [shapely.MultiPoint(points[i : i + 2]) for i in (0, 2)]
    frame = geopandas.GeoDataFrame({"code": [7, 8, *numbers[4:]]}, geometry=[*pairs, *points[4:]], crs=CRS)
    frame.to_crs(crs).to_file(tmp_path / "points.gpkg")
    result = {}
    for (col, row), number in zip(places, [7, 7, 8, 8, *numbers[4:].tolist()], strict=True):
        if 0 <= row < 15 and 0 <= col < 20:
            result.setdefault((int(row), int(col)), set()).add(number)
    expected = np.zeros((15, 20), int)
    for pixel, held in result.items():
        expected[pixel] = next(iter(held)) if len(held) == 1 else 0
    labels = open_labels(tmp_path / "points.gpkg", blank_scene(15, 20, transform))
    np.testing.assert_array_equal(labels.classes, expected)
    clashes = sum(len(held) > 1 for held in result.values())
    assert clashes and f"{clashes} pixels hold features of different classes" in labels.notes[-1]


def test_features_without_a_pixel_are_counted_and_their_classes_named(tmp_path):
    """The rule is that of GDAL: a pixel centre lies in a polygon, and a point not on the right or lower edge."""
    at = [NORTH_UP @ place for place in ((7, 2.5), (3.5, 6), (2.5, 3.5), (2.2, 3.2), (2.6, 3.4))]
    shapes = {
        "big": box(0, 0, 3, 2), "hidden": box(1, 0, 2, 1), "over": box(1, 0, 2, 1),
        "tiny": box(4.6, 4.6, 4.9, 4.9), "right": shapely.Point(at[0]), "lower": shapely.Point(at[1]),
        "a": shapely.Point(at[2]), "b": shapely.Point(at[3]), "c": shapely.Point(at[4]),
    }  # fmt: skip
    names = ["p" if name in "abc" else name for name in shapes]
    path = saved(tmp_path / "f.geojson", {"c": names}, list(shapes.values()))
    labels = open_labels(path, blank_scene(6, 7, NORTH_UP))
    alone = {
        name: rasterio.features.rasterize([shape], (6, 7), transform=NORTH_UP).any() for name, shape in shapes.items()
    }
    empty = [name for name, drawn in alone.items() if not drawn]
    assert empty == ["tiny", "right", "lower"] and set(labels.class_names.values()) == {"big", "p"}
    assert "f.geojson: 3 of 9 features on the scene hold no centre of a pixel and label nothing" in labels.notes[1]
    assert labels.notes[2] == (
        "f.geojson: 5 of 7 classes label no pixel of the scene: hidden, lower, over, right, tiny"
    )


def test_a_file_written_by_ogr2ogr(tmp_path, gdal):
    (tmp_path / "points.csv").write_text('class,WKT\nrock,"POINT (500005 3999995)"\nice,"POINT (500025 3999975)"\n')
    gdal("ogr2ogr", "-q", "-a_srs", CRS, "-select", "class", tmp_path / "p.gpkg", tmp_path / "points.csv")
    labels = open_labels(tmp_path / "p.gpkg", blank_scene(3, 3, NORTH_UP))
    assert labels.classes.tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert labels.class_names == {1: "ice", 2: "rock"}


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        pytest.param({"class": [1, 2]}, "class", id="class"),
        pytest.param({"OBJECTID": [1, 2], "Land_Use": ["a", "b"], "owner": ["x", "y"]}, "Land_Use", id="by-name"),
        pytest.param(
            {"id": [1, 2], "osm_id": [3, 4], "area": [0.5, 1.5], "owner": ["x", "y"]}, "owner", id="beside-ids"
        ),
        pytest.param({"label": [1.0, None]}, "label", id="float-by-name"),
        pytest.param({"class": [1, 2], "label": ["a", "b"]}, None, id="two-by-name"),
        pytest.param({"owner": ["x", "y"], "crew": [1, 2]}, None, id="two-texts"),
    ],
)
def test_an_unambiguous_class_column_is_guessed(tmp_path, columns, chosen):
    path = saved(tmp_path / "f.gpkg", columns, TWO)
    if chosen is None:
        with pytest.raises(
            SceneError, match=f"several columns may hold the class, {', '.join(columns)}: .*FILE:COLUMN"
        ):
            open_labels(path, blank_scene(6, 7, NORTH_UP))
        chosen = next(iter(columns))
        assert open_labels(f"{path}:{chosen}", blank_scene(6, 7, NORTH_UP)).name == chosen
        return
    labels = open_labels(path, blank_scene(6, 7, NORTH_UP))
    told = [
        note for note in labels.notes if f"read the classes from the column {chosen}, of {', '.join(columns)}" in note
    ]
    assert len(told) == (len(columns) > 1)
    np.testing.assert_array_equal(labels.classes, open_labels(f"{path}:{chosen}", blank_scene(6, 7, NORTH_UP)).classes)


def test_layers_are_selected_by_name_or_listed(tmp_path):
    path = tmp_path / "survey 1:2.gpkg"  # a colon in the file's name
    saved(path, {"crop": ["a", "b"], "type": [3, 4]}, TWO, layer="fields")
    saved(path, {"class": [5]}, [shapely.Point(500_005, 3_999_995)], layer="wells")
    scene = blank_scene(6, 7, NORTH_UP)
    listing = r"2 layers: name one as FILE:LAYER:COLUMN, of fields \(crop, type\); wells \(class\)"
    with pytest.raises(SceneError, match=listing):
        open_labels(path, scene)
    with pytest.raises(SceneError, match="no layer for 'crop'.*of fields"):
        open_labels(f"{path}:crop", scene)
    with pytest.raises(SceneError, match="no column 'x'; it has crop, type"):
        open_labels(f"{path}:fields:x", scene)
    assert open_labels(f"{path}:fields:type", scene).counts == {3: 6, 4: 10}
    wells = open_labels(f"{path}:wells", scene)
    assert wells.name == "wells" and wells.counts == {5: 1}


def test_features_without_class_or_geometry_are_dropped(tmp_path):
    shapes = [*TWO, box(6, 0, 7, 1), None, shapely.Polygon(), box(0, 5, 1, 6)]
    path = saved(tmp_path / "f.gpkg", {"class": ["wheat", "corn", None, "corn", "corn", " "]}, shapes)
    labels = open_labels(path, blank_scene(6, 7, NORTH_UP))
    np.testing.assert_array_equal(labels.classes, FIELDS)
    assert labels.notes == ("f.gpkg: dropped 4 features without a class or a geometry",)


def test_class_numbers_do_not_depend_on_the_scene(tmp_path):
    path = saved(tmp_path / "f.gpkg", {"class": ["wheat", "corn"]}, TWO)
    lower = open_labels(path, blank_scene(2, 7, NORTH_UP))
    assert lower.class_names == {2: "wheat"}, "corn is 1, though none of it lies here"
    assert lower.notes == (
        "f.gpkg: 1 of 2 features lie outside the scene",
        "f.gpkg: 1 of 2 classes labels no pixel of the scene: corn",
    )


@pytest.mark.parametrize(
    ("geometry", "crs", "scene", "message"),
    [
        pytest.param(TWO, CRS, blank_scene(6, 7), "the scene x has no CRS: assign a CRS to the scene", id="no-georeference"),
        pytest.param(TWO, CRS, blank_scene(6, 7, NORTH_UP, None), "the scene x has no CRS", id="scene-no-crs"),
        pytest.param(TWO, None, blank_scene(6, 7, NORTH_UP), "f.gpkg has no CRS", id="no-crs"),
        pytest.param(TWO, "EPSG:32618", blank_scene(6, 7, NORTH_UP), "no feature lies on the scene x", id="outside"),
        pytest.param([box(0, 0, 0.4, 0.4)] * 2, CRS, blank_scene(6, 7, NORTH_UP), "holds the centre of a pixel", id="small"),
        pytest.param([shapely.LineString([(0, 0), (1, 1)])] * 2, CRS, blank_scene(6, 7, NORTH_UP), "found LineString", id="lines"),
        pytest.param([shapely.box(-20, -89, 60, -88)] * 2, "EPSG:4326", blank_scene(6, 7, NORTH_UP, "EPSG:2154"), "no feature lies",
                     id="beyond-the-projection"),
        pytest.param([None, None], CRS, blank_scene(6, 7, NORTH_UP), "no feature with a geometry and a class|no layer", id="empty"),
        pytest.param([shapely.Polygon([NORTH_UP @ p for p in ((0, 0), (4, 4), (4, 0), (0, 4))])] * 2, "EPSG:32618",
                     blank_scene(6, 7, NORTH_UP), "no feature lies", id="bow-tie-outside"),
    ],
)  # fmt: skip
def test_labels_that_can_not_be_aligned_are_refused(tmp_path, geometry, crs, scene, message):

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        path = saved(tmp_path / "f.gpkg", {"class": [1, 2]}, geometry, crs)
    with pytest.raises(SceneError, match=message) as caught:
        open_labels(path, scene)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["f.gpkg", "f.geojson", "f.shp"])
@pytest.mark.parametrize("content", [b"", b"hello", None], ids=["empty", "text", "missing"])
def test_a_damaged_file_gives_one_clear_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    message = "no such file" if content is None else "can't be read, it may be truncated"
    for source in (tmp_path / name, f"{tmp_path / name}:class"):
        with pytest.raises(SceneError, match=message) as caught:
            open_labels(source, blank_scene(6, 7, NORTH_UP))
        assert "\n" not in str(caught.value)


@given(cut=st.floats(0, 0.99), suffix=st.sampled_from(["gpkg", "geojson", "shp"]))
def test_a_truncated_file_is_refused_or_read_completely(tmp_path_factory, cut, suffix):
    path = saved(tmp_path_factory.mktemp("cut") / f"f.{suffix}", {"class": [2, 1]}, TWO)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    try:
        labels = open_labels(path, blank_scene(6, 7, NORTH_UP))
    except SceneError as error:
        assert "\n" not in str(error)
    else:
        np.testing.assert_array_equal(labels.classes, FIELDS)


def test_vector_labels_require_a_scene(tmp_path):
    with pytest.raises(SceneError, match="does not define a pixel grid: give the scene"):
        open_labels(saved(tmp_path / "f.gpkg", {"class": [1, 2]}, TWO))


def test_a_self_intersecting_polygon_is_rasterised_as_by_gdal(tmp_path):
    tie = shapely.Polygon([NORTH_UP @ point for point in ((0, 0), (4, 4), (4, 0), (0, 4))])
    path = saved(tmp_path / "f.gpkg", {"class": [1]}, [tie])
    labels = open_labels(path, blank_scene(4, 4, NORTH_UP))
    wanted = rasterio.features.rasterize([tie], (4, 4), transform=NORTH_UP)
    np.testing.assert_array_equal(labels.classes, wanted)


LAEA = Affine(5_000, 0, 5_900_000, 0, -5_000, 4_500_000)


def latitudes(transform, crs, rows, cols):
    x, y = transform @ tuple(np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5))
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)[1]


def test_a_continental_box_covers_the_scene(tmp_path):
    """If only the corners of the box were reprojected, the scene would lie outside of the box."""
    shapes = [shapely.box(-30, 30, 60, 72), shapely.box(-30, 10, 60, 12)]
    path = saved(tmp_path / "x.gpkg", {"class": [3, 4]}, shapes, "EPSG:4326")
    labels = open_labels(path, blank_scene(20, 30, NORTH_UP, "EPSG:32633"))
    assert (labels.classes == 3).all()
    assert labels.notes[-2:] == (
        "x.gpkg: 1 of 2 features lie outside the scene",
        "x.gpkg: 1 of 2 classes labels no pixel of the scene: 4",
    )


@pytest.mark.parametrize("shape", ["box", "bow-tie"])
def test_an_edge_along_a_parallel_follows_its_curvature(tmp_path, shape):
    lat = latitudes(LAEA, "EPSG:3035", 200, 300)
    edge = float(lat.mean())
    corners = [(-60, edge), (140, edge), (140, 89), (-60, 89)]
    if shape == "bow-tie":  # not valid, and its other half far away
        corners = [(-60, edge), (140, edge), (140, 80), (-60, 89), (140, 89), (-60, 80)]
    path = saved(tmp_path / "x.gpkg", {"class": [3]}, [shapely.Polygon(corners)], "EPSG:4326")
    labels = open_labels(path, blank_scene(200, 300, LAEA, "EPSG:3035"))
    clear = np.abs(lat - edge) > 1e-3  # of a degree: a fiftieth of a pixel
    np.testing.assert_array_equal((labels.classes == 3)[clear], (lat > edge)[clear])
    assert np.count_nonzero(~clear) < 2000


@pytest.mark.parametrize(
    ("crs", "transform"),
    [("EPSG:3031", Affine(10_000, 0, -200_000, 0, -10_000, 200_000)), ("EPSG:3832", Affine(5_000, 0, 3_300_000, 0, -5_000, 0))],
    ids=["pole", "antimeridian"],
)  # fmt: skip
def test_a_band_of_latitudes_at_the_pole_and_across_the_antimeridian(tmp_path, crs, transform):
    lat = latitudes(transform, crs, 40, 40)
    edge = float(np.median(lat))
    path = saved(tmp_path / "x.gpkg", {"class": [3]}, [shapely.box(-180, -90, 180, edge)], "EPSG:4326")
    labels = open_labels(path, blank_scene(40, 40, transform, crs))
    clear = np.abs(lat - edge) > 0.03
    wrong = (labels.classes == 3)[clear] != (lat < edge)[clear]
    assert wrong.mean() < 0.02, "but for the pixels on the antimeridian itself, where the band begins and ends"


@pytest.mark.parametrize(("suffix", "driver"), [(".fgb", "FlatGeobuf"), (".kml", "KML"), (".gml", "GML")])
def test_other_vector_formats(gdal, tmp_path, suffix, driver):
    source = saved(tmp_path / "x.gpkg", {"crop": ["wheat", "corn"]}, TWO)
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / f"fields{suffix}"
    gdal("ogr2ogr", "-f", driver, path, source)
    for one in (tmp_path / "out").glob("*.xsd"):
        one.unlink()
    before = sorted((tmp_path / "out").iterdir())
    labels = open_labels(path, blank_scene(6, 7, NORTH_UP))
    # KML's numbers are rounded, and in degrees.
    assert np.count_nonzero(labels.classes != FIELDS) == 0
    assert labels.class_names == {1: "corn", 2: "wheat"} and labels.name == "fields"
    assert sorted((tmp_path / "out").iterdir()) == before, "nothing is written beside it"


def test_warnings_of_gdal_become_notes_without_a_path(tmp_path):
    """pyogrio warns in Python, with a path, about columns that GDAL does not know."""
    saved(tmp_path / "x.gpkg", {"crop": ["a"]}, [box(0, 0, 2, 2)])
    with closing(sqlite3.connect(tmp_path / "x.gpkg")) as database:
        database.execute("create table other (a)")
    labels = open_labels(tmp_path / "x.gpkg", blank_scene(4, 4, NORTH_UP))
    assert labels.class_names == {1: "a"} and any(note.startswith("x.gpkg: ") for note in labels.notes)
    assert str(tmp_path) not in " ".join(labels.notes)


@pytest.mark.parametrize("name", ["a;b.gpkg", "a!b.gpkg", "a!b/c.gpkg"])
def test_names_that_the_vector_library_takes_for_addresses_are_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    saved(tmp_path / "plain.gpkg", {"crop": [1, 2]}, TWO).rename(path)
    with pytest.raises(SceneError, match="with ';' in their name or '!' in their path can't be read: rename"):
        open_labels(path, blank_scene(6, 7, NORTH_UP))


@pytest.mark.parametrize("kind", ["TIN", "POLYHEDRALSURFACE"])
def test_surfaces_are_no_polygons(tmp_path, gdal, kind):
    (tmp_path / "x.csv").write_text(f'id,crop,WKT\n1,corn,"{kind}(((0 0 0,9 0 0,5 -9 0,0 0 0)))"\n')
    layout = ("-a_srs", CRS, "-oo", "GEOM_POSSIBLE_NAMES=WKT")
    gdal("ogr2ogr", "-f", "GPKG", tmp_path / "x.gpkg", tmp_path / "x.csv", *layout)
    with pytest.raises(SceneError, match="neither a polygon nor a point, such as a TIN or a PolyhedralSurface"):
        open_labels(f"{tmp_path / 'x.gpkg'}:crop", blank_scene(6, 7, NORTH_UP))
