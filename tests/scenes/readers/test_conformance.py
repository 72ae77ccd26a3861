"""All readers behave alike: they slice as NumPy does, read label maps, list candidates, and note their guesses.

The files are written by other programs: scipy, h5py, rasterio, netCDF4, xarray, zarr, spectral.
"""

import pickle
import shutil
import threading

import h5py
import netCDF4
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import scipy.io
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from hsifeat import open_scene
from hsifeat.errors import SceneError
from hsifeat.scenes import Scene, open_labels
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.scene_plot import write_scene_plot
from tests.helpers.scene_formats import (
    BANDS,
    COLS,
    CUBE,
    FORMATS,
    ROWS,
    envi,
    hdf5,
    mat5,
    mat73,
    netcdf,
    npy,
    tif,
    zarr_array,
)

LABELS = (np.arange(ROWS * COLS).reshape(ROWS, COLS) % 4).astype(np.uint8)
MAPS = [name for name in FORMATS if name != "stack"]
# Formats whose axes are guessed: three different sizes, of which the last is taken as the bands.
UNORDERED = {"mat5", "mat73", "mat.gz", "hdf5", "zarr-array", "zarr-group", "npy", "npz"}


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    folder, paths = tmp_path_factory.mktemp("cubes"), {}
    for name, (file, write) in FORMATS.items():
        (folder / name).mkdir()
        paths[name] = folder / name / file
        write(paths[name], CUBE)
    return paths


@pytest.fixture(scope="module")
def scenes(cubes):
    return {name: open_scene(path) for name, path in cubes.items()}


@pytest.mark.parametrize("name", FORMATS)
def test_the_scene_is_what_was_written(scenes, name):
    scene = scenes[name]
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)
    assert scene.cube.dtype.newbyteorder("=") == CUBE.dtype
    assert scene.digest == Scene("memory", CUBE).digest
    assert any("assumed the axes of its 6 x 7 x 5 values to be rows, cols, bands" in n for n in scene.notes) == (
        name in UNORDERED
    )


@pytest.mark.parametrize("name", [*FORMATS, "vrt"])
def test_a_scene_stays_that_of_its_file_in_another_working_directory(tmp_path, monkeypatch, name):
    """Zarr scenes and VRT files had the values of the file of this name in the new directory."""
    file, write = FORMATS["tif" if name == "vrt" else name]
    for folder, values in (("here", CUBE), ("there", CUBE[::-1])):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / file, values)
        if name == "vrt":
            rasterio.shutil.copy(tmp_path / folder / file, tmp_path / folder / "img.vrt", driver="VRT")
    monkeypatch.chdir(tmp_path / "here")
    cube = open_scene("img.vrt" if name == "vrt" else file).cube
    monkeypatch.chdir(tmp_path / "there")
    again = pickle.loads(pickle.dumps(cube))  # noqa: S301  # our own
    np.testing.assert_array_equal(np.asarray(again), CUBE)
    np.testing.assert_array_equal(np.asarray(cube), CUBE)


def slices(size):
    ends = st.none() | st.integers(-size - 2, size + 2)
    return st.builds(slice, ends, ends, st.none() | st.integers(1, size + 1)) | st.integers(-size, size - 1)


KEYS = st.tuples(slices(ROWS), slices(COLS), slices(BANDS)) | st.tuples(slices(ROWS), slices(COLS))
KEYS |= slices(ROWS) | st.tuples(st.just(...), slices(BANDS))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=20)
@given(key=KEYS)
def test_any_slice_agrees_with_numpy(scenes, name, key):
    result = np.asarray(scenes[name].cube[key])
    np.testing.assert_array_equal(result, CUBE[key])
    assert result.dtype.newbyteorder("=") == CUBE.dtype


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in {"mat5", "mat.gz", "envi", "npy", "npz"}])
def test_lazy_cubes_refuse_invalid_indices(scenes, name):
    cube = scenes[name].cube
    assert not isinstance(cube, np.ndarray)
    with pytest.raises(IndexError):
        cube[ROWS]
    with pytest.raises(SceneError, match="a lazy array takes only slices with a positive step"):
        cube[::-1]
    # The comparison of two objects is False: no pixel had the value.
    for compare in (lambda: cube == 0, lambda: cube != 0.0, lambda: 0 == cube):  # noqa: SIM300
        with pytest.raises(SceneError, match=r"read them first, as in array\[:\] == 0"):
            compare()
    assert cube == cube and cube != scenes["npy"].cube[:].tolist() and hash(cube) == hash(cube)  # noqa: PLR0124
    np.testing.assert_array_equal(CUBE.__eq__(cube), np.ones(CUBE.shape, bool))


