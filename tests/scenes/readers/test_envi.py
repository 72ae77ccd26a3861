"""ENVI headers and data files written by spectral and GDAL: layouts, data types, metadata, and wrong headers."""

import mmap
import re

import numpy as np
import pytest
import scipy.io

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes import Scene, open_labels
from tests.helpers.envi_fields import NM, envi_list, open_with_fields
from tests.helpers.scene_formats import CUBE


@pytest.mark.parametrize(("unit", "factor"), [("Nanometers", 1), ("Micrometers", 1000)])
def test_envi_spectrum(gdal, tif_folder, unit, factor):
    scene = open_with_fields(
        gdal,
        tif_folder,
        wavelength_units=unit,
        wavelength=envi_list(nm / factor for nm in NM),
        fwhm=envi_list(width / factor for width in (9, 9.5, 10, 11, 12)),
        bbl=envi_list([1, 0, 1, 1, 0]),
        data_ignore_value=-9999,
        reflectance_scale_factor=10000,
    )
    kept = [0, 2, 3]
    np.testing.assert_allclose(scene.wavelengths_nm, np.array(NM)[kept])
    np.testing.assert_allclose(scene.fwhm_nm, [9, 10, 11])
    assert scene.nodata == (-9999.0,) and scene.scale == 10000
    assert scene.notes == (
        "x.hdr: a stored 10000 is read as reflectance 1, because of its reflectance scale factor",
        "x.hdr: dropped 2 of 5 bands, which the file marks as bad",
    )
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., kept])
    assert open_scene(tif_folder / "x.hdr", bad_bands="keep").cube.shape == CUBE.shape


@pytest.mark.parametrize(
    ("fields", "scale"),
    [
        pytest.param({"data_units": "Radiance"}, 1, id="radiance"),
        pytest.param({"description": "{at-sensor radiance}"}, 1, id="description"),
        pytest.param({"data_units": "W/m^2/sr/um"}, 1, id="unit"),
        pytest.param({"data_units": "mWm-2sr-1nm-1"}, 1, id="unit without blanks"),
        pytest.param({"data_units": "K"}, 1, id="kelvin"),
        pytest.param({"data_units": "BRF"}, 10000, id="reflectance factor"),
        pytest.param({"data_units": "x10000"}, 10000, id="unit that states the scale"),
        pytest.param({"data_units": "DN"}, 10000, id="stored values"),
        pytest.param({"data_units": "water-leaving, sr-1"}, 10000, id="remote-sensing reflectance"),
        pytest.param({"description": "{optical depth corrected, counts removed}"}, 10000, id="words of corrections"),
        pytest.param({"data_units": "Reflectance"}, 10000, id="reflectance"),
        pytest.param({"description": "{reflectance from radiance}"}, 10000, id="both words"),
    ],
)
def test_the_scale_factor_is_not_used_for_known_other_quantities(gdal, tif_folder, fields, scale):
    scene = open_with_fields(gdal, tif_folder, reflectance_scale_factor=10000, **fields)
    assert scene.scale == scale
    told = "is read as reflectance 1" if scale > 1 else "'10000' is not used, because the values are another quantity"
    assert told in " ".join(scene.notes)


