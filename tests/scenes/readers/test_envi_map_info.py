"""The georeference of ENVI headers: map info and coordinate system, as GDAL reads them."""

import json

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio import Affine

from tests.helpers.envi_fields import open_with_fields


@pytest.mark.parametrize("rotation", [0, 30, -75])
def test_envi_has_the_georeference_that_gdal_reports(gdal, tif_folder, rotation):
    """Map info with its rotation, whose sense programs disagree about, and the coordinate system."""
    where = Affine.translation(500000, 4000000) @ Affine.rotation(rotation) @ Affine.scale(30, -30)
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        file.transform = where
    scene = open_with_fields(gdal, tif_folder)
    assert f"rotation={rotation}" in (tif_folder / "x.hdr").read_text() or not rotation
    np.testing.assert_allclose(scene.georeference.transform, where[:6], rtol=1e-9)
    corners = gdal("gdalinfo", "-json", tif_folder / "x.img")
    c, a, b, f, d, e = json.loads(corners)["geoTransform"]
    np.testing.assert_allclose(scene.georeference.transform, (a, b, c, d, e, f), rtol=1e-9)
    assert pyproj.CRS(scene.georeference.crs).to_epsg() == 32611
    assert not scene.notes


@pytest.mark.parametrize(
    "map_info",
    [
        "UTM, 1.000, 1.000, 668000.00, 3765000.00, 1.67e+01, 1.67E+01, 11, North , WGS-84 , units=Meters, rotation=-13.00",
        "utm, 1.5, 1.5, 668000, 3765000, 30, 30, 7.0, south",
        "Geographic Lat/Lon, 1, 1, 12.5, 48.25, 0.01, 0.02, WGS-84, units=Degrees",
        "State Plane (NAD 27), 1, 1, 668000, 3765000, 30, 30, 3002, units=Feet",
        "Arbitrary, 1, 1, 668000, 3765000, 30, 30, 0, North",
        "Lambert Conformal Conic, 1, 1, 668000, 3765000, 30, 30, WGS-84,",
    ],
)
def test_map_info_without_a_coordinate_system_is_read_as_by_gdal(gdal, tif_folder, map_info):
    scene = open_with_fields(gdal, tif_folder, map_info=f"{{{map_info}}}", coordinate_system_string="")
    with rasterio.open(tif_folder / "x.img") as file:
        np.testing.assert_allclose(scene.georeference.transform, file.transform[:6], rtol=1e-12)
        assert scene.georeference.crs == (file.crs.to_wkt() if file.crs else "")


@pytest.mark.parametrize(
    ("map_info", "epsg"),
    [
        ("UTM, 1, 1, 668000, 3765000, 30, 20, 11, N, WGS-84", 32611),
        ("UTM, 1, 1, 668000, 3765000, 30, 20, 11, North, WGS-84, units=Meters, 0", 32611),
        ("UTM, 1, 1, 668000, 3765000, 30, 20, 11, South, WGS-84, 0", 32711),
        ("Geographic Lat/Lon, 1, 1, 668000, 3765000, 30, 20, 0, North, WGS-84, units=Degrees", 4326),
        ("Geographic Lat/Lon, 1, 1, 668000, 3765000, 30, 20, WGS-84, units=Degrees, 0", 4326),
    ],
)
def test_map_info_that_other_programs_write_is_read(gdal, tif_folder, map_info, epsg):
    """The CRS has the code of its zone, hemisphere and datum in the EPSG registry. They were ignored with a note."""
    scene = open_with_fields(gdal, tif_folder, map_info=f"{{{map_info}}}", coordinate_system_string="")
    assert scene.georeference.transform == (30, 0, 668000, 0, -20, 3765000) and not scene.notes
    assert pyproj.CRS(scene.georeference.crs).to_epsg() == epsg


@pytest.mark.parametrize(
    ("map_info", "problem"),
    [
        ("UTM, 1, 1, 668000,5, 3765000,5, 30, 30, 11, North", "has 9 numbers where 7 are expected"),
        ("UTM, 1, 1, 668000, 3765000, 10,5, 10,5, 11, North", "has 9 numbers where 7 are expected"),
        ("Geographic Lat/Lon, 1, 1, 12,5, 48, 0.01, 0.01, WGS-84", "has 7 numbers where 6 are expected"),
        ("Lambert, 1, 1, 668000,5, 3765000,5, 30, 30, WGS-84", "has 8 numbers where 7 are expected"),
        ("UTM, 1, 1, east, 3765000, 30, 30, 11, North", "has 'east' in place of a number"),
        ("UTM, 1, 1, , 3765000, 30, 30, 11, North", "has '' in place of a number"),
        ("UTM, 1, 1, 668000, 3765000, 30, 30, North, WGS-84", "has 'North' in place of a UTM zone"),
        ("UTM, 1, 1, 668000, 3765000, 30, 30, 61, North", "has '61' in place of a UTM zone"),
        ("UTM, 1, 1, 668000, 3765000, 30, 30, 11, S", "has 'S' in place of North or South"),
        ("UTM, 1, 1, 668000, 3765000, 30, 30", "has '' in place of a UTM zone"),
        ("UTM, 1, 1, 668000, 3765000, 30, 30, 11N, WGS-84", "has '11N' in place of a UTM zone"),
        (
            "UTM, 1, 1, 668000, 3765000, 30, 30, 11, North, WGS-84, rotation=30,5",
            "has 'rotation=30,5' in place of a num",
        ),
        ("Geographic Lat/Lon, 1, 1, 12, 48, 0.01, 0.01, 0, North, NAD-27", "has 7 numbers where 6 are expected"),
    ],
)
def test_map_info_that_gdal_reads_as_another_place_is_ignored_with_a_note(gdal, tif_folder, map_info, problem):
    """GDAL takes texts as 0 and the fields in their order, so that the scene lay elsewhere or in another zone without a note."""
    scene = open_with_fields(gdal, tif_folder, map_info=f"{{{map_info}}}", coordinate_system_string="")
    with rasterio.open(tif_folder / "x.img") as file:
        assert file.transform != Affine.identity()
    assert scene.georeference is None
    (note,) = scene.notes
    assert note.startswith(f"x.hdr: its map info {problem}") and note.endswith("; its georeference is ignored")
