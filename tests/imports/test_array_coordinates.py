"""Imported xarray arrays lie where their coordinates say."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.warp
import xarray as xr
from rasterio import Affine

import hsifeat
from hsifeat.errors import SceneError

WHERE = Affine(10, 0, 500_000, 0, -10, 4_000_000)  # of `placed_scene`


def values_of(store):
    return {str(plane.id): np.asarray(store.plane(plane.id)[:]) for plane in store.planes}


def with_coordinates(values, row=0, col=0, **coords):
    """Return an xarray array on the grid of `placed_scene`, moved down and to the right by whole pixels."""
    y, x = (start - 5 + 10 * np.arange(size + 1.0)[1:] for start, size in ((0, values.shape[0]), (0, values.shape[1])))
    places = {"y": 4_000_000 - 10 * row - y, "x": 500_000 + 10 * col + x}
    return xr.DataArray(values, dims=("y", "x", "band"), coords=places | coords)


@pytest.mark.parametrize("order", ["north to south", "south to north"])
def test_coordinates_of_an_array_say_where_its_cells_lie(order, placed_scene, encoder, tmp_path):
    array = with_coordinates(encoder)
    if order == "south to north":
        array = array[::-1]
    found = values_of(hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / "e.zarr"))["t0/e"]
    np.testing.assert_allclose(found, np.where(placed_scene.valid[..., None], encoder, found), rtol=1e-6)


def test_an_array_of_another_place_is_moved_as_a_geotiff_is(placed_scene, encoder, tmp_path):
    array = with_coordinates(encoder, row=2, col=5)
    heard = []
    store = hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / "e.zarr", listen=heard.append)
    found, valid = values_of(store)["t0/e"], hsifeat.open_features(store).valid
    np.testing.assert_array_equal(found[10, 10], encoder[8, 5])
    assert not valid[:2].any() and not valid[:, :5].any() and valid[2:, 5:].sum() == placed_scene.valid[2:, 5:].sum()
    assert "e: the array states no CRS; its coordinates are taken to be in that of the scene" in str(heard)
    far = with_coordinates(encoder, row=1000)
    with pytest.raises(SceneError, match="no valid pixel of .* has features.*array.values has no coordinates"):
        hsifeat.import_planes(placed_scene, {"e": far}, out=tmp_path / "far.zarr")


@pytest.mark.parametrize("stated", ["grid mapping", "attribute"])
def test_the_crs_of_an_array_counts(stated, placed_scene, tmp_path):
    """The values are coordinates in the neighbouring zone, 6 degrees to the east. PROJ is the oracle."""
    crs = rasterio.CRS.from_epsg(32633)
    ((left,), (top,)) = rasterio.warp.transform("EPSG:32632", crs, [WHERE.c], [WHERE.f])
    y, x = 10 * np.arange(-10.0, 100), 10 * np.arange(-10.0, 80)
    values = np.stack(np.meshgrid(y, x, indexing="ij"), axis=2)
    array = xr.DataArray(values, {"y": top - y, "x": left + x}, ("y", "x", "band"))
    if stated == "grid mapping":
        array = array.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": crs.to_wkt()}))
    else:
        array.attrs["crs"] = "EPSG:32633"
    store = hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / "e.zarr")
    rows, cols = np.nonzero(hsifeat.open_features(store).valid)
    assert len(rows) == placed_scene.valid.sum()
    east, north = rasterio.warp.transform("EPSG:32632", crs, *(WHERE @ (cols + 0.5, rows + 0.5)))
    wanted = np.stack([top - np.array(north), np.array(east) - left], axis=1)
    np.testing.assert_allclose(values_of(store)["t0/e"][rows, cols], wanted, atol=0.1)


def test_arrays_without_usable_coordinates(placed_scene, scene, encoder, tmp_path):
    indices = xr.DataArray(encoder, {"y": np.arange(75), "x": np.arange(53)}, ("y", "x", "band"))
    for name, array in {"bare": indices.drop_vars(["y", "x"]), "indices": indices}.items():
        found = values_of(hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / f"{name}.zarr"))["t0/e"]
        np.testing.assert_array_equal(found[placed_scene.valid], encoder[placed_scene.valid])
    upwards = with_coordinates(encoder)[::-1]
    found = values_of(hsifeat.import_planes(scene, {"e": upwards}, out=tmp_path / "plain.zarr"))["t0/e"]
    np.testing.assert_array_equal(found[scene.valid], encoder[::-1][scene.valid])  # the scene has no georeference
    uneven = indices.assign_coords(x=np.arange(53.0) ** 2)
    with pytest.raises(SceneError, match="e: the coordinates y and x .* evenly spaced numbers.*give array.values"):
        hsifeat.import_planes(placed_scene, {"e": uneven}, out=tmp_path / "uneven.zarr")
