"""Variables in groups take metadata from their own group, then from its parents, as xarray does; in NetCDF, HDF5 and Zarr."""

from __future__ import annotations

import h5py
import netCDF4
import numpy as np
import pyproj
import pytest
import xarray as xr

from hsifeat import open_scene
from hsifeat.scenes import open_labels
from hsifeat.scenes.readers.scopes import find_reference, nearest

ROWS, COLS, BANDS = 4, 3, 5
VALUES = np.random.default_rng(0).random((ROWS, COLS, BANDS)).astype(np.float32)
VNIR, SWIR = np.linspace(400, 900, BANDS), np.linspace(1000, 2400, BANDS)
FORMATS = pytest.mark.parametrize("name", ["x.nc", "x.h5", "v2.zarr", "v3.zarr"])


def dataset(nm=None, *, size=30.0, epsg=32632, step=1, bad=(), labels=False, **attrs):
    """A cube with its metadata, each of which may be left out: wavelengths, grid (size), CRS (epsg), bad bands, labels."""
    cube = VALUES[::step, ::step]
    variables = {"reflectance": (("y", "x", "band"), cube, {**attrs, **({"grid_mapping": "crs"} if epsg else {})})}
    if nm is not None:
        variables["wavelength"] = ("band", nm, {"units": "nm"})
    if bad:
        variables["good_wavelengths"] = ("band", np.array([band not in bad for band in range(BANDS)], np.int8))
    if size:
        variables["y"] = ("y", 5e6 - size * (np.arange(cube.shape[0]) + 0.5), {"units": "m"})
        variables["x"] = ("x", 4e5 + size * (np.arange(cube.shape[1]) + 0.5), {"units": "m"})
    if epsg:
        variables["crs"] = ((), 0, pyproj.CRS.from_epsg(epsg).to_cf())
    if labels:
        meanings = {"flag_values": np.array([1, 2], "i2"), "flag_meanings": "corn wheat"}
        variables["gt"] = (("y", "x"), np.arange(cube[..., 0].size).reshape(cube.shape[:2]).astype("i2") % 3, meanings)
    return xr.Dataset(variables)


def write(path, groups):
    for group, data in groups.items():
        if path.suffix == ".zarr":
            zarr_format = 2 if path.stem == "v2" else 3
            data.to_zarr(path, group=group or None, mode="a", zarr_format=zarr_format, consolidated=False)
        else:
            data.to_netcdf(path, group=group or None, mode="a", engine="h5netcdf")
    return path


def opened(path, group):
    """What xarray finds in a group."""
    options = {"engine": "zarr", "consolidated": False} if path.suffix == ".zarr" else {"engine": "h5netcdf"}
    return xr.open_dataset(path, group=group, **options)


@FORMATS
def test_siblings_keep_their_own_metadata(tmp_path, name):
    path = write(
        tmp_path / name,
        {
            "vnir": dataset(VNIR, epsg=32632, bad=[1], labels=True, _FillValue=np.float32(-1)),
            "swir": dataset(SWIR, epsg=32633, size=20, bad=[3], labels=True, scale_factor=0.001),
        },
    )
    for group, nm, epsg, size, scale in (("vnir", VNIR, 32632, 30, 1), ("swir", SWIR, 32633, 20, 1000)):
        scene = open_scene(path, variable=f"{group}/reflectance", bad_bands="keep")
        expected = opened(path, group)
        np.testing.assert_allclose(scene.wavelengths_nm, nm)
        np.testing.assert_allclose(scene.wavelengths_nm, expected["wavelength"])
        assert scene.georeference.transform[0] == size == float(expected.x[1] - expected.x[0])
        assert pyproj.CRS(scene.georeference.crs).to_epsg() == epsg and scene.scale == scale
        assert (-1.0 in scene.nodata) == (group == "vnir")
        bad = int(np.flatnonzero(expected["good_wavelengths"].values == 0)[0])
        assert open_scene(path, variable=f"{group}/reflectance").wavelengths_nm.tolist() == np.delete(nm, bad).tolist()
        labels = open_labels(f"{path}:{group}/gt", scene)
        assert labels.classes.shape == (ROWS, COLS) and labels.class_names == {1: "corn", 2: "wheat"}


@FORMATS
def test_metadata_of_a_sibling_are_never_taken(tmp_path, name):
    groups = {"vnir": dataset(VNIR, bad=[1], _FillValue=np.float32(-1)), "swir": dataset(size=0, epsg=None)}
    scene = open_scene(write(tmp_path / name, groups), variable="swir/reflectance")
    assert scene.wavelengths_nm is None and scene.georeference is None and scene.bands == BANDS
    assert -1.0 not in scene.nodata


@FORMATS
def test_a_quicklook_in_the_root_does_not_place_the_cube_of_a_group(tmp_path, name):
    quicklook = dataset(SWIR, size=60, step=2).isel(band=slice(3)).rename(reflectance="quicklook")
    path = write(tmp_path / name, {"": quicklook, "fine": dataset(VNIR, size=30)})
    scene = open_scene(path, variable="fine/reflectance")
    assert scene.georeference.transform == (30, 0, 4e5, 0, -30, 5e6)
    np.testing.assert_allclose(scene.wavelengths_nm, VNIR)
    assert open_scene(path, variable="quicklook").georeference.transform == (60, 0, 4e5, 0, -60, 5e6)


