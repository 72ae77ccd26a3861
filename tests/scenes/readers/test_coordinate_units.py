"""Units of the coordinates of NetCDF files and Zarr folders: positions agree with those of GDAL and pyproj."""

import json

import netCDF4
import numpy as np
import pyproj
import pytest
import xarray as xr

from hsifeat import open_scene
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.readers.coordinate_units import parse_unit

# The parameters of a CRS in US survey feet (EPSG:2264), of UTM zone 32 in kilometres, of a satellite and of a rotated pole.
LCC = {
    "grid_mapping_name": "lambert_conformal_conic", "standard_parallel": [36 + 1 / 6, 34 + 1 / 3],
    "latitude_of_projection_origin": 33.75, "longitude_of_central_meridian": -79.0, "false_easting": 2_000_000.0,
    "false_northing": 0.0, "semi_major_axis": 6378137.0, "inverse_flattening": 298.257222101,
}  # fmt: skip
UTM = {
    "grid_mapping_name": "transverse_mercator", "latitude_of_projection_origin": 0.0, "longitude_of_central_meridian": 9.0,
    "scale_factor_at_central_meridian": 0.9996, "false_easting": 500.0, "false_northing": 0.0,
    "semi_major_axis": 6378137.0, "inverse_flattening": 298.257223563,
}  # fmt: skip
SATELLITE = {
    "grid_mapping_name": "geostationary", "latitude_of_projection_origin": 0.0, "longitude_of_projection_origin": 0.0,
    "perspective_point_height": 35785831.0, "sweep_angle_axis": "y", "false_easting": 0.0, "false_northing": 0.0,
    "semi_major_axis": 6378169.0, "semi_minor_axis": 6356583.8,
}  # fmt: skip
ROTATED = {
    "grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0, "earth_radius": 6371000.0,
}  # fmt: skip
DEGREES = {
    "grid_mapping_name": "latitude_longitude", "longitude_of_prime_meridian": 0.0, "semi_major_axis": 6378137.0,
    "inverse_flattening": 298.257222101,
}  # fmt: skip
FEET = "+proj=lcc +lat_0=33.75 +lon_0=-79 +lat_1=36.1666666667 +lat_2=34.3333333333 +x_0=609600 +ellps=GRS80 +units=ft"


def write(path, unit, corner, step, mapping):
    """Write a 3 x 4 NetCDF file whose upper left corner has the coordinates `corner` in a unit."""
    with netCDF4.Dataset(path, "w") as file:
        file.Conventions = "CF-1.11"
        for dim, size, start, sign in (("y", 3, corner[1], -1), ("x", 4, corner[0], 1)):
            file.createDimension(dim, size)
            axis = file.createVariable(dim, "f8", (dim,))
            axis[:] = start + sign * step * (np.arange(size) + 0.5)
            axis.standard_name = f"projection_{dim}_coordinate"
            if unit:
                axis.units = unit
        file.createVariable("r", "f4", ("y", "x"))[:] = 1
        file["r"].grid_mapping = "crs"
        file.createVariable("crs", "i4").setncatts(mapping)


def longitude_and_latitude(georeference):
    to_degrees = pyproj.Transformer.from_crs(georeference.crs, "EPSG:4326", always_xy=True)
    return to_degrees.transform(georeference.transform[2], georeference.transform[5])


@pytest.mark.parametrize(
    ("unit", "corner", "step", "mapping"),
    [
        pytest.param("US_survey_foot", (2e6, 7e5), 100, LCC, id="us-survey-foot"),
        pytest.param("km", (500, 5000), 0.03, UTM, id="km"),
        pytest.param("rad", (0.003, 0.1), 1e-4, SATELLITE, id="satellite-radian"),
        pytest.param("microradian", (3000, 1e5), 100, SATELLITE, id="satellite-microradian"),
        pytest.param("degrees", (2, 3), 0.01, ROTATED, id="rotated-pole"),
    ],
)
def test_parameters_of_a_grid_mapping_agree_with_gdal(gdal, tmp_path, unit, corner, step, mapping):
    write(tmp_path / "x.nc", unit, corner, step, mapping)
    raster = read_raster(tmp_path / "x.nc", 2, "r")
    info = json.loads(gdal("gdalinfo", "-json", f"NETCDF:{tmp_path}/x.nc:r"))
    north_west = info["wgs84Extent"]["coordinates"][0][0]
    np.testing.assert_allclose(longitude_and_latitude(raster.georeference), north_west, atol=1e-6)
    assert raster.notes == ()


@pytest.mark.parametrize(
    ("unit", "corner", "mapping", "crs", "expected"),
    [
        pytest.param("foot", (2e6, 7e5), LCC, FEET, (2e6, 7e5), id="parameters-foot"),
        pytest.param("0.3048 metre", (2e6, 7e5), LCC, FEET, (2e6, 7e5), id="parameters-as-pyproj-writes-feet"),
        pytest.param("grad", (10, 50), DEGREES, "EPSG:4258", (9, 45), id="parameters-grad"),
        pytest.param("rad", (np.pi / 20, np.pi / 4), DEGREES, "EPSG:4258", (9, 45), id="parameters-radian"),
        pytest.param("US_survey_foot", (2e6, 7e5), 2264, "EPSG:2264", (2e6, 7e5), id="wkt-same-unit"),
        pytest.param("m", (609601.219202, 213360.426721), 2264, "EPSG:2264", (2e6, 7e5), id="wkt-foot-coordinates-m"),
        pytest.param(
            "foot", (5e5 / 0.3048, 5e6 / 0.3048), 32632, "EPSG:32632", (5e5, 5e6), id="wkt-m-coordinates-foot"
        ),
        pytest.param("1000 metre", (500, 5000), 32632, "EPSG:32632", (5e5, 5e6), id="wkt-m-coordinates-km"),
        pytest.param("gon", (10, 50), 4258, "EPSG:4258", (9, 45), id="wkt-degree-coordinates-grad"),
        # GDAL and pyproj write grads, and call them degrees.
        pytest.param("degrees_east", (2, 53), 4807, "EPSG:4807", (2, 53), id="wkt-grad-coordinates-degree"),
    ],
)
def test_coordinates_are_converted_to_the_unit_of_the_crs(tmp_path, unit, corner, mapping, crs, expected):
    has_wkt = isinstance(mapping, int)
    attributes = {"crs_wkt": pyproj.CRS.from_epsg(mapping).to_wkt()} if has_wkt else mapping
    write(tmp_path / "x.nc", unit, corner, 0.001, attributes)
    raster = read_raster(tmp_path / "x.nc", 2, "r")
    wanted = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*expected)
    np.testing.assert_allclose(longitude_and_latitude(raster.georeference), wanted, atol=1e-7)
    different = has_wkt and (unit, mapping) != ("US_survey_foot", 2264)
    assert bool(raster.notes) == different
    assert not different or f"its coordinates are in {unit}, but its CRS is in " in raster.notes[0]


