"""NetCDF and Zarr scenes written by xarray, netCDF4 and GDAL: dimensions, CF metadata, groups, feature stores."""

import h5py
import netCDF4
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
import zarr
from rasterio import Affine

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes.readers import read_raster
from tests.helpers.scene_formats import CUBE, tif

BANDS = CUBE.shape[2]
NM = [450.5, 550.0, 640.25, 2300.0, 900.0]


def cf(path, *, y_step=-30.0, engine="h5netcdf", **attrs):
    """A dataset by xarray, by the CF conventions."""
    rows, cols, bands = CUBE.shape
    x, y = 500015 + 30.0 * np.arange(cols), 3999985 + y_step * np.arange(rows)
    dataset = xr.Dataset(
        {"reflectance": (("wavelength", "y", "x"), CUBE.transpose(2, 0, 1), {"grid_mapping": "crs", **attrs})},
        {
            "wavelength": ("wavelength", np.array(NM) / 1000, {"units": "um"}),
            "fwhm": ("wavelength", np.full(bands, 0.0105), {"units": "um"}),
            "y": ("y", y, {"units": "m"}),
            "x": ("x", x, {"units": "m"}),
            "crs": ((), 0, pyproj.CRS("EPSG:32611").to_cf()),
        },
    )
    if path.suffix == ".zarr":
        dataset.to_zarr(path, zarr_format=3, consolidated=False)
    else:
        dataset.to_netcdf(path, engine=engine)


@pytest.mark.parametrize("name", ["x.nc", "x.zarr", "classic.nc"])
def test_cf_conventions(tmp_path, name):
    options = {"engine": "scipy"} if "classic" in name else {}
    cf(tmp_path / name, _FillValue=np.int16(-9999), scale_factor=0.0001, long_name="surface reflectance", **options)
    scene = open_scene(tmp_path / name, variable="reflectance")
    assert scene.scale == 10000 and scene.nodata == (-9999.0,)
    assert scene.notes == (f"{name}: a stored 10000 is read as reflectance 1, because of its scale factor 0.0001",)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, [10.5] * BANDS)
    np.testing.assert_allclose(scene.georeference.transform, (30, 0, 500000, 0, -30, 4000000))
    assert pyproj.CRS(scene.georeference.crs).to_epsg() == 32611


def test_packed_coordinates_are_unpacked_as_by_xarray(tmp_path):
    """Products pack coordinates in integers, and bandwidths may have another unit than wavelengths."""
    cf(tmp_path / "plain.nc")
    dataset = xr.open_dataset(tmp_path / "plain.nc")
    dataset["fwhm"] = dataset.fwhm * 1000
    dataset.fwhm.attrs["units"] = "nm"
    packed = {
        "x": {"dtype": "int16", "scale_factor": 30.0, "add_offset": 500015.0},
        "y": {"dtype": "int16", "scale_factor": -30.0, "add_offset": 3999985.0},
        "wavelength": {"dtype": "int32", "scale_factor": 1e-6},
    }
    dataset.to_netcdf(tmp_path / "x.nc", engine="h5netcdf", encoding=packed)
    scene = open_scene(tmp_path / "x.nc")
    np.testing.assert_allclose(scene.georeference.transform, (30, 0, 500000, 0, -30, 4000000))
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, [10.5] * BANDS)


@pytest.mark.parametrize(
    ("attrs", "note"),
    [
        pytest.param(
            {"valid_range": np.array([0, 9000], np.int16)}, "valid_range 0 to 9000 is not applied", id="range"
        ),
        pytest.param({"valid_min": np.int16(1)}, "valid_min 1 is not applied", id="minimum"),
    ],
)
def test_a_range_of_valid_values_is_noted(tmp_path, attrs, note):
    cf(tmp_path / "x.nc", **attrs)
    assert note in " ".join(open_scene(tmp_path / "x.nc").notes)


def test_netcdf_rows_from_south_to_north(gdal, tmp_path):
    """Rows are left as they are stored; the transform says that they go north."""
    cf(tmp_path / "x.nc", y_step=30.0)
    scene = open_scene(tmp_path / "x.nc")
    assert scene.georeference.transform == (30, 0, 500000, 0, 30, 3999970)


