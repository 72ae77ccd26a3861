"""Rasters that GDAL reads: spectrum, scale, names, classes, georeference, pages, and damaged or sparse files."""

import json
import logging
import runpy
import subprocess
import sys

import h5py
import numpy as np
import pyproj
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from hsifeat import open_labels, open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes.readers import gdal as gdal_reader
from hsifeat.scenes.readers import gdal_errors
from tests.helpers.envi_fields import NM, envi_list, open_with_fields
from tests.helpers.scene_formats import CUBE, stack, tif

# Rasterio warns of it when tests write such a file.
NO_PLACE = "ignore::rasterio.errors.NotGeoreferencedWarning"
BANDS = CUBE.shape[2]


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
def test_geotiff_wavelengths_in_tags_of_bands(tif_folder, key, units):
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        own_tags(file, key, "".join(units.values()))
        for band in file.indexes:
            file.update_tags(band, **units, **({"fwhm": "10"} if "Nano" in str(units) else {}))
    scene = open_scene(tif_folder / "x.tif")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert not scene.notes
    assert (scene.fwhm_nm is None) or scene.fwhm_nm.tolist() == [10] * 5


def test_geotiff_wavenumbers_in_tags_of_bands(tif_folder):
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        for band, value in enumerate([20000, 16000, 12500, 10000, 1000], start=1):
            file.update_tags(band, wavelength=str(value), wavelength_units="cm-1")
    assert open_scene(tif_folder / "x.tif").wavelengths_nm.tolist() == [500, 625, 800, 1000, 10000]


@pytest.mark.parametrize(
    ("units", "note"),
    [
        pytest.param(["nm", "nm", "nm", "um", "Micrometers"], None, id="two units"),
        pytest.param(["Nanometers", "", "nm", "", "nm"], "from 0.86 to 661 can't all be in nanometers", id="gaps"),
        pytest.param(["nm", "nm", "nm", "um", ""], "are in nm, um, no unit, which is not a known unit", id="no unit"),
        pytest.param(["nm", "nm", "nm", "um", "parsec"], "are in nm, um, parsec, which is not a known", id="unknown"),
    ],
)
def test_each_band_of_a_geotiff_has_its_own_unit(tif_folder, units, note):
    """A stack of two instruments: three bands in nm and two in micrometres."""
    nm = [450, 550, 661, 860, 2200]
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        for band, (value, unit) in enumerate(zip([450, 550, 661, 0.86, 2.2], units, strict=True), start=1):
            file.update_tags(band, wavelength=str(value), **({"wavelength_units": unit} if unit else {}))
    scene = open_scene(tif_folder / "x.tif")
    if note is None:
        assert scene.wavelengths_nm.tolist() == nm and not scene.notes
    else:
        assert scene.wavelengths_nm is None and [note in text for text in scene.notes] == [True]


def test_geotiff_tif_folder_of_envi_by_gdal(gdal, tif_folder):
    """GDAL passes wavelengths on as tags of bands."""
    open_with_fields(gdal, tif_folder, wavelength_units="Micrometers", wavelength=envi_list(nm / 1000 for nm in NM))
    gdal("gdal_translate", "-q", tif_folder / "x.img", tif_folder / "y.tif")
    np.testing.assert_allclose(open_scene(tif_folder / "y.tif").wavelengths_nm, NM)


def test_importing_the_reader_leaves_the_loggers_of_rasterio_as_they_are():
    loggers = [logging.getLogger(name) for name in ("rasterio", "rasterio._env")]
    before = [(logger.level, list(logger.filters), list(logger.handlers)) for logger in loggers]
    runpy.run_path(gdal_errors.__file__)
    assert [(logger.level, list(logger.filters), list(logger.handlers)) for logger in loggers] == before


def test_geotiff_imagery_domain(tif_folder):
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        for band, nm in enumerate(NM, start=1):
            file.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=str(nm / 1000), FWHM_UM="0.0105")
    scene = open_scene(tif_folder / "x.tif")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, [10.5] * BANDS)


def test_geotiff_envi_domain(tif_folder):
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        file.update_tags(
            ns="ENVI",
            wavelength=envi_list(NM),
            wavelength_units="Nanometers",
            fwhm=envi_list([9] * BANDS),
            bbl=envi_list([1, 1, 1, 1, 0]),
            reflectance_scale_factor="10000",
            band_names=envi_list("abcde"),
        )
    scene = open_scene(tif_folder / "x.tif", bad_bands="keep")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    assert scene.scale == 10000 and scene.fwhm_nm.tolist() == [9] * BANDS and scene.band_names == tuple("abcde")
    assert open_scene(tif_folder / "x.tif").cube.shape[2] == 4