@pytest.mark.parametrize(
    ("unit", "epsg"),
    [
        pytest.param("furlong", 32632, id="unknown"),
        pytest.param("degrees_east", 32632, id="angles-on-a-map"),
        pytest.param("m", 4326, id="lengths-in-degrees"),
        pytest.param("1", 32632, id="none"),
    ],
)
def test_other_units_give_no_position(tmp_path, unit, epsg):
    write(tmp_path / "x.nc", unit, (5, 5), 1, {"crs_wkt": pyproj.CRS.from_epsg(epsg).to_wkt()})
    raster = read_raster(tmp_path / "x.nc", 2, "r")
    assert raster.georeference is None
    assert f"x.nc: has a CRS, but its coordinates are in {unit}; its georeference is ignored" in " ".join(raster.notes)


@pytest.mark.parametrize("unit", ["-", "unknown", "None"])
@pytest.mark.parametrize("has_wkt", [True, False], ids=["wkt", "parameters"])
def test_coordinates_whose_unit_is_not_stated_are_in_the_unit_of_the_crs(tmp_path, unit, has_wkt):
    metres = {**UTM, "false_easting": 500_000.0}
    attributes = {"crs_wkt": pyproj.CRS.from_epsg(32632).to_wkt()} if has_wkt else metres
    write(tmp_path / "x.nc", unit, (5e5, 5e6), 30, attributes)
    raster = read_raster(tmp_path / "x.nc", 2, "r")
    wanted = pyproj.Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(5e5, 5e6)
    np.testing.assert_allclose(longitude_and_latitude(raster.georeference), wanted, atol=1e-7)
    assert raster.notes == ()


def test_a_transform_has_the_unit_of_the_coordinates_if_the_file_has_no_wkt(tmp_path):
    """GDAL's GeoTransform of a file with parameters only; the coordinates are rounded, so that they don't define a grid."""
    write(tmp_path / "x.nc", "US_survey_foot", (2e6, 7e5), 100, {**LCC, "GeoTransform": "2000000 100 0 700000 0 -100"})
    with netCDF4.Dataset(tmp_path / "x.nc", "a") as file:
        file["x"][1] += 40
    georeference = read_raster(tmp_path / "x.nc", 2, "r").georeference
    wanted = pyproj.Transformer.from_crs("EPSG:2264", "EPSG:4326", always_xy=True).transform(2e6, 7e5)
    np.testing.assert_allclose(longitude_and_latitude(georeference), wanted, atol=1e-6)


def test_zarr_coordinates_in_feet(tmp_path):
    x, y = 2e6 + 100 * (np.arange(4) + 0.5), 7e5 - 100 * (np.arange(3) + 0.5)
    unit = {"units": "US_survey_foot"}
    cube = xr.DataArray(np.ones((3, 4, 2), np.float32), {"y": ("y", y, unit), "x": ("x", x, unit)}, ("y", "x", "band"))
    cube.attrs["grid_mapping"] = "crs"
    xr.Dataset({"r": cube, "crs": ((), 0, LCC)}).to_zarr(tmp_path / "x.zarr", consolidated=False)
    scene = open_scene(tmp_path / "x.zarr", variable="r")
    wanted = pyproj.Transformer.from_crs("EPSG:2264", "EPSG:4326", always_xy=True).transform(2e6, 7e5)
    np.testing.assert_allclose(longitude_and_latitude(scene.georeference), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("m", 1), ("Metres", 1), ("KM", 1000), ("kilometers", 1000), ("1e3 m", 1000), ("us-ft", 1200 / 3937),
        ("US_survey_feet", 1200 / 3937), ("international_foot", 0.3048), ("mile", 1609.344), ("nautical_mile", 1852),
        ("degree_E", np.pi / 180), ("gradians", np.pi / 200), ("arcsec", np.pi / 648000),
        ("1", None), ("pixel", None), ("m s-1", None), ("m/s", None), ("km-1", None), ("m2", None), ("1.2.3 m", None), ("", None),
        ("-", None), ("?", None), ("%", None), ("[]", None), ("\u7c73", None), ("\u043c\u0435\u0442\u0440", None), ("1/m", None), ("\u00b5m", None), ("\u03bcm", None),
        ("[m]", 1), ("\u00b5rad", 1e-6), ("\u03bcrad", 1e-6), ("urad", 1e-6),
    ],
)  # fmt: skip
def test_units(text, size):
    parsed = parse_unit(text)
    assert parsed is None if size is None else parsed[1] == pytest.approx(size, rel=1e-12)