@pytest.mark.parametrize(
    "name", ["mat73", "tif", "erdas", "netcdf4", "netcdf3", "hdf5", "zarr3", "zarr-array", "stack"]
)
def test_cubes_can_be_pickled_and_read_by_threads(scenes, name):
    cube = scenes[name].cube
    again = pickle.loads(pickle.dumps(cube))  # noqa: S301  # our own
    np.testing.assert_array_equal(np.asarray(again[1:4, ::2]), CUBE[1:4, ::2])
    faults = []

    def slice_it(row):
        faults.extend(row for _ in range(20) if not np.array_equal(cube[row], CUBE[row]))

    threads = [threading.Thread(target=slice_it, args=(row,)) for row in range(ROWS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@pytest.mark.parametrize("name", MAPS)
def test_label_maps(tmp_path, name):
    file, write = FORMATS[name]
    write(tmp_path / file, LABELS)
    np.testing.assert_array_equal(open_labels(tmp_path / file).classes, LABELS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_single_band_is_a_scene_or_refused(tmp_path, name):
    """A single band may lie in an axis of its own, or not be there at all."""
    file, write = FORMATS[name]
    write(tmp_path / file, CUBE[..., :1])
    try:
        scene = open_scene(tmp_path / file)
    except SceneError as error:
        # MATLAB drops a last axis of one entry.
        assert name in {"mat5", "mat73", "mat.gz"} and "--variable" in str(error)
    else:
        np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., :1])


@pytest.mark.parametrize("name", FORMATS)
def test_a_cube_is_refused_as_label_map(tmp_path, cubes, name):
    with pytest.raises(SceneError) as caught:
        read_raster(cubes[name], 2)
    assert "\n" not in str(caught.value)
    if name in {"mat5", "mat73", "netcdf4", "zarr3", "hdf5", "npz", "zarr-group"}:
        assert "no array of 2 dimensions; it holds" in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "stack"])
def test_an_unknown_variable_is_refused(cubes, name):
    with pytest.raises(SceneError, match=r"no variable 'y'; it holds|without a name; leave out 'y'"):
        open_scene(cubes[name], variable="y")


def two_of_mat73(path):
    mat73(path, CUBE, "one")
    with h5py.File(path, "r+") as file:
        file["struct/two"] = CUBE.T
        file["struct"].attrs["MATLAB_class"] = np.bytes_("struct")
        file["word"] = np.zeros((3, 4, 5), "u2")
        file["word"].attrs["MATLAB_class"] = np.bytes_("char")
        file["#refs#/a"] = CUBE.T
        file["empty"] = np.array([0, 4, 4], "u8")
        file["empty"].attrs["MATLAB_empty"] = 1


def two_of_netcdf(path):
    netcdf(path, CUBE)
    with netCDF4.Dataset(path, "a") as file:
        file.createGroup("group").createVariable("two", "i2", ("band", "y", "x"))[:] = CUBE.transpose(2, 0, 1)


def two_of_hdf5(path):
    with h5py.File(path, "w") as file:
        file["one"] = file["group/two"] = CUBE


@pytest.mark.parametrize(
    ("file", "write", "listed"),
    [
        pytest.param(
            "x.mat",
            lambda p: scipy.io.savemat(p, {"one": CUBE, "two": CUBE, "s": "word"}),
            "2 arrays of 3 dimensions; it holds one 6 x 7 x 5, two 6 x 7 x 5 (and s of class char)",
            id="mat5",
        ),
        pytest.param("x.mat", two_of_mat73, "holds one 6 x 7 x 5, struct/two 6 x 7 x 5: choose", id="mat73"),
        pytest.param(
            "x.npz", lambda p: np.savez(p, one=CUBE, two=CUBE), "one 6 x 7 x 5, two 6 x 7 x 5: choose", id="npz"
        ),
        pytest.param("x.nc", two_of_netcdf, "img 5 x 6 x 7, group/two 5 x 6 x 7: choose", id="netcdf"),
        pytest.param("x.h5", two_of_hdf5, "group/two 6 x 7 x 5, one 6 x 7 x 5: choose", id="hdf5"),
        pytest.param(
            "x.zarr",
            lambda p: xr.Dataset(dict.fromkeys(("one", "two"), (("y", "x", "band"), CUBE))).to_zarr(
                p, zarr_format=3, consolidated=False
            ),
            "one 6 x 7 x 5, two 6 x 7 x 5: choose",
            id="zarr",
        ),
    ],
)
def test_several_candidates_are_listed_and_none_is_guessed(tmp_path, file, write, listed):
    write(tmp_path / file)
    with pytest.raises(SceneError) as caught:
        open_scene(tmp_path / file)
    assert listed in str(caught.value) and str(caught.value).endswith("choose one with `variable=NAME`")
    for name in ("one", "two", "group/two", "struct/two"):
        if f" {name} " in listed or listed.startswith(f"{name} "):
            scene = open_scene(tmp_path / file, variable=name)
            np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)


def test_the_band_order_of_a_folder_is_noted(scenes):
    note = "bands: read its 5 .tif files as bands, in the order band_7.tif, band_8.tif, …, band_11.tif"
    assert scenes["stack"].notes == (note,)
    assert scenes["stack"].band_names == ("band_7", "band_8", "band_9", "band_10", "band_11")
    assert scenes["stack"].georeference == scenes["tif"].georeference


