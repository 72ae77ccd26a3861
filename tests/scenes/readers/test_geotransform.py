"""Coordinates of a part of a grid against GDAL's attribute ``GeoTransform`` of the whole, which xarray keeps."""

from __future__ import annotations

import netCDF4
import numpy as np
import pyproj
import pytest
import xarray as xr

from hsifeat import open_scene
from hsifeat.scenes import Scene
from tests.helpers.scene_formats import CUBE


def with_geotransform(rows, cols):
    """Features of a grid that keeps the GeoTransform of 48 x 60 cells, as rioxarray keeps it in a part of an array."""
    crs = pyproj.CRS.from_epsg(32632).to_wkt()
    mapping = xr.Variable((), 0, {"crs_wkt": crs, "GeoTransform": "500000 20 0 5200000 0 -20"})
    y, x = 5_200_000 - 20 * (np.arange(48) + 0.5), 500_000 + 20 * (np.arange(60) + 0.5)
    values = np.arange(2 * 48 * 60, dtype=np.float32).reshape(2, 48, 60)
    whole = xr.DataArray(values, {"y": y, "x": x, "spatial_ref": mapping}, ("band", "y", "x"), name="cube")
    return whole.isel(y=rows, x=cols)


@pytest.mark.parametrize("name", ["x.nc", "x.zarr", "array"])
@pytest.mark.parametrize(
    ("change", "note"),
    [
        pytest.param(lambda: with_geotransform(slice(20, 40), slice(5, 60)), "", id="part"),
        pytest.param(lambda: with_geotransform(slice(None, None, -1), slice(None)), "", id="upwards"),
        pytest.param(lambda: with_geotransform(slice(40, 20, -1), slice(5, 9)), "", id="part-upwards"),
        pytest.param(lambda: with_geotransform([0], slice(None)), "", id="first-row"),
        pytest.param(lambda: with_geotransform([4], slice(None)), "has one row at another place", id="row"),
        pytest.param(lambda: with_geotransform([0], slice(5, 60)), "", id="first-row-of-columns"),
        pytest.param(lambda: with_geotransform([0], [9]), "has one column at another place", id="first-row-column"),
        pytest.param(lambda: with_geotransform(slice(10, 40), [9]), "has one column at another place", id="column"),
        pytest.param(lambda: with_geotransform([30], [9]), "has one column and one row at another", id="pixel"),
        pytest.param(lambda: with_geotransform([4, 5, 9], slice(None)), "not evenly spaced", id="gap"),
        pytest.param(lambda: with_geotransform([4, 5, 5, 6], slice(None)), "not evenly spaced", id="overlap"),
        pytest.param(lambda: with_geotransform(slice(None), [0, 1, 3]), "not evenly spaced", id="column-gap"),
        pytest.param(lambda: with_geotransform(slice(9), slice(None)).pad(y=(3, 4), constant_values=0), "not finite numbers", id="pad"),
    ],
)  # fmt: skip
def test_the_coordinates_of_a_part_decide_against_the_geotransform_of_the_whole(tmp_path, name, change, note):
    """The coordinates of the part are the oracle: each cell lies where its own coordinates say, or nowhere."""
    part = change()
    if name == "array":
        scene = Scene("part", part.transpose("y", "x", "band"))
    else:
        part.to_netcdf(tmp_path / name) if name == "x.nc" else part.to_zarr(tmp_path / name, consolidated=False)
        scene = open_scene(tmp_path / name)
    told = " ".join(text for text in scene.notes if "read the variable" not in text)
    if "not " in note:
        assert scene.georeference is None and (note in told or "not two or more evenly spaced numbers" in told)
        return
    assert note in told and bool(note) == bool(told)
    a, b, c, d, e, f = scene.georeference.transform
    rows, cols = part.shape[1:]
    np.testing.assert_allclose(c + a * (np.arange(cols) + 0.5), part.x)
    np.testing.assert_allclose(f + e * (np.arange(rows) + 0.5), part.y)
    assert (b, d) == (0, 0) and (abs(a), abs(e)) == (20, 20)