def test_netcdf_written_by_gdal(gdal, tmp_path):
    tif(tmp_path / "x.tif", CUBE[..., 0])
    gdal("gdal_translate", "-q", "-of", "netCDF", "-co", "FORMAT=NC4", tmp_path / "x.tif", tmp_path / "x.nc")
    raster = read_raster(tmp_path / "x.nc", 2)
    a, b, c, d, e, f = raster.georeference.transform
    # GDAL stores netCDF's rows from south to north.
    upwards = np.asarray(raster.array)
    np.testing.assert_array_equal(upwards[::-1] if e > 0 else upwards, CUBE[..., 0])
    assert (a, b, c, d, abs(e)) == (30, 0, 500000, 0, 30) and f == (4000000 if e < 0 else 4000000 - 30 * len(CUBE))
    assert pyproj.CRS(raster.georeference.crs).to_epsg() == 32611


def test_a_rotated_netcdf_grid_written_by_gdal_is_noted(gdal, tmp_path):
    """GDAL writes coordinates of the grid as if it were not rotated, and its transform beside them."""
    upright = Affine(10, 0, 500_000, 0, -10, 4_000_000)
    for angle, told in ((0, False), (30, True)):
        with rasterio.open(
            tmp_path / "x.tif", "w", driver="GTiff", width=4, height=3, count=1, dtype="int16", crs="EPSG:32611",
            transform=upright @ Affine.rotation(angle),
        ) as file:  # fmt: skip
            file.write(np.arange(12, dtype=np.int16).reshape(1, 3, 4))
        gdal("gdal_translate", "-q", "-of", "netCDF", tmp_path / "x.tif", tmp_path / "x.nc")
        notes = " ".join(read_raster(tmp_path / "x.nc", 2, "Band1").notes)
        assert ("its coordinates and its GeoTransform disagree" in notes) == told


@pytest.mark.parametrize(
    ("change", "note"),
    [
        pytest.param({"y": np.array([0.0, 1, 2, 3, 4, 9])}, "coordinates are not evenly spaced", id="uneven"),
        pytest.param({"crs": {"crs_wkt": "nonsense"}}, "grid mapping can't be read; its CRS is ignored", id="crs"),
    ],
)
def test_netcdf_without_usable_georeference_is_noted(tmp_path, change, note):
    cf(tmp_path / "x.nc")
    with netCDF4.Dataset(tmp_path / "x.nc", "a") as file:
        if "y" in change:
            file["y"][:] = change["y"]
        else:
            file["crs"].crs_wkt = change["crs"]["crs_wkt"]
    assert note in " ".join(open_scene(tmp_path / "x.nc").notes)


@pytest.mark.parametrize("name", ["x.nc", "x.zarr"])
@pytest.mark.parametrize(
    ("coordinate", "unit", "per_cm"),
    [
        pytest.param("wavelength", "cm-1", 1, id="named-wavelength"),
        pytest.param("radiation_wavenumber", "m-1", 100, id="cf-standard-name"),
        pytest.param("wavenumber", None, 1, id="without-unit"),
        pytest.param("band", "1/cm", 1, id="per-cm"),
    ],
)
def test_wavenumbers_are_converted(tmp_path, name, coordinate, unit, per_cm):
    """1 cm is 1e7 nm, so 20000 waves per cm are 500 nm long. The last band reaches from 900 to 1100 per cm."""
    values = np.array([20000.0, 16000, 12500, 10000, 1000])
    attrs = {} if unit is None else {"units": unit}
    dataset = xr.Dataset(
        {"cube": (("y", "x", coordinate), CUBE)},
        {
            coordinate: (coordinate, values * per_cm, attrs),
            "fwhm": (coordinate, [10, 10, 10, 10, 200.0], {"units": "cm^-1"}),
        },
    )
    if name.endswith("zarr"):
        dataset.to_zarr(tmp_path / name, zarr_format=3, consolidated=False)
    else:
        dataset.to_netcdf(tmp_path / name)
    scene = open_scene(tmp_path / name)
    assert scene.wavelengths_nm.tolist() == [500, 625, 800, 1000, 10000]
    np.testing.assert_allclose(scene.fwhm_nm[-1], 1e7 / 900 - 1e7 / 1100)
    np.testing.assert_allclose(scene.fwhm_nm[0], 500 * 10 / 20000, rtol=1e-6)
    assert "its wavelengths are wavenumbers" in " ".join(scene.notes)