def test_a_copy_by_gdal_keeps_the_wavelengths(gdal, tif_folder):
    """GDAL 3.6 writes the wavelengths of a copy in the band names only."""
    open_with_fields(gdal, tif_folder, wavelength_units="Nanometers", wavelength=envi_list(NM))
    gdal("gdal_translate", "-of", "ENVI", tif_folder / "x.img", tif_folder / "copy.img")
    for file in ("copy.img", "copy.hdr"):
        np.testing.assert_allclose(open_scene(tif_folder / file).wavelengths_nm, NM)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        pytest.param({"bbl": "{1, 0}"}, "list of bad bands has 2 values for 5 bands; it is ignored", id="bbl"),
        pytest.param({"bbl": "{1, x, 1, 1, 1}"}, "list of bad bands is not all numbers; it is ignored", id="bbl text"),
        pytest.param({"bbl": "{0, 0, 0, 0, 0}"}, "marks all of its bands as bad; all are kept", id="bbl of zeros"),
        pytest.param({"data_ignore_value": "abc"}, "'abc' is not a number and is ignored", id="ignore value"),
        pytest.param({"map_info": "{UTM, 1}", "coordinate_system_string": ""}, "gives no position", id="map info"),
        pytest.param(
            {"wavelength": "{450, 550, 650, 0.86, 2.2}", "wavelength_units": "nm"},
            "wavelengths from 0.86 to 650 can't all be in nm; they are ignored",
            id="wavelengths in two units",
        ),
        pytest.param({"fwhm": "{1, 2}", "wavelength_units": "nm"}, r"widths \(fwhm\) are 2 for 5 bands", id="fwhm"),
        pytest.param(
            {"reflectance_scale_factor": "none"}, "'none' is not a positive number and is ignored", id="scale"
        ),
        pytest.param({"band_names": "{a, b}"}, "has 2 band names for 5 bands; they are ignored", id="names"),
    ],
)
def test_inconsistent_envi_fields_are_noted(gdal, tif_folder, fields, note):
    scene = open_with_fields(gdal, tif_folder, **fields)
    (result,) = scene.notes
    assert re.search(note, result) and scene.scale == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [":", "", " :"])
def test_a_field_without_an_equals_sign_is_noted(gdal, tif_folder, mark, newline):
    """The wavelengths were lost without a note. Texts in braces and comments are no fields."""
    open_with_fields(gdal, tif_folder, description="{\nwavelength: of the sensor\nbbl\n}")
    header = tif_folder / "x.hdr"
    header.write_text(
        f"{header.read_text()}; fwhm: 9\nWavelength{mark} {envi_list(NM)}\nremark: none\n", newline=newline
    )
    scene = open_scene(header)
    assert scene.wavelengths_nm is None
    assert scene.notes == ("x.hdr: its line 'Wavelength' has no = and is ignored",)


def test_jasper_ridge_as_mat_and_as_envi(data_folder):
    """Columns first in one axis in one file, BIL in the other."""
    folder = data_folder / "jasper_ridge"
    matlab = open_scene(folder / "jasperRidge2_R198.mat", axes="bands,pixels", rows=100, cols=100)
    envi = open_scene(folder / "jasperRidge2_R198.hdr")
    # Whoever tif_folder the MATLAB file took the dark values without their sign.
    np.testing.assert_array_equal(np.asarray(matlab.cube), np.abs(envi.cube))
    assert envi.scale == 10000


ROWS, COLS, BANDS = 5, 7, 4
CODES = {"u1": 1, "i2": 2, "i4": 3, "f4": 4, "f8": 5, "c8": 6, "c16": 9, "u2": 12, "u4": 13, "i8": 14, "u8": 15}
AXES = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}


@pytest.fixture
def cube():
    return np.random.default_rng(0).integers(1, 120, (ROWS, COLS, BANDS))