@pytest.mark.parametrize(
    ("attributes", "unit", "expected"),
    [
        pytest.param(
            {"GeoTransform": "500000 20 1e-12 5200000 1e-12 -20"}, "m", (20, 0, 500_000, 0, -20, 5_199_920), id="exact"
        ),
        pytest.param({"GeoTransform": "500000 20 5 5200000 5 -20"}, "m", None, id="rotated"),
        pytest.param({"GeoTransform": "500000 0 0 5200000 0 -20"}, "m", None, id="singular"),
        pytest.param({}, "m", None, id="no-transform"),
        pytest.param({"GeoTransform": "500000 20 0 5200000 0 -20"}, "km", (20, 0, 500_000, 0, -20, 5_199_920), id="km"),
    ],
)
def test_the_place_of_a_single_row(tmp_path, attributes, unit, expected):
    row = with_geotransform([4], slice(None))
    crs = {"crs_wkt": pyproj.CRS.from_epsg(32632).to_wkt(), **attributes}
    factor = 1e-3 if unit == "km" else 1.0
    places = {dim: (dim, row[dim].values * factor, {"units": unit}) for dim in ("y", "x")}
    row.assign_coords(spatial_ref=xr.Variable((), 0, crs), **places).to_netcdf(tmp_path / "x.nc")
    scene = open_scene(tmp_path / "x.nc")
    if expected is None:
        assert scene.georeference is None and "its georeference is ignored" in " ".join(scene.notes)
    else:
        np.testing.assert_allclose(scene.georeference.transform, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "is_placed"),
    [
        pytest.param(lambda whole: whole.assign_coords(y=whole.y.astype(np.float32)), True, id="float32"),
        pytest.param(lambda whole: whole.assign_coords(y=whole.y.astype(np.float32))[:, 3:], False, id="float32-part"),
        pytest.param(lambda whole: whole.assign_coords(y=("y", np.arange(48), {"units": "1"})), True, id="count"),
        pytest.param(
            lambda whole: whole.assign_coords(y=("y", np.arange(48) / 7, {"units": "degrees_north"})),
            False,
            id="degrees",
        ),
        pytest.param(lambda whole: whole.drop_vars("y"), True, id="columns-only"),
        pytest.param(lambda whole: whole.isel(x=slice(5, None)).drop_vars("y"), False, id="part-columns-only"),
        pytest.param(
            lambda whole: whole.assign_coords(y=whole.y + np.where(np.arange(48) % 2, 0.03, 0)), False, id="shifted"
        ),
    ],
)
def test_coordinates_that_define_no_grid_must_agree_with_the_geotransform(tmp_path, change, is_placed):
    """A grid of 5 cm, as of a drone: float32 holds its northings in steps of half a metre."""
    crs = pyproj.CRS.from_epsg(32632).to_wkt()
    mapping = xr.Variable((), 0, {"crs_wkt": crs, "GeoTransform": "500000 0.05 0 5200000 0 -0.05"})
    y, x = 5_200_000 - 0.05 * (np.arange(48) + 0.5), 500_000 + 0.05 * (np.arange(60) + 0.5)
    values = np.ones((2, 48, 60), np.float32)
    whole = xr.DataArray(values, {"y": y, "x": x, "spatial_ref": mapping}, ("band", "y", "x"), name="cube")
    change(whole).to_netcdf(tmp_path / "x.nc")
    scene = open_scene(tmp_path / "x.nc")
    if is_placed:
        np.testing.assert_allclose(scene.georeference.transform, (0.05, 0, 500_000, 0, -0.05, 5_200_000), atol=1e-6)
    else:
        assert scene.georeference is None and "its georeference is ignored" in " ".join(scene.notes)


def test_coordinates_of_one_axis_that_contradict_the_geotransform_are_no_position(tmp_path):
    with_geotransform(slice(None), slice(5, None)).drop_vars("y").to_netcdf(tmp_path / "x.nc")
    notes = open_scene(tmp_path / "x.nc").notes
    assert "x.nc: has a CRS, but has coordinates of x only; its georeference is ignored" in notes


def test_coordinates_with_two_dimensions_are_not_compared_with_the_geotransform(tmp_path):
    """NetCDF allows a variable with the name of a dimension to have two dimensions."""
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, size in (("band", 2), ("y", 6), ("x", 7)):
            file.createDimension(name, size)
        cube = file.createVariable("cube", "f4", ("band", "y", "x"))
        cube[:] = CUBE[..., :2].transpose(2, 0, 1)
        cube.grid_mapping = "crs"
        mapping = file.createVariable("crs", "i4", ())
        mapping.setncatts(
            {"crs_wkt": pyproj.CRS.from_epsg(32632).to_wkt(), "GeoTransform": "500000 20 0 5200000 0 -20"}
        )
        file.createVariable("y", "f8", ("y", "x"))[:] = 7.0
    assert open_scene(tmp_path / "x.nc").georeference.transform == (20, 0, 500_000, 0, -20, 5_200_000)


@pytest.mark.parametrize("name", ["x.nc", "x.zarr"])
def test_a_file_without_coordinates_lies_at_its_geotransform_with_a_note(name, tmp_path):
    part = with_geotransform([10, 11], slice(None)).drop_vars(["y", "x"])
    part.to_netcdf(tmp_path / name) if name == "x.nc" else part.to_zarr(tmp_path / name, consolidated=False)
    scene = open_scene(tmp_path / name)
    assert scene.georeference.transform == (20, 0, 500_000, 0, -20, 5_200_000)
    assert "lies at the GeoTransform of spatial_ref, which is wrong if the array is a part" in " ".join(scene.notes)


def test_a_gap_in_a_file_without_a_crs_is_noted(tmp_path):
    part = with_geotransform([4, 5, 9], slice(None))
    mapping = xr.Variable((), 0, {"GeoTransform": part.spatial_ref.attrs["GeoTransform"]})
    part.assign_coords(spatial_ref=mapping).to_netcdf(tmp_path / "x.nc")
    scene = open_scene(tmp_path / "x.nc")
    assert scene.georeference is None
    assert (
        "x.nc: has coordinates, but its coordinates are not evenly spaced; its georeference is ignored" in scene.notes
    )


@pytest.mark.parametrize("upwards", [False, True])
def test_rounded_coordinates_are_those_of_the_geotransform(tmp_path, upwards):
    """Coordinates in multiples of 8 m, of cells of 20 m: not evenly spaced, but each within its cell."""
    part = with_geotransform(slice(None, None, -1 if upwards else 1), slice(None))
    part.assign_coords(x=np.round(part.x / 8) * 8, y=np.round(part.y / 8) * 8).to_netcdf(tmp_path / "x.nc")
    a, b, c, d, e, f = open_scene(tmp_path / "x.nc").georeference.transform
    assert (a, b, c, d) == (20, 0, 500_000, 0) and (e, f) == ((20, 5_199_040) if upwards else (-20, 5_200_000))