@pytest.mark.parametrize(
    ("longitudes", "west"),
    [
        pytest.param([358.5, 359.5, 0.5, 1.5, 2.5], -2, id="greenwich"),
        pytest.param([178.5, 179.5, -179.5, -178.5, -177.5], 178, id="antimeridian"),
        pytest.param([198.5, 199.5, 200.5, 201.5, 202.5], 198, id="none"),
        pytest.param([0.5, 1.5, 2.5, 90, 4.5], None, id="uneven"),
    ],
)
def test_longitudes_may_jump_by_360(tmp_path, longitudes, west):
    coordinates = {
        "lat": ("lat", [12.5, 11.5, 10.5], {"units": "degrees_north"}),
        "lon": ("lon", longitudes, {"units": "degrees_east"}),
    }
    cube = xr.DataArray(np.ones((3, 5, 2), np.float32), dims=("lat", "lon", "band"), coords=coordinates, name="cube")
    cube.to_netcdf(tmp_path / "x.nc")
    scene = open_scene(tmp_path / "x.nc")
    if west is None:
        assert scene.georeference is None
        assert "has coordinates in degrees, but its coordinates are not evenly spaced" in " ".join(scene.notes)
    else:
        assert scene.georeference.transform == (1, 0, west, 0, -1, 13)


@pytest.mark.parametrize(("cell", "south_up"), [(3e-4, False), (3e-4, True), (8e-6, True)])
def test_rounded_coordinates_are_evenly_spaced(tmp_path, cell, south_up):
    """Steps of float32 coordinates differ by more than a thousandth, so a file from south to north was read upside down."""
    lat, lon = 45.2 - cell * np.arange(60), 100.1 + cell * np.arange(70)
    lat = lat[::-1] if south_up else lat
    coordinates = {
        "lat": ("lat", np.float32(lat), {"units": "degrees_north"}),
        "lon": ("lon", np.float32(lon), {"units": "degrees_east"}),
    }
    cube = xr.DataArray(np.ones((60, 70, 2), np.float32), dims=("lat", "lon", "band"), coords=coordinates, name="cube")
    cube.to_netcdf(tmp_path / "x.nc")
    scene = open_scene(tmp_path / "x.nc")
    if cell == 8e-6:  # nearly a cell is rounded
        assert scene.georeference is None and "its coordinates are not evenly spaced" in " ".join(scene.notes)
        return
    a, b, c, d, e, f = scene.georeference.transform
    corners = [((c, f), (lon[0], lat[0])), ((c + 69 * a, f + 59 * e), (lon[-1], lat[-1]))]
    for (x, y), (true_x, true_y) in corners:
        assert abs(x + a / 2 - true_x) < 0.02 * cell and abs(y + e / 2 - true_y) < 0.02 * cell
    assert (b, d) == (0, 0)


def test_netcdf_with_wavelengths_in_a_group(tmp_path):
    """Wavelengths in a group beside the cube, and bands that are marked, as imaging spectrometers' products have it."""
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, size in zip(("downtrack", "crosstrack", "bands"), CUBE.shape, strict=True):
            file.createDimension(name, size)
        cube = file.createVariable("reflectance", "f4", ("downtrack", "crosstrack", "bands"), fill_value=-9999)
        cube[:] = CUBE
        group = file.createGroup("sensor_band_parameters")
        group.createVariable("wavelengths", "f4", ("bands",))[:] = NM
        group["wavelengths"].units = "nm"
        group.createVariable("good_wavelengths", "f4", ("bands",))[:] = [1, 1, 0, 1, 1]
    scene = open_scene(tmp_path / "x.nc")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., [0, 1, 3, 4]])
    assert scene.wavelengths_nm.tolist() == [450.5, 550, 2300, 900] and scene.nodata == (-9999.0,)


