"""What files say besides their values: wavelengths, bad bands, no data, scale, names, classes, and where they lie.

Files are written by GDAL's own programs, rasterio, xarray, netCDF4 and scipy.
"""

import gc
import json
import os
import re
import stat
import subprocess
import sys
import tempfile

import h5py
import netCDF4
import numpy as np
import pyproj
import pytest
import rasterio
import scipy.io
import xarray as xr
from PIL import Image
from rasterio import Affine
from rasterio.control import GroundControlPoint

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes import open_labels
from hsifeat.scenes.readers import gdal as gdal_reader
from hsifeat.scenes.readers import read_raster
from tests.helpers.scene_formats import CUBE, FORMATS, mat5, stack, tif

# Rasterio warns of it when tests write such a file.
NO_PLACE = "ignore::rasterio.errors.NotGeoreferencedWarning"
BANDS = CUBE.shape[2]
NM = [450.5, 550.0, 640.25, 2300.0, 900.0]


@pytest.fixture
def made(tmp_path):
    """A GeoTIFF, and its ENVI header's fields as text to add to one that GDAL wrote."""
    tif(tmp_path / "x.tif", CUBE)
    return tmp_path


def with_fields(gdal, folder, *options, **fields):
    """Have GDAL write ENVI, and add fields to its header, as other programs do."""
    gdal("gdal_translate", "-q", "-of", "ENVI", *options, folder / "x.tif", folder / "x.img")
    header = folder / "x.hdr"
    extra = "".join(f"{name.replace('_', ' ')} = {value}\n" for name, value in fields.items())
    header.write_text(header.read_text() + extra)
    return open_scene(header)


def braces(values):
    return "{" + ", ".join(map(str, values)) + "}"


@pytest.mark.parametrize(("unit", "factor"), [("Nanometers", 1), ("Micrometers", 1000)])
def test_envi_spectrum(gdal, made, unit, factor):
    scene = with_fields(
        gdal,
        made,
        wavelength_units=unit,
        wavelength=braces(nm / factor for nm in NM),
        fwhm=braces(width / factor for width in (9, 9.5, 10, 11, 12)),
        bbl=braces([1, 0, 1, 1, 0]),
        data_ignore_value=-9999,
        reflectance_scale_factor=10000,
    )
    kept = [0, 2, 3]
    np.testing.assert_allclose(scene.wavelengths_nm, np.array(NM)[kept])
    np.testing.assert_allclose(scene.fwhm_nm, [9, 10, 11])
    assert scene.nodata == (-9999.0,) and scene.scale == 10000
    assert scene.notes == ("x.hdr: dropped 2 of 5 bands, which it marks as bad",)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., kept])
    assert open_scene(made / "x.hdr", bad_bands="keep").cube.shape == CUBE.shape


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        pytest.param({"bbl": "{1, 0}"}, "list of bad bands has 2 values for 5 bands; it is ignored", id="bbl"),
        pytest.param({"fwhm": "{1, 2}", "wavelength_units": "nm"}, r"widths \(fwhm\) are 2 for 5 bands", id="fwhm"),
        pytest.param({"reflectance_scale_factor": "none"}, "'none' is no positive number; it is ignored", id="scale"),
        pytest.param({"band_names": "{a, b}"}, "has 2 band names for 5 bands; they are ignored", id="names"),
    ],
)
def test_envi_fields_that_do_not_fit_are_told(gdal, made, fields, note):
    scene = with_fields(gdal, made, **fields)
    (found,) = scene.notes
    assert re.search(note, found) and scene.scale == 1


@pytest.mark.parametrize("rotation", [0, 30, -75])
def test_envi_lies_where_gdal_says(gdal, made, rotation):
    """Map info with its rotation, whose sense programs disagree about, and the coordinate system."""
    where = Affine.translation(500000, 4000000) @ Affine.rotation(rotation) @ Affine.scale(30, -30)
    with rasterio.open(made / "x.tif", "r+") as file:
        file.transform = where
    scene = with_fields(gdal, made)
    assert f"rotation={rotation}" in (made / "x.hdr").read_text() or not rotation
    np.testing.assert_allclose(scene.georeference.transform, where[:6], rtol=1e-9)
    corners = gdal("gdalinfo", "-json", made / "x.img")
    c, a, b, f, d, e = json.loads(corners)["geoTransform"]
    np.testing.assert_allclose(scene.georeference.transform, (a, b, c, d, e, f), rtol=1e-9)
    assert pyproj.CRS(scene.georeference.crs).to_epsg() == 32611
    assert not scene.notes


