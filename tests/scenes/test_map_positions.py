"""Files whose CRS have no transformation between them are refused with the names of both, wherever pyproj would fail."""

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from pyproj.exceptions import ProjError
from rasterio import Affine

from classifiers.labelling.label_files import export_labels
from hsifeat.errors import SceneError
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.placement import place_features
from hsifeat.scenes import Georeference, Labels, Scene, open_labels
from hsifeat.scenes.longitudes import whole_turn
from hsifeat.types import PlaneId
from tests.helpers.georeferenced import blank_scene, georeference

GRID = Affine(10, 0, 500_000, 0, -10, 4_000_000)
UTM = "EPSG:32632"
LOCAL = 'LOCAL_CS["site grid",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
# QGIS and GDAL write this CRS to a GeoPackage whose layer has none.
UNDEFINED = (
    'ENGCRS["Undefined Cartesian SRS with unknown unit",EDATUM["Unknown engineering datum"],CS[Cartesian,2],'
    'AXIS["X",unspecified,ORDER[1],LENGTHUNIT["unknown",0]],AXIS["Y",unspecified,ORDER[2],LENGTHUNIT["unknown",0]]]'
)
MOON = 'GEOGCS["Moon",DATUM["D_Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]]'
# UTM with a projection that PROJ does not know.
ODD = (
    pyproj.CRS(UTM)
    .to_wkt("WKT1_GDAL")
    .replace("Transverse_Mercator", "Odd_Projection")
    .replace(',AUTHORITY["EPSG","32632"]', "")
)

PAIRS = [
    pytest.param(UTM, LOCAL, id="local-file"),
    pytest.param(LOCAL, UTM, id="local-scene"),
    pytest.param(UTM, UNDEFINED, id="undefined-file"),
    pytest.param(UTM, MOON, id="moon"),
    pytest.param(ODD, "EPSG:4326", id="unknown-projection"),
]


def save_raster(path, crs):
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=6, count=1, dtype="uint8", crs=crs, transform=GRID
    ) as file:
        file.write(np.ones((1, 6, 8), np.uint8))
    return path


def names(*crs):
    return [pyproj.CRS(one).name for one in crs]


@pytest.mark.parametrize(("scene_crs", "file_crs"), PAIRS)
@pytest.mark.parametrize("kind", ["raster", "vector", "features"])
def test_crs_without_a_transformation_are_refused(tmp_path, kind, scene_crs, file_crs):
    with pytest.raises(ProjError):  # pyproj knows none
        pyproj.Transformer.from_crs(scene_crs, file_crs)
    scene = blank_scene(6, 8, GRID, scene_crs)
    assert scene.georeference.pixel_size_m == (10 if scene_crs == UTM else None)
    path = tmp_path / ("f.gpkg" if kind == "vector" else "f.tif")
    if kind == "vector":
        field = shapely.box(500_010, 3_999_960, 500_050, 3_999_990)
        geopandas.GeoDataFrame({"class": [1]}, geometry=[field], crs=file_crs).to_file(path)
    elif kind == "raster":
        save_raster(path, file_crs)
    with pytest.raises(
        SceneError, match="no transformation between the two is known; if one of them is wrong, assign"
    ) as caught:
        if kind == "features":
            source = georeference(GRID, file_crs)
            place_features(
                FeatureMap(PlaneId(0, "f"), "f.tif", np.ones((6, 8, 3), np.float32), georeference=source), scene, None
            )
        else:
            open_labels(path, scene)
    scene_name, file_name = names(scene_crs, file_crs)
    assert f"the scene x has the CRS {scene_name}" in str(caught.value)
    assert f"and {path.name} has {file_name}" in str(caught.value)


def test_labels_in_a_local_crs_are_no_geojson(tmp_path):
    labels = Labels("a", np.eye(6, 8, dtype=np.uint8), {1: "oak"}, georeference=georeference(GRID, LOCAL))
    message = (
        r"x\.geojson has the CRS site grid, and GeoJSON has WGS 84 \(EPSG:4326\): .*; write \.gpkg, \.tif or \.csv"
    )
    with pytest.raises(SceneError, match=message):
        export_labels(labels, tmp_path / "x.geojson")
    export_labels(labels, tmp_path / "x.gpkg")
    frame = geopandas.read_file(tmp_path / "x.gpkg")
    assert frame.total_bounds.tolist() == [500_000, 3_999_940, 500_060, 4_000_000]


def test_a_file_in_the_local_crs_of_the_scene_needs_no_transformation(tmp_path):
    scene = blank_scene(6, 8, GRID, LOCAL)
    labels = open_labels(save_raster(tmp_path / "x.tif", LOCAL), scene)
    assert labels.classes.all() and labels.notes == ()


def test_an_unknown_projection_has_no_turn():
    assert whole_turn(ODD) is None


def test_a_crs_that_is_no_crs_is_refused(tmp_path):
    scene = Scene("x", np.ones((6, 8, 2), np.uint8), georeference=Georeference("nonsense", tuple(GRID)[:6]))
    with pytest.raises(SceneError, match="unknown CRS 'nonsense': give WKT, or a code such as EPSG:32632"):
        open_labels(save_raster(tmp_path / "x.tif", UTM), scene)