@pytest.mark.parametrize("units", [None, "nm", "um"])
def test_wavelengths_in_attributes_of_a_cube(tmp_path, units):
    """Wavelengths and widths in attributes of a dataset, with the bands on the first axis, as in products of satellites."""
    factor = 1000 if units == "um" else 1
    with h5py.File(tmp_path / "x.h5", "w") as file:
        cube = file.create_dataset("swath/reflectance", data=CUBE.transpose(2, 0, 1))
        cube.attrs["wavelengths"] = np.array(NM) / factor
        cube.attrs["fwhm"] = np.full(5, 10.0) / factor
        cube.attrs["good_wavelengths"] = [1, 1, 0, 1, 1]
        if units:
            cube.attrs["wavelength_units"] = units
    scene = open_scene(tmp_path / "x.h5")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., [0, 1, 3, 4]])
    np.testing.assert_allclose(scene.wavelengths_nm, [450.5, 550, 2300, 900])
    np.testing.assert_allclose(scene.fwhm_nm, [10] * 4)
    assert "used swath/reflectance/wavelengths as the wavelengths of its bands" in " ".join(scene.notes)


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"wavelength": [400.0, 700.0]}, id="range"),
        pytest.param({"wavelength": np.arange(1.0, 6)}, id="other numbers"),
        pytest.param({"wavelength": "see the vector in group"}, id="text"),
        pytest.param({"wavelengths": np.zeros(5), "center_wavelength": np.full(5, np.nan)}, id="no spectrum"),
        pytest.param({"wavelength": np.arange(1.0, 9), "lambda": 0.5}, id="no axis"),
    ],
)
def test_a_vector_of_the_file_comes_before_attributes(tmp_path, attributes):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        cube = file.create_dataset("site/reflectance", data=CUBE.transpose(2, 0, 1))
        cube.attrs.update(attributes)
        cube.attrs["bbl"] = cube.attrs["good_bands"] = [1, 1, 0, 1, 1]
        file["site/wavelength"] = NM
    scene = open_scene(tmp_path / "x.h5")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., [0, 1, 3, 4]])
    np.testing.assert_array_equal(scene.wavelengths_nm, np.array(NM)[[0, 1, 3, 4]])
    assert not any(word in " ".join(scene.notes) for word in ("ignored", "used none"))


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"wavelength": "see the manual, page 5"}, id="text"),
        pytest.param({"wavelength": np.zeros(5)}, id="zeros"),
        pytest.param({"lambda": np.arange(1.0, 6)}, id="parameter"),
        pytest.param({"wavelength": 550.0}, id="scalar"),
        pytest.param({"wavelength": h5py.Empty("f4")}, id="empty"),
    ],
)
def test_attributes_that_are_no_spectrum_are_not_used(tmp_path, attributes):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("reflectance", data=CUBE).attrs.update(attributes)
    scene = open_scene(tmp_path / "x.h5")
    assert scene.wavelengths_nm is None and not any("wavelength" in note for note in scene.notes)