def write(path, cube, *, interleave="bil", order="<", offset=0, data=None, encoding="utf-8", **fields):
    """Write a header, and its data file unless there is one; a field set to None is left out."""
    rows, cols, bands = cube.shape
    description = {
        "samples": cols,
        "lines": rows,
        "bands": bands,
        "header offset": offset,
        "file type": "ENVI Standard",
        "data type": CODES[cube.dtype.str[1:]],
        "interleave": interleave,
        "byte order": "<>".index(order),
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    lines = ["ENVI", *(f"{name} = {value}" for name, value in description.items() if value is not None)]
    path.with_suffix(".hdr").write_text("\n".join(lines) + "\n", encoding=encoding)
    stored = cube.transpose(AXES[interleave.lower()]).astype(cube.dtype.newbyteorder(order))
    with (data or path).open("wb") as file:
        file.write(b"\xff" * offset)
        stored.tofile(file)


@pytest.mark.parametrize("interleave", AXES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("offset", [0, 37])
def test_every_layout_gives_the_same_scene(tmp_path, cube, interleave, order, offset):
    cube = cube.astype(np.int16)
    write(tmp_path / "x.img", cube, interleave=interleave, order=order, offset=offset)
    scene = open_scene(tmp_path / "x.hdr")
    np.testing.assert_array_equal(scene.cube, cube)
    assert scene.digest == Scene("memory", cube).digest
    assert scene.name == "x" and not scene.notes


@pytest.mark.parametrize("kind", [kind for kind in CODES if kind[0] != "c"])
def test_every_data_type(tmp_path, cube, kind):
    write(tmp_path / "x.dat", cube.astype(kind), order=">")
    result = open_scene(tmp_path / "x.dat").cube
    assert result.dtype == np.dtype(">" + kind)
    np.testing.assert_array_equal(result, cube)


def test_data_is_read_on_indexing(tmp_path, cube):
    write(tmp_path / "x.img", cube.astype(np.uint16), interleave="bsq")
    mapped = open_scene(tmp_path / "x.hdr").cube
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    base = mapped
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)


def test_a_sparse_terabyte_opens_without_being_read(tmp_path):
    (tmp_path / "x.hdr").write_text(
        "ENVI\nsamples = 50000\nlines = 50000\nbands = 200\ndata type = 12\ninterleave = bil\nbyte order = 0\n"
    )
    with (tmp_path / "x.img").open("wb") as file:
        try:
            file.truncate(50_000 * 50_000 * 200 * 2)  # a hole, no blocks on the disk
        except OSError:
            pytest.skip("this file system has no files with holes of that size")
    cube = open_scene(tmp_path / "x.hdr").cube
    assert cube.shape == (50_000, 50_000, 200) and not cube[49_000:49_002, 40_000:40_002].any()


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.hdr", "x"), ("x.hdr", "x.IMG"), ("x.bil", "x.bil"), ("x.raw", "x.raw"), ("x", "x"), ("x.rfl", "x.rfl")],
)
def test_header_and_data_file_are_found_from_each_other(tmp_path, cube, name, data):
    cube = cube.astype(np.uint8)
    write(tmp_path / "x.img", cube, data=tmp_path / data)
    np.testing.assert_array_equal(open_scene(tmp_path / name).cube, cube)


def test_a_header_named_after_the_whole_data_file(tmp_path, cube):
    cube = cube.astype(np.uint8)
    write(tmp_path / "x.hdr", cube, data=tmp_path / "x.img")
    (tmp_path / "x.hdr").rename(tmp_path / "x.img.hdr")
    np.testing.assert_array_equal(open_scene(tmp_path / "x.img").cube, cube)
    np.testing.assert_array_equal(open_scene(tmp_path / "x.img.hdr").cube, cube)


def test_of_several_data_files_the_one_of_the_right_size_is_read(tmp_path, cube):
    write(tmp_path / "x.dat", cube.astype(np.uint8))
    (tmp_path / "x.img").write_bytes(b"something else")
    scene = open_scene(tmp_path / "x.hdr")
    np.testing.assert_array_equal(scene.cube, cube)
    assert scene.notes == ("x.hdr: read the data file x.dat, not x.img",)