@pytest.mark.parametrize("path", [".", "..", "deep/.."])
def test_a_scene_has_the_name_of_its_folder_however_it_is_written(scenes, cubes, tmp_path, monkeypatch, path):
    shutil.copytree(cubes["stack"], tmp_path / "landsat")
    (tmp_path / "landsat" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "landsat" / ("deep" if path == ".." else ""))
    scene = open_scene(path)
    assert scene.name == "landsat" and scene.notes[0].startswith("landsat: read its 5 .tif files")
    assert scene.digest == scenes["stack"].digest
    write_scene_plot(scene, tmp_path / "landsat" / "landsat.png")
    assert open_scene(path).digest == scene.digest
    (tmp_path / "landsat" / "other.png").write_bytes(b"no picture")
    with pytest.raises(SceneError, match="found 5 .tif, 1 .png"):
        open_scene(path)


def test_several_paths_are_stacked_in_their_order(cubes):
    folder = cubes["stack"]
    scene = open_scene([folder / "band_9.tif", folder / "band_7.tif"])
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., [2, 0]])
    assert scene.band_names == ("band_9", "band_7")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param(lambda p: tif(p, CUBE[:4, :, 0]), "has 4 x 7 pixels, not the 6 x 7 of", id="shape"),
        pytest.param(lambda p: tif(p, CUBE[..., 0].astype("f4")), "has dtype float32, not the int16 of", id="dtype"),
        pytest.param(lambda p: tif(p, CUBE), r"shape \(6, 7, 5\); expected a single band \(rows, cols\)", id="bands"),
        pytest.param(
            lambda p: npy(p.with_suffix(".npy"), CUBE[..., 0]), "found 5 .tif, 1 .npy: list the", id="suffixes"
        ),
        pytest.param(lambda p: p.write_bytes(b"no"), "band_12.tif can't be read", id="damaged"),
    ],
)
def test_inconsistent_band_files_are_refused(tmp_path, cubes, other, message):
    shutil.copytree(cubes["stack"], tmp_path / "bands")
    other(tmp_path / "bands" / "band_12.tif")
    with pytest.raises(SceneError, match=message):
        open_scene(tmp_path / "bands")


def test_band_files_with_other_georeferences_are_refused(tmp_path, cubes):
    shutil.copytree(cubes["stack"], tmp_path / "bands")
    with rasterio.open(tmp_path / "bands" / "band_8.tif", "r+") as file:
        file.transform = rasterio.Affine(30, 0, 500030, 0, -30, 4000000)
    with pytest.raises(SceneError, match=r"band_8\.tif has the transform .* not the .* of .*band_7\.tif"):
        open_scene(tmp_path / "bands")
    with rasterio.open(tmp_path / "bands" / "band_8.tif", "r+") as file:
        file.transform, file.crs = rasterio.Affine(30, 0, 500000, 0, -30, 4000000), "EPSG:32612"
    with pytest.raises(SceneError, match="has the CRS .*32612.* not the .*32611"):
        open_scene(tmp_path / "bands")


def test_a_folder_of_envi_bands(tmp_path):
    for band in range(3):
        envi(tmp_path / f"b{band}.hdr", CUBE[..., band])
    scene = open_scene(tmp_path)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE[..., :3])


def test_a_folder_without_bands(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        SceneError, match=r"empty is a folder; expected single-band files of one readable suffix, found none"
    ):
        open_scene(tmp_path / "empty")
    with pytest.raises(
        SceneError, match="is a folder of single-band files: it can be read as a scene, but not as a label map"
    ):
        open_labels(tmp_path / "empty")


@pytest.mark.parametrize("axes", ["bands,pixels", "pixels,bands", "bands,pixels-by-row", "pixels-by-row,bands"])
@pytest.mark.parametrize("write", [mat5, mat73, npy, hdf5, zarr_array], ids=lambda write: write.__name__)
def test_pixels_in_one_axis(tmp_path, axes, write):
    flat = CUBE.reshape(-1, BANDS) if "by-row" in axes else CUBE.transpose(1, 0, 2).reshape(-1, BANDS)
    suffix = {mat5: ".mat", mat73: ".mat", npy: ".npy", hdf5: ".h5", zarr_array: ".zarr"}[write]
    write(tmp_path / f"x{suffix}", flat if axes.startswith("pixels") else flat.T.copy())
    scene = open_scene(tmp_path / f"x{suffix}", axes=axes, rows=ROWS)
    cube, is_assumed = scene.cube, "by-row" not in axes and suffix != ".mat"
    assert any("are read in column order" in note for note in scene.notes) == is_assumed

    @settings(max_examples=10)
    @given(KEYS)
    def check(key):
        np.testing.assert_array_equal(np.asarray(cube[key]), CUBE[key])

    check()


def test_explicit_axes_of_a_lazy_cube(cubes):
    cube = open_scene(cubes["mat73"], axes="bands,cols,rows").cube
    np.testing.assert_array_equal(np.asarray(cube), CUBE.transpose(2, 1, 0))
    with pytest.raises(SceneError, match="its format defines the axes"):
        open_scene(cubes["tif"], axes="bands,cols,rows")