@FORMATS
def test_a_group_inherits_from_its_parents(tmp_path, name):
    root = dataset(VNIR)[["x", "y", "crs"]]
    deep = xr.Dataset(
        {
            "reflectance": (("y", "x", "band"), VALUES, {"grid_mapping": "crs"}),
            "wavelength": ("band", SWIR, {"units": "nm"}),
        }
    )
    path = write(tmp_path / name, {"": root, "a": xr.Dataset(), "a/b": deep})
    if path.suffix != ".zarr":
        # xarray writes the dimensions of each group anew; netCDF files that share them define them in the root alone.
        path.unlink()
        with netCDF4.Dataset(path, "w") as file:
            for dim, size in (("y", ROWS), ("x", COLS)):
                file.createDimension(dim, size)
                file.createVariable(dim, "f8", (dim,))[:] = root[dim].values
            crs = file.createVariable("crs", "i4", ())
            crs.setncatts(root["crs"].attrs)
            group = file.createGroup("a").createGroup("b")
            group.createDimension("band", BANDS)
            cube = group.createVariable("reflectance", "f4", ("y", "x", "band"))
            cube[:], cube.grid_mapping = VALUES, "crs"
            group.createVariable("wavelength", "f8", ("band",))[:] = SWIR
    scene = open_scene(path, variable="a/b/reflectance")
    assert (
        scene.georeference.transform == (30, 0, 4e5, 0, -30, 5e6)
        and pyproj.CRS(scene.georeference.crs).to_epsg() == 32632
    )
    np.testing.assert_allclose(scene.wavelengths_nm, SWIR)


@pytest.mark.parametrize("name", ["x.nc", "v3.zarr"])
def test_a_data_tree_of_xarray(tmp_path, name):
    tree = xr.DataTree.from_dict({"/": dataset(VNIR)[["x", "y", "crs"]], "/swir": dataset(SWIR, size=0, epsg=None)})
    tree["swir/reflectance"].attrs["grid_mapping"] = "crs"
    path = tmp_path / name
    if path.suffix == ".zarr":
        tree.to_zarr(path, zarr_format=3, consolidated=False)
    else:
        tree.to_netcdf(path, engine="h5netcdf")
    scene = open_scene(path, variable="swir/reflectance")
    np.testing.assert_allclose(scene.wavelengths_nm, SWIR)
    # xarray writes netCDF dimensions of the child anew, without coordinates, so that only Zarr inherits them.
    assert (scene.georeference is not None) == (path.suffix == ".zarr") or scene.georeference.transform[0] == 30


@pytest.mark.parametrize("name", ["v2.zarr", "v3.zarr"])
def test_an_array_or_group_named_directly_has_the_metadata_of_its_groups(tmp_path, name):
    groups = {
        "": dataset(VNIR)[["crs"]],
        "vnir": dataset(VNIR, _FillValue=np.float32(VALUES[0, 0, 0])),
        "swir": dataset(SWIR, scale_factor=0.001, _FillValue=np.float32(VALUES[0, 0, 0])).drop_vars("crs"),
    }
    path = write(tmp_path / name, groups)
    whole = open_scene(path, variable="swir/reflectance")
    for scene in (open_scene(path / "swir"), open_scene(path / "swir" / "reflectance")):
        np.testing.assert_array_equal(np.asarray(scene.cube), np.asarray(whole.cube))
        np.testing.assert_allclose(scene.wavelengths_nm, SWIR)
        assert scene.georeference == whole.georeference and scene.georeference.crs is not None
        assert scene.scale == whole.scale == 1000 and scene.nodata == whole.nodata
        assert np.count_nonzero(~scene.valid) == 1


@pytest.mark.parametrize("beside", [True, False])
def test_plain_hdf5_vectors_of_other_groups(tmp_path, beside):
    """HDF5 without dimension names: vectors beside the cube, or in a group without a cube, but not those of another cube."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for group, nm in (("vnir", VNIR), ("swir", SWIR)):
            file[f"{group}/cube"] = VALUES
            if group == "vnir" or beside:
                file[f"{group}/wavelength"] = nm
        file["swir/meta/bbl"] = np.array([1, 0, 1, 1, 1])
    scene = open_scene(tmp_path / "x.h5", variable="swir/cube")
    assert scene.bands == BANDS - 1
    if beside:
        np.testing.assert_allclose(scene.wavelengths_nm, np.delete(SWIR, 1))
    else:
        assert scene.wavelengths_nm is None


def test_references_follow_cf():
    names = ["crs", "a/crs", "a/b/crs", "c/cube"]
    for reference, found in (
        ("crs", "a/b/crs"),
        ("/crs", "crs"),
        ("../crs", "a/crs"),
        ("./crs", "a/b/crs"),
        ("no", None),
    ):
        assert find_reference(reference, "a/b/cube", names) == found
    assert find_reference("crs", "c/cube", names) == "crs"
    assert nearest(["w", "a/w", "a/b/w"], "a/b/cube", ()) == ("a/b/w",)


def test_a_missing_grid_mapping_is_noted(tmp_path):
    write(tmp_path / "x.nc", {"a": dataset(VNIR), "b": dataset(SWIR, epsg=None, grid_mapping="crs")})
    assert "no grid mapping 'crs' in the group of b/reflectance" in " ".join(
        open_scene(tmp_path / "x.nc", variable="b/reflectance").notes
    )


def test_bad_bands_of_groups_that_share_a_dimension(tmp_path):
    """The dimension of the bands is in the root group; netCDF's scope of names says that the flags are those of the own group."""
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, size in (("y", 3), ("x", 4), ("band", 5)):
            file.createDimension(name, size)
        for group, bad in (("a", 1), ("b", 3)):
            inner = file.createGroup(group)
            inner.createVariable("cube", "f4", ("y", "x", "band"))[:] = np.arange(1, 6)
            inner.createVariable("good_wavelengths", "i1", ("band",))[:] = np.arange(5) != bad
    for group, bad in (("a", 1), ("b", 3)):
        scene = open_scene(tmp_path / "x.nc", variable=f"{group}/cube")
        assert scene.cube[0, 0].tolist() == np.delete(np.arange(1, 6), bad).tolist()