def test_geotiff_nodata_scale_band_names_and_georeference(tif_folder):
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        file.nodata, file.scales = -9999, [0.0001] * BANDS
        file.descriptions = ["blue", "green", "red", None, "nir"]
    scene = open_scene(tif_folder / "x.tif")
    assert scene.nodata == (-9999.0,) and scene.scale == 10000
    assert scene.band_names == ("blue", "green", "red", "band 4", "nir")
    assert scene.georeference.transform == (30, 0, 500000, 0, -30, 4000000)
    assert pyproj.CRS(scene.georeference.crs) == pyproj.CRS("EPSG:32611")
    with rasterio.open(tif_folder / "x.tif", "r+") as file:
        file.offsets = [5.0] * BANDS
    scene = open_scene(tif_folder / "x.tif")
    assert scene.scale == 1 and scene.notes == (
        "x.tif: its scale and offset are not applied, because there is an offset: values are as stored",
    )


@pytest.mark.filterwarnings(NO_PLACE)
def test_missing_georeference_and_ground_control_points(tmp_path):
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
    for text in ("", "no world file"):
        (tmp_path / "x.tfw").write_text(text)
        scene = open_scene(tmp_path / "x.tif")
        (note,) = scene.notes
        assert scene.georeference is None and "ground control points, which are ignored; warp it with gdalwarp" in note


@pytest.mark.parametrize(
    "text", ["10\n0\n0\n-10\n500005\n5399995\n", "10,5\r\n\r\n.0\r\n0\r\n-1e1 m\r\n500005,5\r\n5399995.\r\n\r\n"]
)
@pytest.mark.parametrize("name", ["x.pgw", "x.pngw", "x.wld"])
def test_a_world_file_is_read_as_by_gdal(tmp_path, text, name):
    Image.fromarray(np.arange(120, dtype=np.uint8).reshape(5, 8, 3)).save(tmp_path / "x.png")
    (tmp_path / name).write_text(text)
    with rasterio.open(tmp_path / "x.png") as file:
        expected = file.transform[:6]
    scene = open_scene(tmp_path / "x.png")
    assert scene.georeference.transform == expected and expected[0] in {10, 10.5} and not scene.notes


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("text", "transform"),
    [
        ("10\n0\n0\n-10\neast\n5399995\n", (10, 0, -5, 0, -10, 5400000)),
        ("10\n0\n0\n-10\n500,005\n5,399,995\n", (10, 0, 495.005, 0, -10, 10.399)),
        ("10\n0\n0\n-10\n500005\n", (1, 0, 0, 0, 1, 0)),
        ("10 0 0 -10 500005 5399995\n", (1, 0, 0, 0, 1, 0)),
    ],
)
def test_a_world_file_without_six_numbers_is_noted(tmp_path, text, transform):
    """GDAL takes texts as 0, and a second comma as the end, so that the scene lay at another place without a note."""
    Image.fromarray(np.arange(120, dtype=np.uint8).reshape(5, 8, 3)).save(tmp_path / "x.png")
    (tmp_path / "x.pgw").write_text(text)
    with rasterio.open(tmp_path / "x.png") as file:
        np.testing.assert_allclose(file.transform[:6], transform)
    scene = open_scene(tmp_path / "x.png")
    assert scene.georeference is None
    assert scene.notes == (
        "x.png: its world file x.pgw is not six lines of one number each; its georeference is ignored",
    )


def test_a_world_file_that_gdal_does_not_use_is_not_noted(tif_folder):
    """The georeference of a GeoTIFF takes precedence."""
    expected = open_scene(tif_folder / "x.tif").georeference
    (tif_folder / "x.tfw").write_text("east\n" * 6)
    scene = open_scene(tif_folder / "x.tif")
    assert scene.georeference == expected and not scene.notes


def test_an_ignored_alpha_band_is_noted(tmp_path):
    Image.fromarray(np.zeros((3, 4, 4), np.uint8)).save(tmp_path / "x.png")
    assert any("has a mask or an alpha band, which is ignored" in note for note in open_scene(tmp_path / "x.png").notes)


