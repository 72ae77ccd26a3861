"""Cubes that are arrays of other libraries: masked, lazy and labelled arrays."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import dask.array as da
import h5py
import netCDF4
import numpy as np
import pytest
import rasterio
import xarray

from hsifeat import extract, fit_projection, import_planes, open_scene, rank_timesteps
from hsifeat.errors import SceneError
from hsifeat.scenes import Georeference, Scene


def test_a_masked_array_is_refused_with_what_to_give_instead():
    masked = np.ma.masked_equal(np.arange(1, 25).reshape(3, 4, 2), 9)
    with pytest.raises(SceneError, match=r"mask=~np\.ma\.getmaskarray\(cube\)\.any\(axis=2\)"):
        Scene("x", masked)
    scene = Scene("x", masked.data, mask=~np.ma.getmaskarray(masked).any(axis=2))
    assert (~scene.valid).sum() == 1 and not scene.valid[1, 0]


@pytest.fixture
def scaled_variable(tmp_path):
    """A variable of integers whose slices netCDF4 gives as masked arrays of scaled floats."""
    with netCDF4.Dataset(tmp_path / "scaled.nc", "w") as file:
        for name, size in zip("yxb", (4, 5, 3), strict=True):
            file.createDimension(name, size)
        variable = file.createVariable("refl", "i2", ("y", "x", "b"), fill_value=-9999)
        variable.scale_factor = 1e-4
        values = np.ma.masked_array(np.full((4, 5, 3), 0.25), mask=False)
        values[2, 2] = np.ma.masked
        variable[:] = values
    with netCDF4.Dataset(tmp_path / "scaled.nc") as file:
        yield file["refl"]


def test_a_netcdf4_variable_is_refused_unless_its_slices_are_as_stored(scaled_variable):
    """The oracle is netCDF4: without its conversion, slices have the dtype and the values of the file."""
    for attribute, message in (
        ("cube", "cube: the slices .* are masked"),
        ("companion", "image: the slices .* masked"),
    ):
        with pytest.raises(SceneError, match=message + r".*set_auto_maskandscale\(False\)"):
            Scene("x", **{"cube": np.ones((4, 5, 3)), attribute: scaled_variable})
    scaled_variable.set_auto_mask(False)
    with pytest.raises(SceneError, match="the cube has the dtype int16, but its slices have float64: open the file"):
        Scene("x", scaled_variable)
    with pytest.raises(SceneError, match="feature array has the dtype int16, but its slices have float64"):
        import_planes(Scene("x", np.ones((4, 5, 3))), {"e": scaled_variable})
    scaled_variable.set_auto_maskandscale(False)
    scene = Scene("x", scaled_variable, nodata=-9999)
    assert not scene.valid[2, 2] and scene.valid.sum() == 19 and scene.cube[0, 0].tolist() == [2500] * 3


class MaskedLater:
    """An array whose slices are masked only where a value is missing, as with `set_always_mask(False)` of netCDF4."""

    shape, dtype = (4, 5, 3), np.dtype(np.float32)

    def __getitem__(self, key):
        values = np.ones(self.shape, np.float32)
        values[2, 2] = -9999
        masked = np.ma.masked_equal(values[key], -9999)
        return masked if masked.mask.any() else masked.data


@pytest.mark.parametrize(
    "use", [lambda scene: scene.valid, lambda scene: scene.digest, lambda scene: scene.with_bands([0]).digest]
)
@pytest.mark.parametrize("mask", [None, np.ones((4, 5), bool)], ids=["no mask", "mask"])
def test_lazy_masked_arrays_are_refused_before_their_values_are_used(use, mask):
    dask_array = da.from_array(np.arange(1, 61, dtype=np.float32).reshape(4, 5, 3), chunks=2)
    with pytest.raises(SceneError, match="x: cube: the slices of the array are masked"):
        Scene("x", da.ma.masked_equal(dask_array, 9), mask=mask)
    scene = Scene("x", MaskedLater(), mask=mask)
    with pytest.raises(SceneError, match="masked values would count as data"):
        use(scene), scene.digest
    wrong = dask_array.map_blocks(lambda block: block * 1.5, dtype="i2", meta=np.empty((0, 0, 0), "i2"))
    with pytest.raises(SceneError, match="dtype int16, but its slices have float32"):
        Scene("x", wrong)


@pytest.mark.parametrize("attribute", ["axis", "standard_name"])
def test_axes_that_coordinates_state_are_heeded(attribute):
    """As in a file: rows and columns, and with them eastings and northings, were exchanged."""
    stated = {"axis": ("Y", "X"), "standard_name": ("projection_y_coordinate", "projection_x_coordinate")}[attribute]
    coords = {dim: (dim, 10.0 * np.arange(5), {attribute: text}) for dim, text in zip("vw", stated, strict=True)}
    array = xarray.DataArray(np.random.default_rng(0).normal(size=(5, 5, 3)), coords, dims=("v", "w", "c"))
    np.testing.assert_array_equal(Scene("x", array).cube[...], array.to_numpy())
    with pytest.raises(SceneError, match=r"found the dimensions w, v, c: give array.transpose\('v', 'w', 'c'\)$"):
        Scene("x", array.transpose("w", "v", "c"))


@pytest.mark.parametrize(
    ("dims", "order"),
    [
        (("band", "y", "x"), "'y', 'x', 'band'"),
        (("x", "y", "wavelength"), "'y', 'x', 'wavelength'"),
        (("feature", "lat", "lon"), "'lat', 'lon', 'feature'"),
        (("wavelength", "v", "w"), "'v', 'w', 'wavelength'"),
        (("x_s4", "y_s4", "channel_e"), "'y_s4', 'x_s4', 'channel_e'"),
        (
            ("projection_x_coordinate", "projection_y_coordinate", "c"),
            "'projection_y_coordinate', 'projection_x_coordinate', 'c'",
        ),
        (("y", "x", "band"), None),
        (("y", "x", "feature"), None),
        (("dim_0", "dim_1", "dim_2"), None),
    ],
)
def test_dimensions_of_a_data_array_are_heeded(dims, order, tmp_path):
    """xarray itself turns the refused array as the message says."""
    array = xarray.DataArray(np.random.default_rng(0).normal(size=(5, 5, 5)), dims=dims)
    other = Scene("x", np.ones((5, 5, 5)))
    if order is not None:
        for use in (partial(Scene, "x"), lambda cube: import_planes(other, {"x": cube}, out=tmp_path / "x.zarr")):
            with pytest.raises(
                SceneError, match=rf"^x: a .* found the dimensions .*: give array.transpose\({order}\)$"
            ):
                use(array)
        array = array.transpose(*(dim.strip("' ") for dim in order.split(",")))
    np.testing.assert_array_equal(Scene("x", array).cube[...], array.to_numpy())


def test_coordinates_of_a_data_array_are_those_of_the_georeference():
    """rasterio gives the coordinates of the centres of pixels."""
    place, values = rasterio.Affine(10, 0, 500_000, 0, -10, 4_000_000), np.ones((4, 5, 3))
    where = Georeference(rasterio.CRS.from_epsg(32632).to_wkt(), tuple(place)[:6])

    def located(values, place):
        x, y = (np.array([place @ (k + 0.5, k + 0.5) for k in range(max(values.shape))])[:, axis] for axis in (0, 1))
        return xarray.DataArray(values, {"y": y[: len(values)], "x": x[: values.shape[1]]}, ("y", "x", "band"))

    cube, companion = located(values, place), located(np.ones((8, 10, 3)), place @ rasterio.Affine.scale(0.5))
    moved = cube.assign_coords(x=cube.x + 30)
    assert Scene("x", cube, georeference=where, companion=companion).companion_factor == 2
    for wrong in (cube[::-1], moved, moved[::-1]):
        assert Scene("x", wrong.to_numpy(), georeference=where).georeference is where
        with pytest.raises(SceneError, match=r"x: the cube has coordinates of another grid .*array.sortby\('y', asc"):
            Scene("x", wrong, georeference=where)
    with pytest.raises(SceneError, match=r"x: the companion image has coordinates of another grid"):
        Scene("x", cube, georeference=where, companion=companion[::-1])


@pytest.mark.parametrize("placed", ["cube", "companion", "both", "neither", "plain"])
def test_a_companion_image_that_is_aligned_by_its_shape_is_noted(placed):
    """As for files. An image from south to north was mirrored against a cube without coordinates, without a note."""
    cube, image = located(), np.ones((8, 10, 3))
    if placed != "plain":
        finer = {"y": 3_999_962.5 + 5 * np.arange(8), "x": 500_002.5 + 5 * np.arange(10)}
        image = xarray.DataArray(image, finer if placed in {"companion", "both"} else None, ("y", "x", "band"))
    cube = cube if placed in {"cube", "both", "plain"} else cube.values
    scene = Scene("x", cube, companion=image)
    notes = [note for note in replace(scene, name="y").notes if "aligned with the scene by its shape" in note]
    owner = {"cube": "the companion image", "companion": "the scene"}.get(placed)
    expected = f"x: the companion image is aligned with the scene by its shape, because {owner} has no georeference"
    assert notes == ([] if owner is None else [expected])


@pytest.mark.parametrize(("west", "is_noted"), [(500_000, False), (900_000, True)])
def test_the_geotransform_of_a_companion_image_without_coordinates_is_compared(west, is_noted):
    mapping = xarray.Variable((), 0, {"GeoTransform": f"{west} 5 0 3999960 0 5"})
    image = xarray.DataArray(np.ones((8, 10, 3)), {"spatial_ref": mapping}, ("y", "x", "band"))
    notes = [note for note in Scene("x", located(), companion=image).notes if "companion" in note]
    assert notes == (
        [
            "x: the companion image is aligned with the scene by its shape, although its GeoTransform states another place"
        ]
        if is_noted
        else []
    )


UTM_32 = rasterio.CRS.from_epsg(32632).to_wkt()


def located(dims=("y", "x", "band"), attrs=None, **coords):
    """Return an array of 4 x 5 pixels of 10 m, from south to north."""
    places = {dims[0]: 3_999_965 + 10 * np.arange(4), dims[1]: 500_005.0 + 10 * np.arange(5)}
    values = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    return xarray.DataArray(values, places | coords, dims, name="cube", attrs=attrs)


@pytest.mark.parametrize(
    ("array", "crs"),
    [
        (located(), None),
        (located(("northing", "easting", "band")), None),
        (located(spatial_ref=xarray.Variable((), 0, {"crs_wkt": UTM_32})), 32632),
        (located(attrs={"crs": "EPSG:32632"}), 32632),
        (located(attrs={"crs": 32632}), 32632),
    ],
    ids=["no CRS", "other names", "grid mapping", "attribute", "EPSG code"],
)
def test_coordinates_of_a_data_array_are_the_georeference_of_its_scene(array, crs):
    found = Scene("x", array)
    expected = rasterio.Affine(10, 0, 500_000, 0, 10, 3_999_960)
    np.testing.assert_allclose(found.georeference.transform, tuple(expected)[:6])
    assert (found.georeference.crs and rasterio.CRS.from_wkt(found.georeference.crs).to_epsg()) == crs
    assert found.notes == () and replace(found, name="y").georeference == found.georeference
    assert Scene("x", array.values).georeference is None
    part = Scene("x", array[1:, 2:])  # a part lies where its coordinates say
    np.testing.assert_allclose(part.georeference.transform, tuple(expected @ rasterio.Affine.translation(2, 1))[:6])


def test_a_data_array_has_the_georeference_of_its_file(tmp_path):
    array = located(spatial_ref=xarray.Variable((), 0, {"crs_wkt": UTM_32}))
    array.assign_attrs(grid_mapping="spatial_ref").to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    expected = open_scene(tmp_path / "x.nc").georeference
    with xarray.open_dataset(tmp_path / "x.nc", engine="h5netcdf", decode_coords="all") as opened:
        found = Scene("x", opened.cube.load()).georeference
    assert found.same_grid(expected, 4, 5) and found.same_crs(expected)


def test_numbers_of_pixels_and_unusable_coordinates_are_no_georeference():
    array = located()
    for first in (0, 1, 17):
        numbers = array.assign_coords(y=np.arange(4) + first, x=np.arange(5) + first)
        assert Scene("x", numbers).georeference is None and Scene("x", numbers).notes == ()
    full = xarray.DataArray(np.ones((40, 44, 3)), {"y": np.arange(40), "x": np.arange(44)}, ("y", "x", "band"))
    identity = xarray.Variable((), 0, {"GeoTransform": "0.0 1.0 0.0 0.0 0.0 1.0"})  # as rioxarray opens a PNG file
    unplaced = full.assign_coords(y=full.y + 0.5, x=full.x + 0.5, spatial_ref=identity)
    for numbers in (full[::2, ::2], full.coarsen(y=4, x=2).mean(), full[::-1, 5:], unplaced[::2], unplaced[::-3]):
        assert Scene("x", numbers).georeference is None and Scene("x", numbers).notes == ()
    placed = unplaced.assign_coords(
        spatial_ref=xarray.Variable((), 0, {"GeoTransform": "0 2 0 0 0 2"}), x=full.x * 2 + 1
    )
    for known in (
        full.assign_coords(x=full.x + 500_000),
        full.assign_coords(y=full.y + 0.3),
        full.assign_coords(x=full.x.assign_attrs(units="m")),
        full.assign_coords(y=full.y.assign_attrs(standard_name="latitude")),
        placed.assign_coords(y=full.y * 2 + 1),
        full.rename(y="lat", x="lon"),  # a map of the world in whole degrees has no units in many files
        full.rename(x="Longitude"),
    ):
        assert Scene("x", known[::2]).georeference is not None
    places = {name: (("y", "x"), np.ones((4, 5))) for name in ("lat", "lon")}
    for reason, wrong in {
        "coordinates y and x .* evenly spaced": array.assign_coords(y=[0, 1, 2, 7]),
        "coordinates y and x .* numbers": array.assign_coords(y=list("abcd")),
        "coordinates lat and lon of the array have two dimensions": array.drop_vars(["y", "x"]).assign_coords(places),
    }.items():
        scene = Scene("x", wrong)
        assert scene.georeference is None
        assert re.search(f"^x: the {reason}.*, so the array has no georeference$", *scene.notes)
        assert replace(scene, name="x").notes == scene.notes
    unknown = Scene("x", array.assign_attrs(crs="the local grid"))
    assert unknown.georeference.crs is None
    assert "describes no CRS: 'the local grid', so its CRS is unknown" in str(unknown.notes)


def closed_array(library, path, read):
    """Return an array and its scene from a `with` block that has ended. Before, the attribute `read` of the scene was read."""
    values = np.random.default_rng(0).random((6, 7, 4))
    if library == "h5py":
        with h5py.File(path, "w") as file:
            array = file.create_dataset("cube", data=values)
            scene = Scene("s", array)
            getattr(scene, read or "name")
            return array, scene
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip("yxb", values.shape, strict=True):
            file.createDimension(name, size)
        variable = file.createVariable("cube", "f8", ("y", "x", "b"), fill_value=False)
        variable[:] = values
        file.set_auto_mask(False)
        scene = Scene("s", variable)
        getattr(scene, read or "name")
        return variable, scene


@pytest.mark.parametrize("read", ["", "valid", "digest"])
@pytest.mark.parametrize("library", ["h5py", "netCDF4"])
def test_an_array_of_a_closed_file_is_refused(library, read, tmp_path):
    array, scene = closed_array(library, tmp_path / "cube.h5", read)
    for call in (
        lambda: Scene("t", array),
        lambda: fit_projection("pca:2", scene),
        lambda: rank_timesteps(scene, backbone="untrained:natural32", timesteps=[0, 500], budget=1),
        *([] if read else [lambda: scene.valid]),
        scene.summary,
        scene.empty_bands,
        lambda: scene.with_bands([0]),
        *([] if read == "digest" else [lambda: scene.digest]),
        lambda: extract(scene, backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr"),
        lambda: import_planes(Scene("t", np.ones((6, 7, 4))), {"e": array}, out=tmp_path / "i.zarr"),
    ):
        with pytest.raises(SceneError, match="can't be read .* file was closed"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["cube.h5"]


def test_an_array_of_unknown_shape_is_refused():
    lazy = da.ones((6, 7, 4))
    with pytest.raises(SceneError, match="a cube: the shape .* is unknown: .* compute_chunk_sizes"):
        Scene("s", lazy[lazy.sum(axis=(1, 2)) > 0])


@pytest.mark.parametrize("index", [np.ones((4, 5), bool), [1, 2], None, 1.5, True, slice(None, None, -1)])
def test_indices_that_would_read_a_whole_file_are_refused(index):
    """They work on the cube of a scene in memory, so users try them on the cube of a file."""
    cube = Scene("s", np.arange(60.0).reshape(4, 5, 3)).with_bands([2, 0]).cube
    with pytest.raises(SceneError, match=r"np.asarray\(array\)"):
        cube[index]
    for too_many in ((0, 0, 0, 0), (..., ...)):
        with pytest.raises(IndexError, match="takes at most 3 indices and one ellipsis"):
            cube[too_many]
    assert len(cube) == 4
    np.testing.assert_array_equal(cube[np.int64(3)], cube[-1])


@pytest.mark.parametrize(
    ("unit", "is_nm"),
    [
        ("nm", True),
        (" NM", True),
        ("", True),
        ("1", True),
        (None, True),
        ("um", False),
        ("cm-1", False),
        ("GHz", False),
    ],
)
@pytest.mark.parametrize("key", ["units", "unit"])
@pytest.mark.parametrize("attribute", ["wavelengths_nm", "fwhm_nm"])
def test_wavelengths_in_another_unit_than_nm_are_refused(attribute, key, unit, is_nm):
    values = xarray.DataArray([0.5, 0.6, 0.7], dims="band", attrs={key: unit})
    if is_nm:
        assert getattr(Scene("s", np.ones((4, 5, 3)), **{attribute: values}), attribute).tolist() == [0.5, 0.6, 0.7]
    else:
        with pytest.raises(SceneError, match=f"{attribute} must be in nm; found a DataArray in {unit!r}"):
            Scene("s", np.ones((4, 5, 3)), **{attribute: values})


@pytest.mark.parametrize("kind", ["DataArray", "Series"])
def test_wavelengths_with_the_labels_of_the_bands_in_another_order_are_refused(kind):
    cube = xarray.DataArray(np.ones((4, 5, 3)), dims=("y", "x", "band"), coords={"band": [3, 1, 2]})
    nm = xarray.DataArray([450.0, 550, 650], dims="band", coords={"band": [1, 2, 3]})
    given = nm if kind == "DataArray" else nm.to_series()
    with pytest.raises(SceneError, match="wavelengths_nm and the cube have the bands in another order: sort both"):
        Scene("s", cube, wavelengths_nm=given)
    assert Scene("s", cube, wavelengths_nm=nm.sel(band=cube.band)).wavelengths_nm.tolist() == [650, 450, 550]
    for labels, order in ((["1", "2", "3"], [1, 2, 3]), ([1.0, 2, 3], [1, 2, 3])):
        same = xarray.DataArray([4.0, 5, 6], dims="band", coords={"band": labels})
        assert Scene("s", cube.sel(band=order), wavelengths_nm=same).wavelengths_nm.tolist() == [4, 5, 6]
        with pytest.raises(SceneError, match="in another order"):
            Scene("s", cube, wavelengths_nm=same)
    assert Scene("s", cube.values, wavelengths_nm=given).wavelengths_nm.tolist() == [450, 550, 650]
    assert Scene("s", cube, wavelengths_nm=nm.assign_coords(band=[7, 8, 9])).wavelengths_nm.tolist() == [450, 550, 650]


def test_a_closed_dataset_is_not_taken_for_the_one_that_was_opened_next(tmp_path):
    """netCDF gives the number of a closed file to the next one, whose values were read."""
    array, scene = closed_array("netCDF4", tmp_path / "cube.nc", "")
    with netCDF4.Dataset(tmp_path / "next.nc", "w") as file:
        for name, size in zip("yxb", (6, 7, 4), strict=True):
            file.createDimension(name, size)
        file.createVariable("cube", "f8", ("y", "x", "b"))[:] = 5
        for call in (lambda: Scene("t", array), lambda: scene.digest, lambda: fit_projection("pca:2", scene)):
            with pytest.raises(SceneError, match="can't be read .*the dataset is closed"):
                call()
