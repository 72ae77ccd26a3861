"""Imported xarray arrays lie where their coordinates say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
import xarray as xr
from rasterio import Affine

import hsifeat
from hsifeat.errors import SceneError
from hsifeat.scenes import Georeference

WHERE = Affine(10, 0, 500_000, 0, -10, 4_000_000)  # of `placed_scene`
UTM_32 = rasterio.CRS.from_epsg(32632).to_wkt()


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


@pytest.mark.parametrize(
    "stated",
    ["grid mapping", "EPSG:32633", 32633, np.int64(32633), rasterio.CRS.from_epsg(32633), pyproj.CRS(32633)],
    ids=lambda stated: f"{type(stated).__module__} {stated!s:.12}",
)
def test_the_crs_of_an_array_counts(stated, placed_scene, tmp_path):
    """The values are coordinates in the neighbouring zone, 6 degrees to the east. PROJ is the oracle."""
    crs = rasterio.CRS.from_epsg(32633)
    ((left,), (top,)) = rasterio.warp.transform("EPSG:32632", crs, [WHERE.c], [WHERE.f])
    y, x = 10 * np.arange(-10.0, 100), 10 * np.arange(-10.0, 80)
    values = np.stack(np.meshgrid(y, x, indexing="ij"), axis=2)
    array = xr.DataArray(values, {"y": top - y, "x": left + x}, ("y", "x", "band"))
    if isinstance(stated, str) and stated == "grid mapping":
        array = array.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": crs.to_wkt()}))
    else:
        array.attrs["crs"] = stated
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
    upwards, heard = with_coordinates(encoder)[::-1], []
    store = hsifeat.import_planes(scene, {"e": upwards}, out=tmp_path / "plain.zarr", listen=heard.append)
    np.testing.assert_array_equal(values_of(store)["t0/e"][scene.valid], encoder[::-1][scene.valid])
    assert "e: placed by its shape, because the scene has no georeference; its own is not used" in str(heard)
    uneven = indices.assign_coords(x=np.arange(53.0) ** 2)
    places = {name: (("y", "x"), np.ones((75, 53))) for name in ("lat", "lon")}
    for reason, wrong in {
        "the coordinates y and x .* evenly spaced numbers": uneven,
        "the coordinates lat and lon of the array have two dimensions": indices.drop_vars(["y", "x"]).assign_coords(
            places
        ),
        "the attribute crs of the array describes no CRS: 'local'": with_coordinates(encoder).assign_attrs(crs="local"),
    }.items():
        with pytest.raises(SceneError, match=f"e: {reason}.*, so its place is unknown: give array.values"):
            hsifeat.import_planes(placed_scene, {"e": wrong}, out=tmp_path / "wrong.zarr")


@pytest.mark.parametrize("order", ["north to south", "south to north"])
def test_arrays_with_coordinates_lie_on_a_scene_with_coordinates(order, scene, encoder, tmp_path):
    """Neither array states a CRS."""
    cube, array = with_coordinates(scene.cube), with_coordinates(encoder)
    if order == "south to north":
        cube = cube[::-1]
    located = hsifeat.Scene("located", cube)
    found = values_of(hsifeat.import_planes(located, {"e": array}, out=tmp_path / "e.zarr"))["t0/e"]
    expected = encoder[::-1] if order == "south to north" else encoder
    np.testing.assert_allclose(found[located.valid], expected[located.valid], rtol=1e-6)


@pytest.mark.parametrize("place", [WHERE @ Affine.translation(5, 2), WHERE @ Affine(1, 0, 0, 0, -1, 75), WHERE @ Affine.rotation(20)],
                         ids=["moved", "south to north", "rotated"])  # fmt: skip
def test_a_geotransform_places_an_array_as_its_file(place, placed_scene, encoder, tmp_path):
    """This is what `rioxarray.open_rasterio(…, parse_coordinates=False)` returns."""
    crs = rasterio.CRS.from_epsg(32632)
    with rasterio.open(
        tmp_path / "e.tif", "w", driver="GTiff", height=75, width=53, count=6, dtype="float32", crs=crs, transform=place
    ) as file:
        file.write(encoder.transpose(2, 0, 1))
    mapping = {"crs_wkt": crs.to_wkt(), "GeoTransform": " ".join(map(str, place.to_gdal()))}
    array = xr.DataArray(encoder, {"spatial_ref": xr.Variable((), 0, mapping)}, ("y", "x", "band"))
    heard = []
    store = hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / "a.zarr", stride=1, listen=heard.append)
    expected = values_of(hsifeat.import_planes(placed_scene, tmp_path / "e.tif", out=tmp_path / "f.zarr", stride=1))
    np.testing.assert_array_equal(values_of(store)["t0/e"], expected["t0/e"])
    assert "the array lies at the GeoTransform of spatial_ref, which is wrong if the array is a part" in str(heard)
    row, col = 30, 20
    with rasterio.open(tmp_path / "e.tif") as file:
        (at,) = file.sample([WHERE @ (col + 0.5, row + 0.5)])
    if not any(np.array(place)[[1, 3]]):
        np.testing.assert_array_equal(values_of(store)["t0/e"][row, col], at)


def test_coordinates_of_a_part_count_more_than_the_geotransform_of_the_whole(placed_scene, encoder, tmp_path):
    mapping = {"GeoTransform": " ".join(map(str, WHERE.to_gdal()))}
    array = with_coordinates(encoder).assign_coords(spatial_ref=xr.Variable((), 0, mapping))
    heard = []
    store = hsifeat.import_planes(placed_scene, {"e": array[10:, 7:]}, out=tmp_path / "e.zarr", listen=heard.append)
    valid = hsifeat.open_features(store).valid
    assert not valid[:10].any() and not valid[:, :7].any() and "GeoTransform" not in str(heard)
    np.testing.assert_array_equal(values_of(store)["t0/e"][valid], encoder[valid])
    with pytest.raises(SceneError, match="e: the coordinates y and x .* evenly spaced numbers"):
        hsifeat.import_planes(placed_scene, {"e": array[[0, 1, 5]]}, out=tmp_path / "uneven.zarr")


ROTATED = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)


@pytest.fixture(scope="module", params=[UTM_32, None], ids=["CRS", "no CRS"])
def rotated(request, scene, encoder, tmp_path_factory):
    """A scene with a rotated grid, and its store as xarray opens it."""
    located = replace(scene, georeference=Georeference(request.param, tuple(ROTATED)[:6]), labels={})
    store = hsifeat.import_planes(located, {"e": encoder}, out=tmp_path_factory.mktemp("rotated") / "e.zarr")
    return located, hsifeat.open_features(store).to_xarray()


@pytest.mark.parametrize(
    ("part", "cells"),
    [
        ((slice(8, None), slice(None)), ROTATED @ Affine.translation(0, 8)),
        ((slice(0, 20), slice(10, 40)), ROTATED @ Affine.translation(10, 0)),
        ((slice(None, None, -1), slice(None)), ROTATED @ Affine(1, 0, 0, 0, -1, 75)),
        ((slice(1, None, 3), slice(2, None, 2)), ROTATED @ Affine.translation(1.5, 0) @ Affine.scale(2, 3)),
    ],
    ids=["lower rows", "window", "flipped", "every third row"],
)
def test_a_part_of_a_rotated_grid_lies_where_its_pixels_lie(rotated, part, cells, encoder, tmp_path):
    """Affine transforms are the oracle; `cells` transforms positions in the part."""
    located, dataset = rotated
    crop = dataset.isel(y=part[0], x=part[1])
    np.testing.assert_allclose(hsifeat.Scene("part", crop.spectra).georeference.transform, tuple(cells)[:6], rtol=1e-12)
    crop[["spectra"]].to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    opened = hsifeat.open_scene(tmp_path / "part.nc").georeference
    np.testing.assert_allclose(opened.transform, tuple(cells)[:6], rtol=1e-12)
    assert (opened.crs is None) == (located.georeference.crs is None)
    if (part[0].step, part[1].step) == (None, None):
        plane = dataset.t0_e.isel(y=part[0], x=part[1])
        store = hsifeat.import_planes(located, {"e": plane}, out=tmp_path / "p.zarr")
        valid, inside = hsifeat.open_features(store).valid, np.zeros(located.valid.shape, bool)
        inside[part] = True
        np.testing.assert_array_equal(valid, inside & located.valid)
        np.testing.assert_array_equal(values_of(store)["t0/e"][valid], encoder[valid])


def test_pixels_of_a_rotated_grid_that_are_not_evenly_spaced_are_refused(rotated, tmp_path):
    located, dataset = rotated
    with pytest.raises(SceneError, match=r"e: the coordinates y and x .* evenly spaced"):
        hsifeat.import_planes(located, {"e": dataset.t0_e[[0, 1, 5]]}, out=tmp_path / "e.zarr")


def numbered(values, first=0.0):
    rows, cols = (first + np.arange(size) for size in values.shape[:2])
    return xr.DataArray(values, {"y": rows, "x": cols}, ("y", "x", "band"))


def test_numbers_of_pixels_must_not_contradict_those_of_the_scene(scene, encoder, tmp_path):
    cube, features = numbered(scene.cube), numbered(encoder)
    whole = hsifeat.Scene("whole", cube)

    def imported(located, array, name):
        store = hsifeat.import_planes(located, {"e": array}, out=tmp_path / f"{name}.zarr")
        return values_of(store)["t0/e"], hsifeat.open_features(store).valid

    changed = (features[::-1], features[:, ::-1], features.assign_coords(y=features.y + 3))
    # Every second or fourth pixel lies on its pixel, not in the middle of a cell, as it was placed by its shape.
    thinned = (features[::2, ::2], features[::4], features[:, ::4])
    for number, wrong in enumerate((*changed, *thinned)):
        for located in (whole, whole.with_bands([0, 2])):
            with pytest.raises(
                SceneError,
                match=r"e: its coordinates [yx], the centres of its cells, run from .* sort them.*or give array.values",
            ):
                imported(located, wrong, f"wrong-{number}")
    upwards = hsifeat.Scene("upwards", cube[::-1])
    with pytest.raises(
        SceneError,
        match="e: its coordinates y, the centres of its cells, run from 0 to 74, but those of upwards from 74 to 0",
    ):
        imported(upwards, features, "upwards")
    part = hsifeat.Scene("part", cube[10:50, 5:])
    right = {
        "flipped": (upwards, features[::-1], encoder[::-1]),
        "part": (part, features[10:50, 5:], encoder[10:50, 5:]),
        "counted anew": (part, numbered(encoder[10:50, 5:], 1), encoder[10:50, 5:]),
        "centres": (whole, numbered(encoder, 0.5), encoder),
        "means": (part, features[10:50, 5:].coarsen(y=2, x=2).mean(), None),
    }
    for name, (located, array, expected) in right.items():
        found, valid = imported(located, array, name)
        if expected is None:
            np.testing.assert_allclose(found, encoder[10:50, 5:].reshape(20, 2, 24, 2, 6).mean((1, 3)), atol=1e-5)
        else:
            np.testing.assert_array_equal(found[valid], expected[valid])


@pytest.mark.parametrize("kind", ["array", "file"])
@pytest.mark.parametrize(
    ("names", "attributes"),
    [
        (("lat", "lon"), ({"units": "degrees_north"}, {"units": "degrees_east"})),
        (("a", "b"), ({"standard_name": "latitude"}, {"standard_name": "longitude"})),
        (("a", "b"), ({"axis": "Y", "units": "degrees_north"}, {"axis": "X", "units": "degrees_east"})),
    ],
    ids=["names", "standard names", "axes"],
)
def test_coordinates_need_not_have_the_names_of_their_dimensions(names, attributes, kind, tmp_path):
    """CF data often have `lat(y)` and `lon(x)`. Rows from south to north landed upside down, and parts were stretched, without a note."""
    north, east = 47 - 0.001 * np.arange(12), 8 + 0.001 * np.arange(15)
    coordinates = {names[0]: ("row", north, attributes[0]), names[1]: ("col", east, attributes[1])}
    values = np.stack(np.mgrid[1:13, 1:16], axis=-1).astype(np.float32)
    whole = xr.DataArray(values, coordinates, ("row", "col", "band"))
    scene = hsifeat.Scene("s", whole.assign_attrs(crs="EPSG:4326"))
    np.testing.assert_allclose(scene.georeference.transform, (0.001, 0, 7.9995, 0, -0.001, 47.0005), atol=1e-9)
    for number, part in enumerate((whole[::-1], whole[3:9, 2:8], whole[8:2:-1])):
        source = part
        if kind == "file":
            source = f"{tmp_path / f'{number}.nc'}:e"
            part.to_dataset(name="e").to_netcdf(tmp_path / f"{number}.nc")
        features = hsifeat.open_features(hsifeat.import_planes(scene, {"e": source}, out=tmp_path / f"{number}.zarr"))
        rows, cols = np.nonzero(features.valid)
        assert len(rows) == part.shape[0] * part.shape[1]
        np.testing.assert_array_equal(features.sample(rows, cols), np.stack([rows, cols], axis=1) + 1)


@pytest.mark.parametrize("kept", ["y", "x"])
def test_coordinates_of_one_axis_are_no_position(kept, placed_scene, encoder, tmp_path):
    """They were ignored, so that reversed rows landed upside down, without a note."""
    array = xr.DataArray(encoder, {kept: np.arange(encoder.shape["yx".index(kept)])[::-1] * 10.0}, ("y", "x", "band"))
    with pytest.raises(SceneError, match=f"e: the array has coordinates of {kept} only, so its place is unknown"):
        hsifeat.import_planes(placed_scene, {"e": array}, out=tmp_path / "e.zarr")
    assert (
        f"s: the array has coordinates of {kept} only, so the array has no georeference"
        in hsifeat.Scene("s", array).notes
    )
    array.to_dataset(name="e").to_netcdf(tmp_path / "e.nc")
    assert f"has coordinates of {kept} only; its georeference is ignored" in str(
        hsifeat.open_scene(tmp_path / "e.nc").notes
    )


def write_raster(path, values, place):
    with rasterio.open(
        path, "w", driver="GTiff", height=75, width=53, count=6, dtype="float32", crs="EPSG:32632", transform=place
    ) as file:
        file.write(values.transpose(2, 0, 1))
    return path


@pytest.mark.parametrize("east", [None, 500_000.0, 500_003.0], ids=["numbers of pixels", "same grid", "another grid"])
def test_a_geotiff_is_placed_on_a_scene_of_coordinates_without_a_crs(east, scene, encoder, tmp_path):
    cube = numbered(scene.cube) if east is None else with_coordinates(scene.cube)
    if east is None:
        cube = cube.assign_coords(y=2 * cube.y, x=2 * cube.x)
    file, heard = write_raster(tmp_path / "e.tif", encoder, WHERE @ Affine.translation(((east or 0) - 5e5) / 10, 0)), []
    located = hsifeat.Scene("located", cube).with_bands([1, 2])
    if east == 500_003:
        with pytest.raises(
            SceneError, match="lies on another grid than the scene located, and the scene located has no CRS"
        ):
            hsifeat.import_planes(located, file, out=tmp_path / "e.zarr")
        return
    store = hsifeat.import_planes(located, file, out=tmp_path / "e.zarr", listen=heard.append)
    np.testing.assert_array_equal(values_of(store)["t0/e"][located.valid], encoder[located.valid])
    assert ("e: placed by its shape, because the" in str(heard)) == (east != 500_000)


def test_an_array_with_a_crs_is_not_placed_by_its_shape(scene, encoder, tmp_path):
    """It lies 3 m from the pixels of the scene. A file with the same CRS is placed by its shape, with a note."""
    located = hsifeat.Scene("located", with_coordinates(scene.cube))
    array = with_coordinates(encoder).assign_attrs(crs="EPSG:32632")
    array = array.assign_coords(x=array.x + 3)
    with pytest.raises(
        SceneError, match="lies on another grid than the scene located, and the scene located has no CRS"
    ):
        hsifeat.import_planes(located, {"e": array}, out=tmp_path / "e.zarr")


@pytest.mark.parametrize("stride", ["a", [], 0, -1, np.inf])
def test_an_unreadable_stride_is_refused(stride, rotated, tmp_path):
    located, dataset = rotated
    plane = dataset.t0_e.assign_coords(y=dataset.y.assign_attrs(stride=stride))
    with pytest.raises(SceneError, match="e: the coordinates y and x .*, so its place is unknown"):
        hsifeat.import_planes(located, {"e": plane}, out=tmp_path / "e.zarr")
    assert hsifeat.Scene("s", plane).georeference is None