def test_envi_classes(gdal, tmp_path):
    classes = (np.arange(12).reshape(3, 4) % 3).astype(np.uint8)
    tif(tmp_path / "x.tif", classes)
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><CategoryNames><Category>Unclassified</Category><Category>corn</Category>"
        "<Category>wheat</Category></CategoryNames></PAMRasterBand></PAMDataset>"
    )
    with rasterio.open(tmp_path / "x.tif", "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 128, 255)})
    gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "x.tif", tmp_path / "y.img")
    assert "class names" in (tmp_path / "y.hdr").read_text()
    for path in (tmp_path / "y.hdr", tmp_path / "x.tif"):
        raster = read_raster(path, 2)
        np.testing.assert_array_equal(np.asarray(raster.array), classes)
        assert raster.class_names == {0: "Unclassified", 1: "corn", 2: "wheat"}
        assert raster.class_colours == {1: "#ff0000", 2: "#0080ff"}
        labels = open_labels(path)
        assert labels.class_names == {1: "corn", 2: "wheat"} and not labels.notes


def test_classes_in_an_attribute_table(tmp_path):
    tif(tmp_path / "x.tif", np.eye(4, dtype=np.uint8) * 7)
    columns = [("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8)]
    fields = "".join(
        f"<FieldDefn index='{i}'><Name>{n}</Name><Type>{t}</Type><Usage>{u}</Usage></FieldDefn>"
        for i, (n, t, u) in enumerate(columns)
    )
    row = "<Row index='0'><F>7</F><F>dry &amp; bare</F><F>16</F><F>32</F><F>255</F></Row>"
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><GDALRasterAttributeTable tableType='thematic'>"
        f"{fields}{row}</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
    )
    raster = read_raster(tmp_path / "x.tif", 2)
    assert raster.class_names == {7: "dry & bare"} and raster.class_colours == {7: "#1020ff"}


def test_a_palette_png(tmp_path):
    image = Image.new("P", (2, 2))
    image.putdata([0, 1, 2, 1])
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "gt.png")
    raster = read_raster(tmp_path / "gt.png", 2)
    assert np.asarray(raster.array).tolist() == [[0, 1], [2, 1]]
    assert raster.class_colours[1] == "#ff0000" and raster.class_colours[2] == "#00ff00"


def own_tags(file, key, unit):
    for band, nm in enumerate(NM, start=1):
        file.update_tags(band, **{key: str(nm / (1000 if "um" in unit.lower() or "micro" in unit.lower() else 1))})


@pytest.mark.parametrize(
    ("key", "units"),
    [
        pytest.param("wavelength", {"wavelength_units": "Nanometers"}, id="envi-like"),
        pytest.param("WAVELENGTH", {"WAVELENGTH_UNIT": "Micrometers"}, id="upper-case"),
        pytest.param("CENTRAL_WAVELENGTH_UM", {"x": "um"}, id="imagery-like"),
    ],
)
def test_geotiff_wavelengths_in_tags_of_bands(made, key, units):
    with rasterio.open(made / "x.tif", "r+") as file:
        own_tags(file, key, "".join(units.values()))
        for band in file.indexes:
            file.update_tags(band, **units, **({"fwhm": "10"} if "Nano" in str(units) else {}))
    scene = open_scene(made / "x.tif")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert not scene.notes
    assert (scene.fwhm_nm is None) or scene.fwhm_nm.tolist() == [10] * 5


def test_geotiff_made_of_envi_by_gdal(gdal, made):
    """GDAL hands wavelengths on as tags of bands."""
    with_fields(gdal, made, wavelength_units="Micrometers", wavelength=braces(nm / 1000 for nm in NM))
    gdal("gdal_translate", "-q", made / "x.img", made / "y.tif")
    np.testing.assert_allclose(open_scene(made / "y.tif").wavelengths_nm, NM)