@pytest.mark.parametrize(
    ("unit", "listed", "nm", "note"),
    [
        pytest.param("Nanometers", "{450, 550.5, 640, 900}", [450, 550.5, 640, 900], "", id="nm"),
        pytest.param("Micrometers", "{0.45, 0.55,\n 0.64,\n 2.3}", [450, 550, 640, 2300], "", id="um"),
        pytest.param("\N{MICRO SIGN}m", "{0.45, 0.55, 0.64, 2.3}", [450, 550, 640, 2300], "", id="sign"),
        pytest.param(
            "Unknown", "{0.45, 0.55, 0.64, 2.3}", [450, 550, 640, 2300], "no unit; assumed micro", id="guess-um"
        ),
        pytest.param(
            "Nanometers",
            "{0.45, 0.55, 0.64, 2.3}",
            [450, 550, 640, 2300],
            "up to 2.3 can't be in nanometers; assumed micro",
            id="not-nm",
        ),
        pytest.param(
            "um",
            "{450, 550, 640, 900}",
            [450, 550, 640, 900],
            "up to 900 can't be in um; assumed nanometers",
            id="not-um",
        ),
        pytest.param(None, "{450, 550, 640, 900, }", [450, 550, 640, 900], "no unit; assumed nano", id="guess-nm"),
        pytest.param(
            None, "{4.5e-7, 5.5e-7, 6.4e-7, 2.3e-6}", [450, 550, 640, 2300], "no unit; assumed meters", id="guess-m"
        ),
        pytest.param(
            None, "{0.0045, 0.0055, 0.0064, 0.023}", None, "no unit, and their size reveals none", id="guess-none"
        ),
        pytest.param(
            "Wavenumber",
            "{9, 8, 7, 6}",
            None,
            "from 6 to 9 can't be wavenumbers (wavenumber); they are ignored",
            id="not-wavenumbers",
        ),
        pytest.param(
            "cm-1", "{1e-320, 8, 7, 6}", None, "can't be wavenumbers (cm-1); they are ignored", id="near-zero"
        ),
        pytest.param(
            "Wavenumber",
            "{20000, 16000, 10000, 1000}",
            [500, 625, 1000, 10000],
            "wavelengths are wavenumbers (wavenumber), which are converted",
            id="wavenumbers",
        ),
        pytest.param("nm", "{450, 550}", None, "are 2 for 4 bands", id="count"),
        pytest.param("nm", "{450, red, 640, 0}", None, "not all positive numbers", id="words"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_wavelengths_are_converted_to_nanometres(tmp_path, cube, unit, listed, nm, note, encoding):
    write(tmp_path / "x.img", cube.astype("u1"), encoding=encoding, wavelength_units=unit, wavelength=listed)
    scene = open_scene(tmp_path / "x.hdr")
    assert (scene.wavelengths_nm is None) if nm is None else (scene.wavelengths_nm.tolist() == nm)
    assert len(scene.notes) == bool(note) and note in "".join(scene.notes)


def test_field_names_and_values_in_any_case(tmp_path, cube):
    write(tmp_path / "x.img", cube.astype("u2"), interleave="BSQ", lines=None, Lines=ROWS, byte_order=None)
    scene = open_scene(tmp_path / "x.hdr")
    np.testing.assert_array_equal(scene.cube, cube)
    assert scene.notes == ("x.hdr: has no byte order; assumed 0, little-endian",)


def test_one_band_is_a_label_map(tmp_path, cube):
    cube = (cube[:, :, :1] % 3).astype(np.uint8)
    write(tmp_path / "gt.dat", cube, interleave="bsq", file_type="ENVI Classification")
    np.testing.assert_array_equal(open_labels(tmp_path / "gt.dat").classes, cube[:, :, 0])
    assert open_scene(tmp_path / "gt.hdr").cube.shape == (ROWS, COLS, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"data_type": 6}, r"data type = 6 \(complex64\); a scene holds real numbers: 1 \(uint8", id="complex"
        ),
        pytest.param({"data_type": 99}, r"data type = 99 \(unknown\)", id="data-type"),
        pytest.param({"lines": 6}, r"x\.img has 280 bytes, but x\.hdr says 336: 6 lines x 7.*truncated", id="short"),
        pytest.param({"lines": 4}, r"280 bytes, but x\.hdr says 224: 4 lines.*may be wrong", id="long"),
        pytest.param({"lines": None}, "no field 'lines': an ENVI header needs", id="no-lines"),
        pytest.param({"bands": "four"}, "bands must be a whole number of at least 1; found 'four'", id="bands"),
        pytest.param({"interleave": None}, "interleave must be bil or bip or bsq; found none", id="no-interleave"),
        pytest.param(
            {"byte_order": 2}, r"byte order must be 0 \(little-endian\) or 1 \(big-endian\); found 2", id="order"
        ),
        pytest.param({"file_compression": 1}, "save it without compression", id="compressed"),
        pytest.param({"major_frame_offsets": "{0, 8}"}, "save the file without frame offsets", id="frames"),
        pytest.param({"file_type": "ENVI Spectral Library"}, "spectral library, not a raster", id="library"),
        pytest.param({"wavelength": "{1, 2"}, "a brace is missing", id="brace"),
    ],
)
def test_a_wrong_header_gives_one_clear_line(tmp_path, cube, fields, message):
    interleave = fields.get("interleave", "bil")
    write(tmp_path / "x.img", cube.astype("u2"), **{"interleave": "bil", **fields} if interleave else {})
    if not interleave:
        text = (tmp_path / "x.hdr").read_text()
        (tmp_path / "x.hdr").write_text(text.replace("interleave = bil\n", ""))
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(tmp_path / "x.hdr")
    assert "\n" not in str(caught.value)


