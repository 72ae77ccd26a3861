"""Labels as GeoJSON: polygons in longitude and latitude, against GDAL's programs, pyproj and the labels that come back."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from classifiers.labelling.geojson_polygons import as_longitudes_and_latitudes
from classifiers.labelling.label_files import export_labels
from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.open_labels import open_labels

SHAPE = (30, 40)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (32701, (30, 0, 179_200, 0, -30, 8_130_000)),
        (3857, (100, 0, 20_035_508, 0, -100, -1_600_000)),
        (4326, (0.01, 0, 179.8, 0, -0.01, -16.8)),
        (4326, (0.01, 0, 239.6, 0, -0.01, -16.8)),
        (4326, (9, 0, 0, 0, -6, 90)),
        (3031, (1000, 0, -20_000, 0, -1000, -2_000_000)),  # the 180th meridian runs along the edges of pixels
    ],
)
def test_geojson_is_cut_at_the_180th_meridian(crs, transform, gdal, tmp_path):
    from pyproj import CRS

    classes = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    classes[2:9, 5:38] = 1
    georeference = Georeference(CRS.from_epsg(crs).to_wkt(), transform)
    labels = Labels("crops", classes, {1: "taro", 2: "cane"}, georeference=georeference)
    assert export_labels(labels, tmp_path / "mine.geojson") == ()
    for column in ("number", "labels:number"):
        found = open_labels(tmp_path / f"mine.geojson:{column}", labels)
        np.testing.assert_array_equal(found.classes, classes)
    content = json.loads((tmp_path / "mine.geojson").read_text())
    assert "crs" not in content, "RFC 7946 knows only longitude and latitude"
    if crs == 3031:  # GDAL's polygons go around the world
        assert degrees(tmp_path / "mine.geojson")[1][0] < 0.6
        return
    export_labels(labels, tmp_path / "labels.gpkg")
    gdal("ogr2ogr", "-lco", "RFC7946=YES", tmp_path / "cut.geojson", tmp_path / "labels.gpkg")
    ours, theirs = (degrees(tmp_path / name) for name in ("mine.geojson", "cut.geojson"))
    assert ours.keys() == theirs.keys()
    for number, (area, west, east) in theirs.items():
        assert ours[number][0] == pytest.approx(area, rel=1e-3)
        assert ours[number][1:] == pytest.approx((west, east), abs=1e-6)


def degrees(path):
    """Return the area, the first and the last longitude of each class of a GeoJSON file, in degrees."""
    import geopandas

    frame = geopandas.read_file(path)
    with warnings.catch_warnings(action="ignore"):
        areas = frame.assign(area=frame.area).groupby("number").area.sum()
    west, east = (frame.bounds.groupby(frame.number)[key] for key in ("minx", "maxx"))
    return {number: (areas[number], west.min()[number], east.max()[number]) for number in areas.index}


def test_geojson_around_a_pole_is_refused(tmp_path):
    from pyproj import CRS

    georeference = Georeference(CRS.from_epsg(3031).to_wkt(), (1000, 0, -20_000, 0, -1000, 15_000))
    labels = Labels("ice", np.ones(SHAPE, np.uint8), {1: "firn"}, georeference=georeference)
    with pytest.raises(SceneError, match=r"x\.geojson: a polygon of the class 'firn' lies around a pole or beside it"):
        export_labels(labels, tmp_path / "x.geojson")
    assert not list(tmp_path.iterdir())
    # A polygon around the world, on a map with curved meridians.
    mollweide = Georeference(
        CRS.from_user_input("ESRI:54009").to_wkt(), (800_000, 0, -16_000_000, 0, -100_000, 1_500_000)
    )
    with pytest.raises(SceneError, match="or at more than half of all longitudes"):
        export_labels(replace(labels, georeference=mollweide), tmp_path / "x.geojson")
    # Elsewhere in the scene polygons are written.
    labels = Labels("ice", np.pad([[1]], ((0, 29), (0, 39))), {1: "firn"}, georeference=georeference)
    export_labels(labels, tmp_path / "x.geojson")
    np.testing.assert_array_equal(open_labels(tmp_path / "x.geojson:number", labels).classes, labels.classes)


def test_edges_that_cross_in_longitude_and_latitude_are_not_called_a_pole():
    import geopandas
    import shapely

    # Its upper edge is an arch of 5 km in longitude and latitude, and its notch ends 1 km below that edge.
    notched = [(250e3, 5e6), (750e3, 5e6), (750e3, 4.99e6), (500e3, 4.999e6), (250e3, 4.99e6)]
    frame = geopandas.GeoDataFrame({"class": ["oak"]}, geometry=[shapely.Polygon(notched)], crs=32632)
    with pytest.raises(SceneError, match=r"x\.geojson: a polygon of the class 'oak' has edges that cross if"):
        as_longitudes_and_latitudes(frame, 1e6, "x.geojson")
    as_longitudes_and_latitudes(frame, 1e4, "x.geojson")


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("ESRI:54009", (3e5, 0, -18_500_000, 0, -1e5, 1_500_000)),
        ("ESRI:54030", (3e5, 0, -17_500_000, 0, -1e5, 1_500_000)),
        ("ESRI:54008", (3e5, 0, -12_000_000, 0, -1e5, 6_000_000)),
        ("+proj=ortho +lat_0=20 +lon_0=170 +datum=WGS84", (5e4, 0, 4_400_000, 0, -5e4, 1_000_000)),
        ("EPSG:4326", (1, 0, 170, 0, -1, 90.5)),
    ],
)
def test_geojson_has_all_labels_or_refuses_those_off_the_map(crs, transform, tmp_path):
    from pyproj import CRS, Transformer
    from rasterio import Affine

    georeference = Georeference(CRS.from_user_input(crs).to_wkt(), transform)
    rows, cols = np.mgrid[: SHAPE[0] + 1, : SHAPE[1] + 1]
    x, y = Affine(*transform) @ (cols, rows)
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    degrees = np.array(to_degrees.transform(x, y))
    back = np.array(to_degrees.transform(*degrees, direction="INVERSE"))
    on_map = np.isfinite(degrees).all(axis=0) & (np.abs(degrees[1]) <= 90) & (np.hypot(*(back - (x, y))) < 1)
    inside = on_map[:-1, :-1] & on_map[:-1, 1:] & on_map[1:, :-1] & on_map[1:, 1:]
    assert 0 < inside.sum() < inside.size
    path = tmp_path / "labels.geojson"
    # Corners that are off the map make a pixel impossible, and all others are found again.
    for row, col in [*np.argwhere(~inside)[::200].tolist(), np.argwhere(~inside)[-1].tolist()]:
        classes = np.zeros(SHAPE, np.uint8)
        classes[row, col] = 1
        labels = Labels("ice", classes, {1: "firn"}, georeference=georeference)
        with pytest.raises(
            SceneError, match=r"'firn' reaches beyond the end of the map .* write \.gpkg, \.tif or \.csv"
        ):
            export_labels(labels, path)
    assert not path.exists()
    classes = np.where(inside, np.random.default_rng(0).integers(0, 4, SHAPE), 0).astype(np.uint8)
    labels = Labels("ice", classes, {1: "firn", 2: "snow", 3: "rock"}, georeference=georeference)
    assert export_labels(labels, path) == ()
    np.testing.assert_array_equal(open_labels(f"{path}:number", labels).classes, classes)


def test_geojson_has_no_slivers_beside_the_180th_meridian(tmp_path):
    """A polygon whose corner lies on the meridian became a collection with a point, or an invalid polygon."""
    import geopandas
    import shapely
    from pyproj import CRS, Transformer

    x, y = Transformer.from_crs("EPSG:4326", "ESRI:102001", always_xy=True).transform(180, 8.85)
    path, classes = tmp_path / "labels.geojson", np.indices((12, 12)).sum(axis=0) % 2 + 1
    for offset in (0, -1e-3):
        georeference = Georeference(
            CRS.from_user_input("ESRI:102001").to_wkt(), (20, 0, x - 120 + offset, 0, -20, y + 120)
        )
        labels = Labels("crops", classes, {1: "taro", 2: "cane"}, georeference=georeference)
        export_labels(labels, path)
        frame = geopandas.read_file(path)
        assert set(frame.geom_type) <= {"Polygon", "MultiPolygon"} and frame.is_valid.all()
        # RFC 7946 asks for this direction.
        assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(frame.geometry.to_numpy()))).all()
        np.testing.assert_array_equal(open_labels(f"{path}:number", labels).classes, classes)