def test_geotiff_imagery_domain(made):
    with rasterio.open(made / "x.tif", "r+") as file:
        for band, nm in enumerate(NM, start=1):
            file.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=str(nm / 1000), FWHM_UM="0.0105")
    scene = open_scene(made / "x.tif")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, [10.5] * BANDS)


def test_geotiff_envi_domain(made):
    with rasterio.open(made / "x.tif", "r+") as file:
        file.update_tags(
            ns="ENVI",
            wavelength=braces(NM),
            wavelength_units="Nanometers",
            fwhm=braces([9] * BANDS),
            bbl=braces([1, 1, 1, 1, 0]),
            reflectance_scale_factor="10000",
            band_names=braces("abcde"),
        )
    scene = open_scene(made / "x.tif", bad_bands="keep")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert scene.scale == 10000 and scene.fwhm_nm.tolist() == [9] * BANDS and scene.band_names == tuple("abcde")
    assert open_scene(made / "x.tif").cube.shape[2] == 4


def test_geotiff_nodata_scale_names_and_place(made):
    with rasterio.open(made / "x.tif", "r+") as file:
        file.nodata, file.scales = -9999, [0.0001] * BANDS
        file.descriptions = ["blue", "green", "red", None, "nir"]
    scene = open_scene(made / "x.tif")
    assert scene.nodata == (-9999.0,) and scene.scale == 10000
    assert scene.band_names == ("blue", "green", "red", "band 4", "nir")
    assert scene.georeference.transform == (30, 0, 500000, 0, -30, 4000000)
    assert pyproj.CRS(scene.georeference.crs) == pyproj.CRS("EPSG:32611")
    with rasterio.open(made / "x.tif", "r+") as file:
        file.offsets = [5.0] * BANDS
    scene = open_scene(made / "x.tif")
    assert scene.scale == 1 and scene.notes == ("x.tif: its bands have scales and offsets, which are not applied",)


@pytest.mark.filterwarnings(NO_PLACE)
def test_a_scene_without_a_place(tmp_path):
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(tmp_path / "x.tif")
    scene = open_scene(tmp_path / "x.tif")
    assert scene.georeference is None and scene.wavelengths_nm is None and not scene.notes
    corners = [
        GroundControlPoint(0, 0, 10, 50, 0),
        GroundControlPoint(0, 4, 11, 50, 0),
        GroundControlPoint(3, 0, 10, 49, 0),
    ]
    with rasterio.open(tmp_path / "x.tif", "r+") as file:
        file.gcps = corners, rasterio.CRS.from_epsg(4326)
    scene = open_scene(tmp_path / "x.tif")
    assert (
        scene.georeference is None
        and "ground control points, which are ignored; warp it with gdalwarp" in scene.notes[0]
    )


def test_what_is_not_used_is_told(tmp_path):
    Image.fromarray(np.zeros((3, 4, 4), np.uint8)).save(tmp_path / "x.png")
    assert "has a mask or an alpha band, which is ignored" in open_scene(tmp_path / "x.png").notes[0]


def test_complex_values_are_refused(tmp_path):
    tif(tmp_path / "x.tif", CUBE.astype(np.complex64))
    with pytest.raises(SceneError, match=r"x\.tif holds complex values \(complex64\); a scene holds real numbers"):
        open_scene(tmp_path / "x.tif")