def test_missing_header_or_data_file(tmp_path, cube):
    write(tmp_path / "x.img", cube.astype("u1"))
    (tmp_path / "x.img").rename(tmp_path / "y.img")
    with pytest.raises(SceneError, match=r"x\.hdr has no data file beside it: looked for x with the suffixes \.img"):
        open_scene(tmp_path / "x.hdr")
    with pytest.raises(
        SceneError, match=r"y\.img has no ENVI header beside it: put y\.hdr or y\.img\.hdr into its folder"
    ):
        open_scene(tmp_path / "y.img")
    (tmp_path / "y.hdr").write_bytes(b"#?RADIANCE\n\x00\xff")
    with pytest.raises(SceneError, match=r"y\.hdr is not an ENVI header"):
        open_scene(tmp_path / "y.img")
    with pytest.raises(SceneError, match="one raster without a name; leave out 'v'"):
        open_scene(tmp_path / "x.hdr", variable="v")


def test_jasper_ridge_is_the_scene_of_its_mat_file(data_folder):
    folder = data_folder / "jasper_ridge"
    scene = open_scene(folder / "jasperRidge2_R198.hdr")
    assert scene.cube.shape == (100, 100, 198) and scene.cube.dtype == np.int16
    assert (scene.wavelengths_nm[0], scene.wavelengths_nm[1]) == (399.369995, 409.209991)
    matlab = scipy.io.loadmat(folder / "jasperRidge2_R198.mat")["Y"]  # (bands, pixels), columns of the scene first
    # Whoever tif_folder that file took the dark values without their sign.
    np.testing.assert_array_equal(np.abs(scene.cube), matlab.reshape(198, 100, 100).transpose(2, 1, 0))
    assert open_scene(folder / "jasperRidge2_R198.img").digest == scene.digest


def test_names_of_fields_that_other_programs_write(tmp_path, cube):
    bands = cube.shape[2]
    nm = ", ".join(str(500 + 10 * band) for band in range(bands))
    write(tmp_path / "x.img", cube.astype("f4"), wavelengths=f"{{{nm}}}", wavelength_unit="nm", nodata_value="-9999")
    header = (tmp_path / "x.hdr").read_text()
    scene = open_scene(tmp_path / "x.hdr")
    assert scene.wavelengths_nm.tolist() == [500 + 10 * band for band in range(bands)] and scene.nodata == (-9999.0,)
    assert "read its field 'wavelengths' as 'wavelength'" in " ".join(scene.notes), header