def test_attributes_of_the_variable_state_its_axis_of_bands(tmp_path):
    """A vector of the file may belong to another cube, but not an attribute of the cube itself."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        cube = file.create_dataset("swath/reflectance", data=CUBE.transpose(2, 0, 1))
        cube.attrs.update({"center_wavelengths": np.array(NM) / 1000, "Wavelength Units": np.array([b"um"])})
        file["swath/errors"] = np.zeros((5, *CUBE.shape[:2]), "u1")
    scene = open_scene(tmp_path / "x.h5", variable="swath/reflectance")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert not any("no unit" in note for note in scene.notes)


@pytest.mark.parametrize("name", ["wavenumber", "lambda"])
def test_attributes_come_before_vectors_elsewhere_in_the_file(tmp_path, name):
    values = 1e7 / np.array(NM) if name == "wavenumber" else NM
    with h5py.File(tmp_path / "x.h5", "w") as file:
        cube = file.create_dataset("site/reflectance", data=CUBE.transpose(2, 0, 1))
        cube.attrs.update({name: values, "bbl": [1, 1, 0, 1, 1]})
        file["calibration/wavelength"], file["calibration/bbl"] = np.arange(401.0, 408), np.ones(5)
    scene = open_scene(tmp_path / "x.h5")
    if name == "wavenumber":  # wavelengths of the file come before wavenumbers
        assert scene.wavelengths_nm is not None
        return
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., [0, 1, 3, 4]])
    np.testing.assert_allclose(scene.wavelengths_nm, np.array(NM)[[0, 1, 3, 4]])


def test_wavenumbers_in_an_attribute(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("cube", data=CUBE.transpose(2, 0, 1)).attrs["wavenumber"] = 1e7 / np.array(NM)
    scene = open_scene(tmp_path / "x.h5")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)


@pytest.mark.parametrize("path", ["x.zarr", "x.zarr/site", "x.zarr/site/cube"])
def test_vectors_before_attributes_in_a_part_of_a_zarr_folder(tmp_path, path):
    root = zarr.open_group(tmp_path / "x.zarr", mode="w")
    cube = root.create_array("site/cube", data=CUBE.transpose(2, 0, 1))
    cube.attrs["wavelengths"] = [1.0, 2, 3, 4, 5]
    root.create_array("site/wavelength", data=np.array(NM))
    scene = open_scene(tmp_path / path)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)


@pytest.mark.parametrize("along_bands", [False, True])
def test_wavelengths_beside_a_mask_in_netcdf(tmp_path, along_bands):
    with netCDF4.Dataset(tmp_path / "x.nc", "w") as file:
        for name, size in {"y": 6, "x": 7, "bands": 5, "layers": 2}.items():
            file.createDimension(name, size)
        file.createVariable("site/reflectance", "f4", ("y", "x", "bands"))[:] = CUBE
        file.createVariable("metadata/wavelength", "f4", ("bands",))[:] = NM
        file.createVariable("metadata/quality", "u1", ("y", "x", "bands" if along_bands else "layers"))
    scene = open_scene(tmp_path / "x.nc", variable="site/reflectance")
    if along_bands:
        assert scene.wavelengths_nm is None
    else:
        np.testing.assert_allclose(scene.wavelengths_nm, NM)


@pytest.mark.parametrize("layers", [2, 5])
def test_wavelengths_in_a_group_with_other_layers(tmp_path, layers):
    """Airborne products have masks of a few layers beside the wavelengths. A mask without an axis of their length is not described by them."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["site/reflectance"] = CUBE
        file["site/metadata/spectrum/wavelength"] = NM
        file["site/metadata/quality"] = np.zeros((*CUBE.shape[:2], layers), "u1")
    scene = open_scene(f"{tmp_path / 'x.h5'}", variable="site/reflectance")
    if layers == 2:
        np.testing.assert_array_equal(scene.wavelengths_nm, NM)
    else:
        assert scene.wavelengths_nm is None


@pytest.mark.parametrize(
    ("dims", "note"),
    [
        pytest.param(("y", "x", "feature"), "assumed its dimension feature to be bands", id="elimination"),
        pytest.param(("a", "b", "band"), "assumed its dimension a to be rows", id="rows-cols"),
        pytest.param(("a", "b", "c"), "assumed the axes of its 6 x 7 x 5 values to be rows, cols, bands", id="unknown"),
    ],
)
def test_dimensions_with_uninformative_names(tmp_path, dims, note):
    xr.Dataset({"img": (dims, CUBE)}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    scene = open_scene(tmp_path / "x.nc")
    assert note in " ".join(scene.notes)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)