def test_pages_of_a_tiff_are_listed(tmp_path):
    pages = [Image.fromarray(np.full((3, 4), n, np.uint8)) for n in (1, 2, 3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(SceneError, match=r"holds 3 images: 1 \(.*: name one with --variable NUMBER"):
        open_scene(tmp_path / "x.tif")
    assert np.asarray(open_scene(tmp_path / "x.tif", variable="2").cube).max() == 2
    with pytest.raises(SceneError, match="none is named '4'"):
        open_scene(tmp_path / "x.tif", variable="4")


@pytest.mark.filterwarnings(NO_PLACE)
def test_a_sparse_tiff_is_told(tmp_path):
    facts = {"driver": "GTiff", "width": 64, "height": 64, "count": 2, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(tmp_path / "x.tif", "w", tiled=True, blockxsize=16, blockysize=16, **facts) as file:
        file.write(np.ones((2, 16, 16), np.uint8), window=rasterio.windows.Window(0, 0, 16, 16))
    scene = open_scene(tmp_path / "x.tif")
    assert scene.notes == ("x.tif: its last block is not in the file; missing blocks are read as no data, or 0",)


@pytest.mark.filterwarnings(NO_PLACE)
def test_a_terabyte_that_is_not_there_opens_at_once(tmp_path):
    facts = {"driver": "GTiff", "width": 50_000, "height": 50_000, "count": 200, "dtype": "uint16", "sparse_ok": True}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel", "bigtiff": "yes"}
    with rasterio.open(tmp_path / "x.tif", "w", **facts, **tiles) as file:
        file.write(np.full((200, 2, 3), 7, np.uint16), window=rasterio.windows.Window(49_997, 49_998, 3, 2))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("img", (50_000, 50_000, 200), "u2", chunks=(8, 8, 200))[-2:, -3:] = 7
    for name in ("x.tif", "x.h5"):
        cube = open_scene(tmp_path / name).cube
        assert cube.shape == (50_000, 50_000, 200) and np.asarray(cube[-4:, -4::2, ::50]).sum() == 2 * 7 * 4


def test_steps_are_read_piece_by_piece(made, monkeypatch):
    monkeypatch.setattr(gdal_reader, "_VALUES_PER_READ", 1)
    np.testing.assert_array_equal(open_scene(made / "x.tif").cube[::2, 1::3, ::4], CUBE[::2, 1::3, ::4])


@pytest.mark.parametrize("driver", ["JP2OpenJPEG", "VRT", "HFA", "PCIDSK"])
def test_other_formats_of_gdal(gdal, made, driver):
    name = {"JP2OpenJPEG": "y.jp2", "VRT": "y.vrt", "HFA": "y.img", "PCIDSK": "y.pix"}[driver]
    options = ("-co", "REVERSIBLE=YES", "-co", "QUALITY=100") if driver == "JP2OpenJPEG" else ()
    gdal("gdal_translate", "-q", "-of", driver, *options, made / "x.tif", made / name)
    scene = open_scene(made / name)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.georeference.transform, (30, 0, 500000, 0, -30, 4000000), atol=1e-6)


def test_bands_of_two_dtypes(gdal, made):
    tif(made / "y.tif", CUBE[..., 0].astype(np.float32) / 2)
    gdal("gdalbuildvrt", "-q", "-separate", made / "z.vrt", made / "x.tif", made / "y.tif")
    scene = open_scene(made / "z.vrt")
    wanted = np.stack([CUBE[..., 0], CUBE[..., 0] / 2], axis=-1)
    np.testing.assert_array_equal(np.asarray(scene.cube[1:5:2, ::3]), wanted[1:5:2, ::3])
    assert "its bands have the dtypes float32, int16; read as float32" in " ".join(scene.notes)


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
    assert scene.scale == 10000 and scene.nodata == (-9999.0,) and not scene.notes
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, [10.5] * BANDS)
    np.testing.assert_allclose(scene.georeference.transform, (30, 0, 500000, 0, -30, 4000000))
    assert pyproj.CRS(scene.georeference.crs).to_epsg() == 32611


def test_netcdf_from_south_to_north_lies_as_gdal_says(gdal, tmp_path):
    """Rows are left as they are stored; the transform says that they go north."""
    cf(tmp_path / "x.nc", y_step=30.0)
    scene = open_scene(tmp_path / "x.nc")
    assert scene.georeference.transform == (30, 0, 500000, 0, 30, 3999970)


def test_netcdf_that_gdal_wrote(gdal, tmp_path):
    tif(tmp_path / "x.tif", CUBE[..., 0])
    gdal("gdal_translate", "-q", "-of", "netCDF", "-co", "FORMAT=NC4", tmp_path / "x.tif", tmp_path / "x.nc")
    raster = read_raster(tmp_path / "x.nc", 2)
    a, b, c, d, e, f = raster.georeference.transform
    # GDAL stores netCDF's rows from south to north.
    upwards = np.asarray(raster.array)
    np.testing.assert_array_equal(upwards[::-1] if e > 0 else upwards, CUBE[..., 0])
    assert (a, b, c, d, abs(e)) == (30, 0, 500000, 0, 30) and f == (4000000 if e < 0 else 4000000 - 30 * len(CUBE))
    assert pyproj.CRS(raster.georeference.crs).to_epsg() == 32611


def test_a_rotated_grid_that_gdal_wrote_as_netcdf_is_told(gdal, tmp_path):
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
def test_netcdf_that_says_not_where(tmp_path, change, note):
    cf(tmp_path / "x.nc")
    with netCDF4.Dataset(tmp_path / "x.nc", "a") as file:
        if "y" in change:
            file["y"][:] = change["y"]
        else:
            file["crs"].crs_wkt = change["crs"]["crs_wkt"]
    assert note in " ".join(open_scene(tmp_path / "x.nc").notes)


def test_a_netcdf_of_groups(tmp_path):
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


@pytest.mark.parametrize(
    ("dims", "note"),
    [
        pytest.param(("y", "x", "feature"), "assumed its dimension feature to be bands", id="elimination"),
        pytest.param(("a", "b", "band"), "assumed its dimension a to be rows", id="rows-cols"),
        pytest.param(("a", "b", "c"), "assumed the axes of its 6 x 7 x 5 values to be rows, cols, bands", id="unknown"),
    ],
)
def test_dimensions_whose_names_say_little(tmp_path, dims, note):
    xr.Dataset({"img": (dims, CUBE)}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    scene = open_scene(tmp_path / "x.nc")
    assert note in " ".join(scene.notes)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)


def test_a_time_of_one_entry_is_no_axis(tmp_path):
    dims = ("time", "band", "y", "x")
    xr.Dataset({"img": (dims, CUBE.transpose(2, 0, 1)[None])}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    np.testing.assert_array_equal(np.asarray(open_scene(tmp_path / "x.nc").cube), CUBE)


def test_classes_of_a_netcdf(tmp_path):
    attrs = {"flag_values": np.array([1, 2], "u1"), "flag_meanings": "corn wheat", "flag_colors": "#FF0000 #00ff00"}
    xr.Dataset({"gt": (("y", "x"), np.eye(3, 4, dtype="u1"), attrs)}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    raster = read_raster(tmp_path / "x.nc", 2)
    assert raster.class_names == {1: "corn", 2: "wheat"} and raster.class_colours == {1: "#ff0000", 2: "#00ff00"}


def test_chunks_that_are_not_there(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (8, 6, 4), "i2", chunks=(4, 6, 4), fillvalue=3)[:4] = 1
        file.create_dataset("b", (8, 6, 4), "i2", chunks=(4, 6, 4))
        file.create_dataset("c", (8, 6, 4), "i2")
    note = "x.h5: holds 1 of the 2 chunks of a; the others are read as its fill value"
    assert note in open_scene(tmp_path / "x.h5", variable="a").notes
    with pytest.raises(SceneError, match="holds none of the 2 chunks of b"):
        open_scene(tmp_path / "x.h5", variable="b")
    with pytest.raises(SceneError, match=r"holds 0 bytes of /c, which is 8 x 6 x 4 values of int16"):
        open_scene(tmp_path / "x.h5", variable="c")


def test_a_feature_store_is_no_scene(store_path):
    with pytest.raises(SceneError, match=r"small\.zarr is a feature store, not a scene: `hsifeat fit`"):
        open_scene(store_path)


@pytest.mark.parametrize("source", ["https://example.org/a.tif", "s3://bucket/scene", "gs://bucket/a/b.zarr"])
def test_addresses_are_told(source):
    for call in (lambda: open_scene(source), lambda: open_scene([source, source])):
        with pytest.raises(SceneError, match="is a URL, and scenes are read from local files: download") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_awkward_paths(tmp_path, name):
    """Spaces and non-ASCII letters, a folder that can't be written to, a link; nothing is left beside the file."""
    file, write = FORMATS[name]
    folder = tmp_path / "Ein Ordner: 高光谱 #1%20"
    folder.mkdir()
    write(folder / file, CUBE)
    before = sorted(folder.rglob("*"))
    link = tmp_path / "a link"
    link.symlink_to(folder, target_is_directory=True)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for path in (folder / file, link / file):
            np.testing.assert_array_equal(np.asarray(open_scene(path).cube), CUBE)
        if file not in {"x.hdr", "x.zarr", "folder", "bands"}:
            (tmp_path / file).symlink_to(folder / file)
            np.testing.assert_array_equal(np.asarray(open_scene(tmp_path / file).cube), CUBE)
        assert sorted(folder.rglob("*")) == before
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_file_that_may_not_be_read(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    mat5(tmp_path / "x.mat", CUBE)
    (tmp_path / "x.mat").chmod(0)
    with pytest.raises(SceneError, match=r"x\.mat can't be read"):
        open_scene(tmp_path / "x.mat")


def test_unpacked_files_go_with_their_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    for name in ("mat.gz", "npz"):
        file, write = FORMATS[name]
        write(tmp_path / file, CUBE)
        scene = open_scene(tmp_path / file)
        assert scene.name == "x"
        del scene
    gc.collect()
    assert not list((tmp_path / "tmp").iterdir())
    (tmp_path / "x.img.gz").write_bytes(b"")
    with pytest.raises(
        SceneError, match=r"can't be read while compressed: unpack it, or give one of \.mat\.gz, \.npy\.gz"
    ):
        open_scene(tmp_path / "x.img.gz")


def test_a_damaged_tiff_prints_nothing(tmp_path):
    stack(tmp_path / "bands", CUBE)
    path = tmp_path / "bands" / "band_7.tif"
    path.write_bytes(path.read_bytes()[:-30])
    code = f"import hsifeat\ntry: hsifeat.open_scene({str(path)!r})\nexcept hsifeat.errors.SceneError: pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_jasper_ridge_both_ways(data_folder):
    """Columns first in one axis in one file, BIL in the other."""
    folder = data_folder / "jasper_ridge"
    matlab = open_scene(folder / "jasperRidge2_R198.mat", axes="bands,pixels", rows=100, cols=100)
    envi = open_scene(folder / "jasperRidge2_R198.hdr")
    # Whoever made the MATLAB file took the dark values without their sign.
    np.testing.assert_array_equal(np.asarray(matlab.cube), np.abs(envi.cube))
    assert envi.scale == 10000


def test_houston_is_the_right_way_round(data_folder):
    """A linear classifier learns the labels of cells of one class better than the same labels transposed."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    path = data_folder / "houston2018_subset" / "houston_dataset.mat"
    scene = open_scene(path, variable="hyprImg")
    fine = np.asarray(read_raster(path, 2, "clasLabs").array)
    cells = fine.reshape(128, 4, 128, 4).transpose(0, 2, 1, 3).reshape(128, 128, 16)
    labels = np.where((cells == cells[..., :1]).all(axis=2), cells[..., 0], 0)
    assert (labels > 0).sum() == 4185
    cube = np.asarray(scene.cube).astype(np.float64)
    train = (np.add.outer(np.arange(128) // 8, np.arange(128) // 8) % 2).astype(bool)

    def accuracy(classes):
        known = classes > 0
        model = LinearDiscriminantAnalysis().fit(cube[known & train], classes[known & train])
        return model.score(cube[known & ~train], classes[known & ~train])

    assert accuracy(labels) > accuracy(labels.T) + 0.2


def test_landsat_lies_where_gdal_says(data_folder, gdal):
    path = data_folder / "nc_landsat7" / "landsat_multiband.tif"
    scene = open_scene(path)
    c, a, b, f, d, e = json.loads(gdal("gdalinfo", "-json", path))["geoTransform"]
    np.testing.assert_allclose(scene.georeference.transform, (a, b, c, d, e, f))
    assert rasterio.CRS.from_wkt(scene.georeference.crs).to_epsg() == 32119
    assert scene.cube.shape == (443, 489, 5) and scene.nodata == (-99999.0,)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(np.asarray(scene.cube), file.read().transpose(1, 2, 0))


def test_matlab_version_4(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"gt": np.eye(3, 4)}, format="4")
    np.testing.assert_array_equal(np.asarray(read_raster(tmp_path / "x.mat", 2).array), np.eye(3, 4))