@pytest.mark.parametrize("suffix", ["tif", "vrt"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_an_alpha_band_is_no_band_of_the_spectrum(tmp_path, suffix, dtype):
    """``gdalwarp -dstalpha`` writes such files; masks of GDAL say nothing of the alpha band of five bands of 16 bits."""
    values = np.random.default_rng(0).integers(1, 200, (6, 8, 9)).astype(dtype)
    values[5] = np.where(np.arange(9) < 6, 255, 0)
    tif(tmp_path / "a.tif", values.transpose(1, 2, 0))
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.colorinterp = [*[ColorInterp.undefined] * 5, ColorInterp.alpha]
    if suffix == "vrt":
        subprocess.run(["gdal_translate", "-q", "-of", "VRT", "a.tif", "a.vrt"], cwd=tmp_path, check=True)
    scene = open_scene(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(scene.cube[:], values[:5].transpose(1, 2, 0))
    assert any("band 6 is an alpha band (transparency) and counts as bad" in note for note in scene.notes)
    assert any("alpha band, which is ignored; declare the no-data value" in note for note in scene.notes)
    assert open_scene(tmp_path / f"a.{suffix}", bad_bands="keep").bands == 6


def test_complex_values_are_refused(tmp_path):
    tif(tmp_path / "x.tif", CUBE.astype(np.complex64))
    with pytest.raises(SceneError, match=r"x\.tif holds complex values \(complex64\); a scene holds real numbers"):
        open_scene(tmp_path / "x.tif")


def test_pages_of_a_tiff_are_listed(tmp_path):
    pages = [Image.fromarray(np.full((3, 4), n, np.uint8)) for n in (1, 2, 3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(SceneError, match=r"holds 3 images: 1 \(.*: choose one with `variable=NUMBER`"):
        open_scene(tmp_path / "x.tif")
    assert np.asarray(open_scene(tmp_path / "x.tif", variable="2").cube).max() == 2
    with pytest.raises(SceneError, match="none is named '4'"):
        open_scene(tmp_path / "x.tif", variable="4")


@pytest.mark.filterwarnings(NO_PLACE)
def test_missing_blocks_of_a_sparse_tiff_are_noted(tmp_path):
    description = {"driver": "GTiff", "width": 64, "height": 64, "count": 2, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(tmp_path / "x.tif", "w", tiled=True, blockxsize=16, blockysize=16, **description) as file:
        file.write(np.ones((2, 16, 16), np.uint8), window=rasterio.windows.Window(0, 0, 16, 16))
    scene = open_scene(tmp_path / "x.tif")
    assert scene.notes == ("x.tif: its last block is not in the file; missing blocks are read as no data, or 0",)


@pytest.mark.filterwarnings(NO_PLACE)
def test_a_sparse_terabyte_opens_without_being_read(tmp_path):
    description = {
        "driver": "GTiff",
        "width": 50_000,
        "height": 50_000,
        "count": 200,
        "dtype": "uint16",
        "sparse_ok": True,
    }
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel", "bigtiff": "yes"}
    with rasterio.open(tmp_path / "x.tif", "w", **description, **tiles) as file:
        file.write(np.full((200, 2, 3), 7, np.uint16), window=rasterio.windows.Window(49_997, 49_998, 3, 2))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("img", (50_000, 50_000, 200), "u2", chunks=(8, 8, 200))[-2:, -3:] = 7
    for name in ("x.tif", "x.h5"):
        cube = open_scene(tmp_path / name).cube
        assert cube.shape == (50_000, 50_000, 200) and np.asarray(cube[-4:, -4::2, ::50]).sum() == 2 * 7 * 4


def test_strided_slices_are_read_in_parts(tif_folder, monkeypatch):
    monkeypatch.setattr(gdal_reader, "_VALUES_PER_READ", 1)
    np.testing.assert_array_equal(open_scene(tif_folder / "x.tif").cube[::2, 1::3, ::4], CUBE[::2, 1::3, ::4])


@pytest.mark.parametrize("driver", ["JP2OpenJPEG", "VRT", "HFA", "PCIDSK"])
def test_other_formats_of_gdal(gdal, tif_folder, driver):
    name = {"JP2OpenJPEG": "y.jp2", "VRT": "y.vrt", "HFA": "y.img", "PCIDSK": "y.pix"}[driver]
    options = ("-co", "REVERSIBLE=YES", "-co", "QUALITY=100") if driver == "JP2OpenJPEG" else ()
    gdal("gdal_translate", "-q", "-of", driver, *options, tif_folder / "x.tif", tif_folder / name)
    scene = open_scene(tif_folder / name)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_allclose(scene.georeference.transform, (30, 0, 500000, 0, -30, 4000000), atol=1e-6)


def test_bands_of_two_dtypes(gdal, tif_folder):
    tif(tif_folder / "y.tif", CUBE[..., 0].astype(np.float32) / 2)
    gdal("gdalbuildvrt", "-q", "-separate", tif_folder / "z.vrt", tif_folder / "x.tif", tif_folder / "y.tif")
    scene = open_scene(tif_folder / "z.vrt")
    expected = np.stack([CUBE[..., 0], CUBE[..., 0] / 2], axis=-1)
    np.testing.assert_array_equal(np.asarray(scene.cube[1:5:2, ::3]), expected[1:5:2, ::3])
    assert "its bands have the dtypes float32, int16; read as float32" in " ".join(scene.notes)


@pytest.mark.filterwarnings(NO_PLACE)
@pytest.mark.parametrize("part", [0.5, 0.9])
@pytest.mark.parametrize(
    ("driver", "suffix", "options"),
    [
        pytest.param("PCIDSK", "pix", {"INTERLEAVING": "BAND"}, id="pcidsk-by-band"),
        pytest.param("PCIDSK", "pix", {"INTERLEAVING": "PIXEL"}, id="pcidsk-by-pixel"),
        pytest.param("PCIDSK", "pix", {"INTERLEAVING": "TILED"}, id="pcidsk-tiled"),
        pytest.param("HFA", "img", {}, id="hfa"),
        pytest.param("HFA", "img", {"USE_SPILL": "YES"}, id="hfa-with-spill-file"),
        pytest.param("PNG", "png", {}, id="png"),
        pytest.param("JPEG", "jpg", {}, id="jpeg"),
        pytest.param("JPEG", "jpg", {"dtype": "uint16"}, id="jpeg-of-12-bits"),
    ],
)
def test_files_that_lack_their_last_bytes_are_refused(tmp_path, driver, suffix, options, part):
    """GDAL reads zeros or random memory in their place, without an error."""
    profile = {"driver": driver, "width": 700, "height": 400, "count": 3, "dtype": "uint8", **options}
    values = np.random.default_rng(0).integers(1, 200, (3, 400, 700)).astype(profile["dtype"])
    with rasterio.open(tmp_path / f"x.{suffix}", "w", **profile) as file:
        file.write(values)
    whole = np.asarray(open_scene(tmp_path / f"x.{suffix}").cube).transpose(2, 0, 1)
    assert driver == "JPEG" or (whole == values).all()
    data = tmp_path / ("x.ige" if "USE_SPILL" in options else f"x.{suffix}")
    data.write_bytes(data.read_bytes()[: int(data.stat().st_size * part)])
    with pytest.raises(SceneError, match="truncated"):
        np.asarray(open_scene(tmp_path / f"x.{suffix}").cube)


@pytest.mark.filterwarnings(NO_PLACE)
def test_the_damage_that_libjpeg_reports_is_told(tmp_path):
    path = tmp_path / "x.jpg"
    with rasterio.open(path, "w", driver="JPEG", width=70, height=40, count=3, dtype="uint8") as file:
        file.write(np.ones((3, 40, 70), np.uint8))
    before, marker, after = path.read_bytes().partition(b"\xff\xdb")
    path.write_bytes(before + b"\0\0\0" + marker + after)
    with pytest.raises(
        SceneError, match=r"x\.jpg can't be read, it may be truncated, damaged .*: libjpeg: .* 3 extraneous bytes"
    ):
        np.asarray(open_scene(path).cube)


def test_a_damaged_tiff_prints_nothing(tmp_path):
    stack(tmp_path / "bands", CUBE)
    path = tmp_path / "bands" / "band_7.tif"
    path.write_bytes(path.read_bytes()[:-30])
    code = f"import hsifeat\ntry: hsifeat.open_scene({str(path)!r})\nexcept hsifeat.errors.SceneError: pass"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


def test_landsat_has_the_georeference_that_gdal_reports(data_folder, gdal):
    path = data_folder / "nc_landsat7" / "landsat_multiband.tif"
    scene = open_scene(path)
    c, a, b, f, d, e = json.loads(gdal("gdalinfo", "-json", path))["geoTransform"]
    np.testing.assert_allclose(scene.georeference.transform, (a, b, c, d, e, f))
    assert rasterio.CRS.from_wkt(scene.georeference.crs).to_epsg() == 32119
    assert scene.cube.shape == (443, 489, 5) and scene.nodata == (-99999.0,)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(np.asarray(scene.cube), file.read().transpose(1, 2, 0))


@pytest.mark.parametrize("suffix", [".tif", ".png", ".gif"])
def test_a_colour_table_of_a_scene_is_noted(tmp_path, suffix):
    """The numbers of colours were taken as brightness without a note."""
    numbers = np.random.default_rng(0).integers(0, 4, (12, 14)).astype(np.uint8)
    image = Image.fromarray(numbers, mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / f"x{suffix}")
    scene = open_scene(tmp_path / f"x{suffix}")
    assert any(f"x{suffix}: its values are numbers of a colour table" in note for note in scene.notes)
    assert not any("colour table" in note for note in open_labels(tmp_path / f"x{suffix}").notes)
    Image.fromarray(numbers).save(tmp_path / f"grey{suffix}")
    if suffix != ".gif":  # which has always a table
        assert not any("colour table" in note for note in open_scene(tmp_path / f"grey{suffix}").notes)
