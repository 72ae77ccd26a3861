"""Wavelengths that lie beside a cube in files whose axes have no names, written by scipy, numpy and h5py."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

from hsifeat import open_scene

CUBE = np.random.default_rng(0).integers(0, 9000, (6, 7, 5)).astype(np.int16)
NM = np.array([450.5, 550.0, 640.25, 2300.0, 900.0])


def written(path, cube=CUBE, **vectors):
    match path.suffix:
        case ".mat":
            scipy.io.savemat(path, {"cube": cube, **vectors})
        case ".npz":
            np.savez(path, cube=cube, **vectors)
        case ".h5":
            with h5py.File(path, "w") as file:
                for name, values in {"cube": cube, **vectors}.items():
                    file[name] = values
    return path


FORMATS = pytest.mark.parametrize("suffix", [".mat", ".npz", ".h5"])


@FORMATS
@pytest.mark.parametrize(("factor", "unit"), [(1, "nanometers"), (1000, "micrometers")])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (5, 1)])
def test_vectors_named_like_wavelengths_are_used(tmp_path, suffix, factor, unit, shape):
    path = written(tmp_path / f"x{suffix}", Wavelengths=(NM / factor).reshape(shape), fwhm=np.full(5, 10 / factor))
    scene = open_scene(path)
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, 10)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    told = " ".join(scene.notes)
    assert f"x{suffix}: used Wavelengths as the wavelengths of its bands" in told and f"no unit; assumed {unit}" in told


@FORMATS
def test_wavenumbers_are_used_if_there_are_no_wavelengths(tmp_path, suffix):
    wavenumbers = np.array([20000, 16000, 12500, 10000, 1000])
    scene = open_scene(written(tmp_path / f"x{suffix}", wavenumber=wavenumbers))
    assert scene.wavelengths_nm.tolist() == [500, 625, 800, 1000, 10000]
    assert "its wavelengths are wavenumbers (cm-1)" in " ".join(scene.notes)
    both = open_scene(written(tmp_path / f"y{suffix}", wavenumber=wavenumbers, wavelength=NM))
    assert both.wavelengths_nm.tolist() == NM.tolist()


@FORMATS
@pytest.mark.parametrize(
    ("vectors", "note"),
    [
        pytest.param({"wavelength": NM[:4]}, None, id="too-few"),
        pytest.param({"wavelength": np.arange(6.0)}, None, id="as-many-as-rows"),
        pytest.param({"weights": NM}, None, id="another-name"),
        pytest.param({"wavelength": NM, "wl": NM}, "found wavelength, wl and used none", id="two"),
        pytest.param({"wavelength": NM * np.nan}, "not all positive numbers; they are ignored", id="nan"),
    ],
)
def test_ambiguous_or_invalid_vectors_are_not_used(tmp_path, suffix, vectors, note):
    scene = open_scene(written(tmp_path / f"x{suffix}", **vectors))
    assert scene.wavelengths_nm is None
    assert ("wavelengths of its bands" in " ".join(scene.notes)) == (note is not None)
    assert note is None or note in " ".join(scene.notes)


def test_vectors_beside_cubes_with_bands_first(tmp_path):
    """The number of bands is known only if the axes are known. In MATLAB files, the order of the axes is reversed."""
    path = written(tmp_path / "x.npz", CUBE.transpose(2, 0, 1), wavelength=NM)
    np.testing.assert_array_equal(open_scene(path, axes="bands,rows,cols").wavelengths_nm, NM)
    with h5py.File(tmp_path / "x.mat", "w") as file:
        for name, values in {"cube": CUBE, "lambda": NM[:, None]}.items():
            file.create_dataset(name, data=values.T).attrs["MATLAB_class"] = np.bytes_("double")
    scene = open_scene(tmp_path / "x.mat")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_array_equal(scene.wavelengths_nm, NM)
    flat = written(tmp_path / "y.mat", CUBE.reshape(42, 5), wavelength=NM)
    flat_scene = open_scene(flat, axes="pixels-by-row,bands", rows=6, variable="cube")
    np.testing.assert_array_equal(flat_scene.wavelengths_nm, NM)


@FORMATS
@pytest.mark.parametrize(
    ("order", "axes"),
    [
        pytest.param((2, 0, 1), "bands, rows, cols", id="first"),
        pytest.param((0, 2, 1), "rows, bands, cols", id="second"),
    ],
)
def test_the_number_of_wavelengths_states_which_axis_has_the_bands(tmp_path, suffix, order, axes):
    scene = open_scene(written(tmp_path / f"x{suffix}", CUBE.transpose(order), wavelength=NM))
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    np.testing.assert_array_equal(scene.wavelengths_nm, NM)
    assert f"to be {axes}, because the file has 5 wavelengths; set `axes` if this is wrong" in " ".join(scene.notes)


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
@pytest.mark.parametrize(
    ("shape", "order", "axes"),
    [
        pytest.param((6, 5, 5), (0, 1, 2), "rows, cols, bands, because", id="columns-equal-bands"),
        pytest.param((5, 5, 6), (1, 2, 0), "bands, rows, cols, because", id="bands-equal-rows"),
        pytest.param((5, 6, 5), (0, 1, 2), "rows, cols, bands; set", id="rows-equal-bands"),
        pytest.param((5, 5, 5), (0, 1, 2), "rows, cols, bands; set", id="all-equal"),
    ],
)
def test_an_axis_of_another_length_than_the_wavelengths_is_not_that_of_the_bands(tmp_path, suffix, shape, order, axes):
    cube = np.random.default_rng(1).integers(0, 9000, shape).astype(np.int16)
    scene = open_scene(written(tmp_path / f"x{suffix}", cube, wavelength=NM))
    np.testing.assert_array_equal(np.asarray(scene.cube), cube.transpose(order))
    np.testing.assert_array_equal(scene.wavelengths_nm, NM)
    assert axes in " ".join(scene.notes)


@FORMATS
@pytest.mark.parametrize(
    ("shape", "vectors", "ignored"),
    [
        pytest.param((6, 7, 5), {"wavelength": np.linspace(500, 900, 6), "wl": np.linspace(500, 900, 7)}, ["wavelength has 6 values", "wl has 7 values"], id="two-lengths"),
        pytest.param((6, 7, 5), {"wavelength": np.arange(6.0)}, ["wavelength has 6 values"], id="not-positive"),
        pytest.param((6, 7, 5), {"fwhm": np.full(7, 10.0)}, ["fwhm has 7 values"], id="widths"),
        pytest.param((1, 7, 5), {"lambda": [0.5]}, ["lambda has 1 value"], id="single-number"),
        pytest.param((6, 7, 5), {"lambda": np.linspace(0.1, 0.6, 6)}, ["lambda has 6 values"], id="parameters"),
        pytest.param((6, 7, 5), {"wavelength": np.full(6, 550.0)}, ["wavelength has 6 values"], id="equal"),
        pytest.param((6, 7, 5), {"wavelength": [*NM, np.inf]}, ["wavelength has 6 values"], id="infinite"),
    ],
)  # fmt: skip
def test_vectors_that_state_no_axis_are_noted(tmp_path, suffix, shape, vectors, ignored):
    scene = open_scene(written(tmp_path / f"x{suffix}", CUBE[: shape[0]], **vectors))
    assert scene.cube.shape == shape and scene.wavelengths_nm is None and scene.fwhm_nm is None
    told = " ".join(scene.notes)
    assert "to be rows, cols, bands; set `axes`" in told
    for text in ignored:
        assert f"{text} for 5 bands; it is ignored" in told


@FORMATS
def test_wavenumbers_state_the_axis_of_the_bands(tmp_path, suffix):
    scene = open_scene(written(tmp_path / f"x{suffix}", CUBE.transpose(2, 0, 1), wavenumber=1e7 / NM))
    np.testing.assert_allclose(scene.wavelengths_nm, NM)


@FORMATS
def test_wavelengths_do_not_turn_another_cube_of_the_file(tmp_path, suffix):
    path = written(tmp_path / f"x{suffix}", CUBE, other=CUBE[:, :5, :4], wavelength=NM)
    scene = open_scene(path, variable="other")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[:, :5, :4])
    np.testing.assert_array_equal(open_scene(path, variable="cube").wavelengths_nm, NM)


def test_a_single_number_named_like_wavelengths_is_ignored(tmp_path):
    np.savez(tmp_path / "x.npz", cube=CUBE, wavelength=550.0, fwhm=10.0)
    assert open_scene(tmp_path / "x.npz").wavelengths_nm is None


def test_stated_axes_count_more_than_the_number_of_wavelengths(tmp_path):
    path = written(tmp_path / "x.npz", CUBE, wavelength=np.linspace(500, 900, 6))
    scene = open_scene(path, axes="rows,cols,bands")
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    assert scene.wavelengths_nm is None
    assert "x.npz: wavelength has 6 values for 5 bands; it is ignored" in scene.notes


@pytest.mark.parametrize(
    ("factor", "scale"), [pytest.param(10000.0, 10000, id="divides"), pytest.param(0.0001, 10000, id="multiplies")]
)
def test_hdf5_with_the_layout_of_neon(tmp_path, factor, scale):
    cube = CUBE.copy()
    cube[2, 3] = -9999
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("SITE/Reflectance/Reflectance_Data", data=cube)
        data.attrs.update({"Data_Ignore_Value": -9999.0, "Scale_Factor": factor})
        spectral = file.create_group("SITE/Reflectance/Metadata/Spectral_Data")
        spectral["Wavelength"], spectral["FWHM"] = NM / 1000, np.full(5, 0.005)
        spectral["Wavelength"].attrs["Units"] = np.bytes_("micrometers")
    scene = open_scene(tmp_path / "x.h5")
    np.testing.assert_allclose(scene.wavelengths_nm, NM)
    np.testing.assert_allclose(scene.fwhm_nm, 5)
    assert scene.nodata == (-9999.0,) and scene.scale == scale and np.count_nonzero(~scene.valid) == 1
    assert f"a stored 10000 is read as reflectance 1, because of its scale factor {factor:g}" in " ".join(scene.notes)


def test_a_scale_of_other_quantities_is_noted(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("radiance", data=CUBE).attrs["scale"] = 50.0
    scene = open_scene(tmp_path / "x.h5")
    assert (
        scene.scale == 1
        and "its scale and offset are not applied, because the values are another quantity" in " ".join(scene.notes)
    )


def test_good_bands_of_another_number_are_noted(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("img", data=CUBE).attrs["bbl"] = np.ones(3, np.int8)
    scene = open_scene(tmp_path / "x.h5")
    assert scene.bands == 5 and "img/bbl has 3 values for 5 bands; it is ignored" in " ".join(scene.notes)
