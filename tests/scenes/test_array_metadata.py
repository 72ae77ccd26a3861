"""No-data values, scales and wavelengths that xarray arrays declare; xarray's own decoding of the same file is the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import hsifeat
from hsifeat import Scene, Window, import_planes, open_features, open_scene
from hsifeat.errors import HsifeatError, SceneError
from hsifeat.scenes.band_ranges import format_bands

RNG = np.random.default_rng(0)
SHAPE = (32, 32, 4)


def as_stored(path, variable="e"):
    return xr.open_dataset(path, mask_and_scale=False)[variable]


def decoded(path, variable="e"):
    return xr.open_dataset(path, mask_and_scale=True)[variable]


@pytest.fixture
def filled(tmp_path):
    """A file of values with -9999 where data are missing."""
    values = RNG.normal(size=SHAPE).astype(np.float32)
    values[:8, :8] = -9999
    xr.Dataset({"e": (("y", "x", "band"), values)}).to_netcdf(
        tmp_path / "e.nc", encoding={"e": {"_FillValue": -9999.0}}
    )
    return tmp_path / "e.nc"


@pytest.fixture
def packed(tmp_path):
    """A file of integers with a scale and a fill value."""
    values = RNG.uniform(0.1, 1, SHAPE)
    values[3:5, 3:5] = np.nan
    xr.Dataset({"reflectance": (("y", "x", "band"), values)}).to_netcdf(
        tmp_path / "p.nc", encoding={"reflectance": {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -9999}}
    )
    return tmp_path / "p.nc"


def declared(array, place):
    """Return the array with its fill value declared in another place."""
    fill = array.attrs["_FillValue"]
    array = array.drop_attrs()
    if place == "encoding":
        array.encoding["_FillValue"] = fill
    else:
        array.attrs[place] = [fill] * SHAPE[2] if place == "nodatavals" else fill
    return array


def plane_of(source, path, **options):
    """Import features of a scene in which all pixels are valid. Return values, the mask of the pixels with features, and notes."""
    scene, heard = Scene("s", np.full((*SHAPE[:2], 3), 2.0) + np.arange(1024.0).reshape(32, 32, 1)), []
    store = hsifeat.import_planes(scene, {"e": source}, out=path, listen=heard.append, **options)
    features = hsifeat.open_features(store)
    return np.asarray(store.plane(store.planes[0].id)[:]), features.valid, str(heard)


PLACES = ["_FillValue", "missing_value", "nodata", "fill_value", "nodatavals", "encoding"]


@pytest.mark.parametrize("place", PLACES)
def test_pixels_with_a_declared_fill_value_have_no_data(place, filled, tmp_path):
    array, missing = declared(as_stored(filled), place), decoded(filled).isnull().any("band").values
    assert missing.sum() == 64
    np.testing.assert_array_equal(plane_of(array, tmp_path / "e.zarr")[1], ~missing)
    scene = Scene("s", array, companion=array)
    np.testing.assert_array_equal(scene.valid, ~missing)
    assert scene.nodata == scene.companion_nodata == (-9999.0,) and not scene.validity_notes


def test_own_no_data_values_are_added(filled, tmp_path):
    array = as_stored(filled).copy()
    array[20, 20] = -1.5
    missing = decoded(filled).isnull().any("band").values
    missing[20, 20] = True
    np.testing.assert_array_equal(plane_of(array, tmp_path / "e.zarr", feature_nodata=-1.5)[1], ~missing)
    scene = Scene("s", array, nodata=-1.5, companion=array, companion_nodata=[0, -1.5])
    np.testing.assert_array_equal(scene.valid, ~missing)
    assert scene.companion_nodata == (-9999.0, -1.5, 0.0)
    per_band = Scene("s", array, nodata=((-1.5,), (7,), (), ()))
    np.testing.assert_array_equal(per_band.valid, ~missing)
    assert replace(per_band, name="t").nodata == per_band.nodata


def test_packed_values_are_read_as_xarray_decodes_them(packed, tmp_path):
    oracle = decoded(packed, "reflectance")
    values, valid, heard = plane_of(as_stored(packed, "reflectance"), tmp_path / "p.zarr")
    np.testing.assert_array_equal(valid, ~oracle.isnull().any("band").values)
    np.testing.assert_allclose(values[valid], oracle.values[valid], rtol=1e-6)
    assert (
        "e: a stored 1000 is a feature of 0.1, because of its scale factor 0.0001" in heard
        and "reflectance" not in heard
    )
    scene = Scene("s", as_stored(packed, "reflectance"))
    np.testing.assert_array_equal(scene.valid, valid)
    np.testing.assert_allclose(scene.cube[0, 0].values / scene.scale, oracle[0, 0])
    assert len(scene.notes) == 1 and replace(scene, name="t").notes == scene.notes
    assert replace(scene, scale=5.0).scale == 5 == Scene("s", as_stored(packed, "reflectance"), scale=5).scale


def test_decoded_values_are_read_once(packed, tmp_path):
    """The fill value in `encoding` is packed: 0 is data if only a packed 0 meant no data."""
    oracle = decoded(packed, "reflectance")
    array = oracle.where(oracle.band > 0, 0)
    array.encoding = {**oracle.encoding, "_FillValue": 0}
    assert array.encoding["scale_factor"] == 1e-4
    values, valid, heard = plane_of(array, tmp_path / "d.zarr")
    assert valid.sum() == 1020 and (values[..., 0][valid] == 0).all() and "scale" not in heard
    scene = Scene("s", array, companion=array)
    assert scene.scale == 1 and scene.notes == () and scene.valid.sum() == 1020
    assert scene.nodata == scene.companion_nodata == ()


def test_each_band_has_its_own_value_of_nodatavals(tmp_path):
    """A value that only another band declares is data."""
    values = RNG.integers(1, 200, SHAPE).astype(np.uint8)
    values[2, 2], values[4, 4] = (0, 255, 7, 9), (255, 0, 0, 7)
    array = xr.DataArray(values, dims=("y", "x", "band"), attrs={"nodatavals": (0.0, 255.0, 7.0, 9.0)})
    scene = Scene("s", array, companion=array, nodata=3)
    assert scene.nodata == ((0.0, 3.0), (3.0, 255.0), (3.0, 7.0), (3.0, 9.0))
    assert scene.companion_nodata == ((0.0,), (255.0,), (7.0,), (9.0,))
    assert not scene.valid[2, 2] and scene.valid[4, 4] and replace(scene, name="t").nodata == scene.nodata
    valid = plane_of(array, tmp_path / "e.zarr")[1]
    assert not valid[2, 2] and valid[4, 4]
    assert Scene("s", array[..., :2]).nodata == (0.0, 7.0, 9.0, 255.0)


def test_notes_on_arrays_occur_once():
    array = xr.DataArray(np.ones(SHAPE, np.float32), dims=("y", "x", "band"), attrs={"valid_min": 0, "scale_factor": 2})
    scene = Scene("s", array, companion=array, nodata=-1)
    ranges = [note.partition("its valid_min")[0] for note in scene.notes if "valid_min 0 is not applied" in note]
    assert ranges == ["s: ", "s: companion image: "] and len(scene.notes) == 3
    assert replace(scene, name="t").notes == scene.notes
    packed = Scene("s", np.rint(array).astype(np.int16).assign_attrs(scale_factor=0.01, add_offset=3.0))
    assert sum("because there is an offset" in note for note in packed.notes) == 1
    assert replace(packed, name="t").notes == packed.notes


def test_scales_that_are_not_applied_are_noted(packed, tmp_path):
    stored = as_stored(packed, "reflectance")
    offset = stored.assign_attrs(add_offset=0.5)
    assert Scene("s", offset).scale == 1 and "there is an offset" in str(Scene("s", offset).notes)
    by_hand = (stored * 1e-4).assign_attrs(stored.attrs)  # xarray 2025.11 and later keeps the attributes
    values, valid, heard = plane_of(by_hand, tmp_path / "h.zarr")
    np.testing.assert_allclose(values[valid], by_hand.values[valid], rtol=1e-6)
    note = "the scale_factor of its floating-point values is not applied, because they may already be scaled"
    assert note in heard and Scene("s", by_hand).notes == (f"s: {note}",) and Scene("s", by_hand).scale == 1


@pytest.mark.parametrize(
    "packing",
    [
        {"add_offset": 7.5},
        {"scale_factor": -2.5},
        {"scale_factor": 4.0, "add_offset": -1.0},
        {"scale_factor": 2.0**-10, "add_offset": 100.0},  # needs the 17 bits of float32, but not of float16
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_features_of_arrays_and_files_are_unpacked_as_xarray_decodes_them(dtype, packing, tmp_path):
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)
    attrs = {**packing, "units": "K"}  # the unit has no effect on features
    xr.Dataset({"e": (("y", "x", "band"), stored, attrs)}).to_netcdf(tmp_path / "e.nc", engine="h5netcdf")
    for kind, source in (("file", tmp_path / "e.nc"), ("array", as_stored(tmp_path / "e.nc"))):
        values, valid, heard = plane_of(source, tmp_path / f"{kind}.zarr")
        np.testing.assert_array_equal(values, decoded(tmp_path / "e.nc"))
        assert valid.all() and "is a feature of" in heard and "reflectance" not in heard


def test_values_of_the_other_sign_are_refused(tmp_path):
    array = xr.DataArray(np.ones(SHAPE, np.int8), dims=("y", "x", "band"), attrs={"_Unsigned": "true"})
    array.to_dataset(name="e").to_netcdf(tmp_path / "u.nc", engine="scipy")
    for use in (lambda cube: Scene("s", cube), lambda cube: plane_of(cube, tmp_path / "u.zarr")):
        with pytest.raises(HsifeatError, match=r"its values of int8 have the other sign.*mask_and_scale=True"):
            use(as_stored(tmp_path / "u.nc"))
        use(decoded(tmp_path / "u.nc"))


NM = np.array([450.43, 550.17, 649.91, 1250.5])


def spectral(name="wavelength", values=NM, unit="nm", dim="band", **attrs):
    attrs = {**attrs, **({"units": unit} if unit else {})}
    cube = RNG.random(SHAPE) + np.arange(SHAPE[2])
    return xr.DataArray(cube, {name: (dim, values, attrs)}, ("y", "x", dim))


@pytest.mark.parametrize(
    ("array", "noted"),
    [
        pytest.param(spectral(), False, id="nm"),
        pytest.param(spectral(values=NM / 1e3, unit="um"), False, id="um"),
        pytest.param(spectral("wavelength", dim="wavelength"), False, id="dimension"),
        pytest.param(spectral("band", NM / 1e9, "m"), False, id="unit of the dimension"),
        pytest.param(spectral("centre", standard_name="radiation_wavelength"), False, id="standard name"),
        pytest.param(spectral(unit=""), True, id="no unit"),
    ],
)
def test_wavelengths_are_coordinates_of_the_bands(array, noted):
    scene = Scene("w", array)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert bool(scene.notes) == noted and not scene.wavelengths_nm.flags.writeable
    np.testing.assert_allclose(Scene("w", array[..., ::-1]).with_bands([3, 0]).wavelengths_nm, NM[[0, 3]])
    assert Scene("w", array, wavelengths_nm=np.round(NM)).notes == ()
    with pytest.raises(
        SceneError, match="w: wavelengths_nm differ from .* in 1 band of 4: band 2 has 648.91 nm instead"
    ):
        Scene("w", array, wavelengths_nm=NM - [0, 0.4, 1, 0])


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(spectral("band", np.arange(4), ""), id="band from 0"),
        pytest.param(spectral("wavelength", np.arange(1.0, 5), ""), id="wavelength from 1"),
        pytest.param(spectral("band", np.array(["red", "green", "blue", "nir"]), ""), id="names"),
        pytest.param(spectral("depth", NM, "", dim="channel"), id="another quantity"),
    ],
)
def test_other_coordinates_are_no_wavelengths(array):
    assert Scene("w", array).wavelengths_nm is None and Scene("w", array).notes == ()
    np.testing.assert_array_equal(Scene("w", array, wavelengths_nm=NM).wavelengths_nm, NM)


def test_wavelengths_in_another_order_than_the_bands_are_refused():
    ascending = spectral()
    ascending = ascending.assign_coords(fwhm=("band", [10.0, 11, 12, 13], {"units": "nm"}))
    descending = ascending.sortby("wavelength", ascending=False)
    message = (
        r"w: wavelengths_nm differ .* in 4 bands of 4: .*leave them out.*array.drop_vars\(\['wavelength', 'fwhm'\]\)"
    )
    with pytest.raises(SceneError, match=message):
        Scene("w", descending, wavelengths_nm=NM)
    scene = Scene("w", descending)
    np.testing.assert_array_equal(scene.wavelengths_nm, descending.wavelength)
    np.testing.assert_array_equal(scene.fwhm_nm, descending.fwhm)
    with pytest.raises(SceneError, match="w: fwhm_nm differ .* in 4 bands of 4"):
        Scene("w", descending, fwhm_nm=ascending.fwhm.values)
    own = Scene("w", descending.drop_vars(["wavelength", "fwhm"]), wavelengths_nm=NM)
    np.testing.assert_array_equal(own.wavelengths_nm, NM)


def test_bands_that_the_array_marks_as_bad_are_noted():
    array = spectral().assign_coords(good_wavelengths=("band", [1, 0, 1, 1]))
    scene = Scene("w", array)
    assert scene.bands == 4 and "(bands 1, counted from 0), which are kept" in str(scene.notes)


def test_spectra_of_a_store_in_another_order(tmp_path):
    scene = Scene("w", spectral().values, wavelengths_nm=NM)
    store = hsifeat.import_planes(scene, {"e": np.ones(SHAPE, np.float32)}, out=tmp_path / "w.zarr")
    spectra = hsifeat.open_features(store).to_xarray().spectra
    assert Scene("w", spectra, wavelengths_nm=NM).notes == ()
    turned = spectra.sortby("wavelength", ascending=False)
    with pytest.raises(SceneError, match="wavelengths_nm differ"):
        Scene("w", turned, wavelengths_nm=NM)
    np.testing.assert_array_equal(Scene("w", turned).wavelengths_nm, NM[::-1])


@pytest.mark.parametrize("kind", ["array", "e.nc", "e.zarr"])
@pytest.mark.parametrize("selection", [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 2]])
def test_values_of_file_bands_follow_the_bands_of_a_selection(selection, kind, tmp_path):
    """rioxarray keeps one scale, offset and no-data value for each band of the file, also after bands were selected or reordered."""
    values = np.random.default_rng(0).integers(100, 1000, (6, 7, 3)).astype(np.int16)
    values[2, 3] = -1, -2, -3
    attrs = {"scales": (0.1, 0.2, 0.5), "offsets": (0.0, 1.0, 2.0), "nodatavals": (-1.0, -2.0, -3.0)}
    opened = xr.DataArray(values, dims=("y", "x", "band"), coords={"band": [1, 2, 3]}, attrs=attrs).isel(band=selection)
    if kind == "array":
        scene = Scene("s", opened)
    else:
        file = opened.drop_encoding().to_dataset(name="e")
        file.to_netcdf(tmp_path / kind) if kind == "e.nc" else file.to_zarr(tmp_path / kind, consolidated=False)
        opened, scene = f"{tmp_path / kind}:e", open_scene(tmp_path / kind)
    assert np.argwhere(~scene.valid).tolist() == [[2, 3]]
    store = import_planes(Scene("s", np.ones((6, 7, 4))), {"e": opened}, out=tmp_path / "s.zarr", dtype="float32")
    expected = (values * np.float32([0.1, 0.2, 0.5]) + np.float32([0, 1, 2]))[..., selection]
    features = open_features(store)
    valid = features.valid
    np.testing.assert_allclose(features.read(Window(0, 0, 6, 7))[valid], expected[valid], rtol=1e-6)
    assert np.argwhere(~valid).tolist() == [[2, 3]]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("selection", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0], [2, 1]])
def test_flags_of_bad_bands_follow_the_bands_of_a_selection(selection, first, tmp_path):
    """The attribute keeps the flags of all bands of the file, and the coordinate says which band is where."""
    values = np.random.default_rng(0).random((6, 7, 4)).astype(np.float32)
    flags = np.array([0, 1, 0, 1])
    coordinate = {"band": np.arange(4) + first}
    array = xr.DataArray(values, coordinate, ("y", "x", "band"), "cube", {"bbl": flags}).isel(band=selection)
    array.to_netcdf(tmp_path / "x.nc")
    named = set(selection) & ({0} if first == 0 else {3})  # otherwise the coordinate may count from 0 or from 1
    good = flags[selection] == 1 if named else np.ones(len(selection), bool)
    scene = open_scene(tmp_path / "x.nc")
    np.testing.assert_array_equal(np.asarray(scene.cube), values[..., selection][..., good])
    assert named or "bbl" in str(scene.notes) or "bad" in str(scene.notes)
    told = [note for note in Scene("s", array).notes if "marks bands as bad" in note]
    bad = np.flatnonzero(flags[selection] == 0) if named else []
    assert len(told) == bool(len(bad)) and (not len(bad) or f"(bands {format_bands(bad)}, counted" in told[0])


def test_a_variable_of_xarray_is_an_array_without_coordinates(tmp_path):
    """It ended in an error of Python."""
    values = np.random.default_rng(0).random((6, 8, 3)).astype(np.float32)
    variable = xr.DataArray(values, {"band": [3, 2, 1]}, ("y", "x", "band"), attrs={"nodata": -1.0}).variable
    scene = Scene("s", variable, companion=variable)
    np.testing.assert_array_equal(np.asarray(scene.cube[:]), values)
    assert scene.georeference is None and scene.nodata == (-1.0,)
    features = open_features(import_planes(scene, {"e": variable}, out=tmp_path / "e.zarr", dtype="float32"))
    np.testing.assert_array_equal(features.read(Window(0, 0, 6, 8)), values)