def test_a_time_axis_of_length_one_is_dropped(tmp_path):
    dims = ("time", "band", "y", "x")
    xr.Dataset({"img": (dims, CUBE.transpose(2, 0, 1)[None])}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    np.testing.assert_array_equal(np.asarray(open_scene(tmp_path / "x.nc").cube), CUBE)


def test_a_time_series_is_refused_with_advice_that_helps(tmp_path):
    series = xr.Dataset({"data": (("time", "y", "x", "band"), np.stack([CUBE, CUBE + 1]))})
    series.to_netcdf(tmp_path / "series.nc")
    with pytest.raises(SceneError, match=r"holds data 2 x 6 x 7 x 5: .* write each of them, such as `data.isel"):
        open_scene(tmp_path / "series.nc")
    series.data.isel(time=1).to_netcdf(tmp_path / "one.nc")
    np.testing.assert_array_equal(np.asarray(open_scene(tmp_path / "one.nc").cube), CUBE + 1)


def test_netcdf_class_names_and_colours(tmp_path):
    attrs = {"flag_values": np.array([1, 2], "u1"), "flag_meanings": "corn wheat", "flag_colors": "#FF0000 #00ff00"}
    xr.Dataset({"gt": (("y", "x"), np.eye(3, 4, dtype="u1"), attrs)}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    raster = read_raster(tmp_path / "x.nc", 2)
    assert raster.class_names == {1: "corn", 2: "wheat"} and raster.class_colours == {1: "#ff0000", 2: "#00ff00"}


@pytest.mark.parametrize(
    ("meanings", "names", "notes"),
    [
        (["corn, no till", "wheat"], {1: "corn, no till", 2: "wheat"}, ()),
        ("corn no till wheat", {}, ("x.nc: has 4 flag_meanings for 2 flag_values; they are ignored",)),
    ],
)
def test_class_names_with_blanks(tmp_path, meanings, names, notes):
    attrs = {"flag_values": np.array([1, 2], "u1"), "flag_meanings": meanings}
    xr.Dataset({"gt": (("y", "x"), np.eye(3, 4, dtype="u1"), attrs)}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    raster = read_raster(tmp_path / "x.nc", 2)
    assert raster.class_names == names and raster.notes == notes


def test_a_feature_store_is_refused(store_path):
    with pytest.raises(SceneError, match=r"small\.zarr is a feature store, not a scene: use it with `hsifeat fit`"):
        open_scene(store_path)


@pytest.mark.parametrize("name", ["radiation_wavelength", "sensor_band_central_radiation_wavelength"])
def test_wavelengths_by_their_standard_name(tmp_path, name):
    """CF identifies a quantity by its standard name, not by the name of the variable."""
    cube = ("y", "x", "band"), CUBE
    centres = "band", np.array(NM) / 1000, {"standard_name": name, "units": "um"}
    xr.Dataset({"img": cube, "centre_of_band": centres}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    wanted = xr.open_dataset(tmp_path / "x.nc").filter_by_attrs(standard_name=name)["centre_of_band"] * 1000
    np.testing.assert_allclose(open_scene(tmp_path / "x.nc").wavelengths_nm, wanted)


@pytest.mark.parametrize("suffix", ["nc", "h5", "zarr"])
@pytest.mark.parametrize("flags", [np.array([1, 1, 0, 1, 1], np.int8), "{1, 1, 0, 1, 1}"], ids=["numbers", "text"])
def test_good_bands_in_an_attribute(tmp_path, suffix, flags):
    path = tmp_path / f"x.{suffix}"
    if suffix == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("img", data=CUBE).attrs["bbl"] = flags
    else:
        data = xr.Dataset({"img": (("y", "x", "band"), CUBE, {"bbl": flags})})
        data.to_netcdf(path, engine="h5netcdf") if suffix == "nc" else data.to_zarr(path, consolidated=False)
    scene = open_scene(path)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., [0, 1, 3, 4]])
    assert "dropped 1 of 5 bands, which the file marks as bad" in " ".join(scene.notes)


@pytest.mark.parametrize("as_vector", [True, False], ids=["vector", "attribute"])
def test_indices_of_good_bands_drop_no_band(tmp_path, as_vector):
    image = xr.Variable(("y", "x", "band"), CUBE, {} if as_vector else {"good_bands": np.arange(5)})
    vectors = {"good_bands": ("band", np.arange(5))} if as_vector else {}
    xr.Dataset({"img": image, **vectors}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    scene = open_scene(tmp_path / "x.nc")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    assert "x.nc: its list of bad bands is not all 0 or 1; it is ignored" in scene.notes


@pytest.mark.parametrize("suffix", ["nc", "h5"])
def test_a_list_of_bad_bands_of_unknown_meaning_is_noted(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    flags = np.array([0, 0, 1, 0, 0], np.int8)
    if suffix == "h5":
        with h5py.File(path, "w") as file:
            file["img"], file["bad_bands"] = CUBE, flags
    else:
        xr.Dataset({"img": (("y", "x", "band"), CUBE), "bad_bands": ("band", flags)}).to_netcdf(path, engine="h5netcdf")
    scene = open_scene(path)
    assert scene.bands == 5 and "bad_bands is not used, because its values may mark good or bad bands" in " ".join(
        scene.notes
    )
