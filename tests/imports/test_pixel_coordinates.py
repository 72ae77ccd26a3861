"""Cells with coordinates in pixels of a scene, as `to_xarray` writes them, lie on these pixels.

NumPy's slicing is the oracle.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import hsifeat
from hsifeat.errors import SceneError

ROWS, COLS, STRIDE = 32, 44, 4
CELLS = np.random.default_rng(2).normal(size=(ROWS // STRIDE, COLS // STRIDE, 2)).astype(np.float32)
CUBE = np.random.default_rng(1).normal(size=(ROWS, COLS, 6)).astype(np.float32)
CLASSES = np.random.default_rng(3).integers(0, 4, (ROWS, COLS))
PIXELS = CELLS.repeat(STRIDE, axis=0).repeat(STRIDE, axis=1)


@pytest.fixture(scope="module")
def located():
    return hsifeat.Scene("s", CUBE, labels={"gt": hsifeat.Labels("gt", CLASSES)})


@pytest.fixture(scope="module")
def dataset(located, tmp_path_factory):
    """The store of a scene without a georeference, as xarray opens it."""
    store = hsifeat.import_planes(located, {"e": CELLS}, out=tmp_path_factory.mktemp("pixels") / "e.zarr")
    return hsifeat.open_features(store).to_xarray()


def source(array, kind, folder):
    if kind == "array":
        return array
    array = array.drop_encoding()
    if kind == "nc":
        array.to_dataset(name="e").to_netcdf(folder / "e.nc", engine="h5netcdf")
    else:
        array.to_dataset(name="e").to_zarr(folder / "e.zarr", zarr_format=2, consolidated=False)
    return f"{folder}/e.{kind}:e"


def imported(scene, features, folder, **options):
    """Return the values of each pixel, NaN where it has none."""
    folder.mkdir(exist_ok=True)
    path = hsifeat.import_planes(scene, {"e": features}, out=folder / "found.zarr", **options)
    store = hsifeat.open_features(path)
    values = store.to_dask("t0/e").compute()
    side = store.planes[0].stride
    pixels = values.repeat(side, axis=0).repeat(side, axis=1)[: scene.rows, : scene.cols]
    return np.where(store.valid[..., None], pixels, np.nan)


@pytest.mark.parametrize("kind", ["array", "nc", "zarr"])
@pytest.mark.parametrize(
    "part",
    [
        (slice(None, None, -1), slice(None)),
        (slice(None), slice(None, None, -1)),
        (slice(0, 4), slice(0, 6)),
        (slice(3, 7), slice(5, None)),
        (slice(2, 3), slice(6, 7)),
    ],
    ids=["upside down", "mirrored", "upper left", "window", "one cell"],
)
def test_a_part_lies_on_its_pixels(part, kind, located, dataset, tmp_path):
    expected = np.full_like(PIXELS, np.nan)
    rows, cols = (slice((one.start or 0) * 4, (one.stop or 11) * 4) for one in part)
    expected[rows, cols] = PIXELS[rows, cols]
    plane = dataset.t0_e.isel(y_s4=part[0], x_s4=part[1])
    np.testing.assert_allclose(imported(located, source(plane, kind, tmp_path), tmp_path), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["array", "nc"])
def test_pixels_of_a_scene_with_a_crs_are_its_pixels(kind, located, dataset, tmp_path):
    place = hsifeat.scenes.Georeference("EPSG:32632", (10.0, 0.0, 5e5, 0.0, -10.0, 4e6))
    georeferenced = replace(located, georeference=place, labels={})
    plane = source(dataset.t0_e[::-1], kind, tmp_path)
    np.testing.assert_allclose(imported(georeferenced, plane, tmp_path), PIXELS, rtol=1e-6)
    dataset[["labels_gt"]].isel(y=slice(None, None, -1)).to_netcdf(tmp_path / "gt.nc", engine="h5netcdf")
    np.testing.assert_array_equal(hsifeat.open_labels(f"{tmp_path}/gt.nc:labels_gt", georeferenced).classes, CLASSES)


def test_means_of_cells_lie_on_their_pixels(located, dataset, tmp_path):
    means = dataset.t0_e.isel(y_s4=slice(2, 6), x_s4=slice(0, 6)).coarsen(y_s4=2, x_s4=2).mean()
    expected = np.full_like(PIXELS, np.nan)
    expected[8:24, :24] = CELLS[2:6, :6].reshape(2, 2, 3, 2, 2).mean((1, 3)).repeat(8, axis=0).repeat(8, axis=1)
    np.testing.assert_allclose(imported(located, means, tmp_path), expected, rtol=1e-5)
    shifted = dataset.t0_e.isel(y_s4=slice(1, 7), x_s4=slice(0, 6)).coarsen(y_s4=3, x_s4=2).mean()
    found = imported(located, shifted, tmp_path / "shifted", stride=1)[..., 0]
    inside = np.zeros((ROWS, COLS), bool)
    inside[4:28, :24] = True
    np.testing.assert_array_equal(np.isfinite(found), inside)


def test_every_second_row_of_cells_lies_on_its_pixels(located, dataset, tmp_path):
    found = imported(located, dataset.t0_e[::2], tmp_path, stride=STRIDE)
    for row in range(0, 8, 2):
        np.testing.assert_allclose(found[row * STRIDE], PIXELS[row * STRIDE], rtol=1e-5)


@pytest.mark.parametrize("kind", ["array", "nc"])
def test_cells_without_a_place_on_the_scene_are_refused(kind, located, dataset, tmp_path):
    uneven = dataset.t0_e.isel(y_s4=[0, 1, 2, 3, 4, 5, 6, 6])
    beyond = dataset.t0_e.assign_coords(y_s4=dataset.y_s4 + 4)
    before = dataset.t0_e.assign_coords(y_s4=dataset.y_s4 - 4)
    for array, message in (
        (uneven, "its coordinates are not evenly spaced"),
        (beyond, "y_s4 are 5.5 to 33.5 in pixels"),
        (before, "y_s4 are -2.5 to 25.5 in pixels"),
    ):
        folder = tmp_path / str(float(array.y_s4[0]))
        folder.mkdir()
        with pytest.raises(SceneError, match=message):
            imported(located, source(array, kind, folder), folder)
    numbered = hsifeat.Scene("numbered", dataset.spectra)
    with pytest.raises(
        SceneError,
        match="its coordinates y_s4, the centres of its cells, run from 29.5 to 1.5, but those of numbered from 0 to 31",
    ):
        imported(numbered, source(dataset.t0_e[::-1], kind, tmp_path), tmp_path)


def test_indices_of_an_array_must_be_those_of_the_scene(located, tmp_path):
    array = xr.DataArray(PIXELS, {"y": np.arange(ROWS), "x": np.arange(COLS)}, ("y", "x", "band"))
    for wrong in (array[::-1], array[:, ::-1], array.assign_coords(y=array.y + 8), array[::2, ::2], array[::4]):
        with pytest.raises(
            SceneError,
            match=r"e: its coordinates [yx], the centres of its cells, run from .*, but those of s from 0 to",
        ):
            imported(located, wrong, tmp_path)
    np.testing.assert_array_equal(imported(located, array, tmp_path), PIXELS)


def test_the_first_rows_of_a_store_are_not_those_of_another_part(tmp_path):
    """Coordinates 0, 1, 2, ... are a plain count in other arrays; those of `to_xarray` have a position."""
    store = hsifeat.import_planes(hsifeat.Scene("s", CUBE), {"e": PIXELS}, out=tmp_path / "e.zarr")
    dataset = hsifeat.open_features(store).to_xarray()
    part = hsifeat.Scene("part", dataset.spectra[8:20])
    for wrong in (dataset.t0_e[:12], dataset.t0_e[1:13]):
        with pytest.raises(SceneError, match="but those of part from 8 to 19"):
            imported(part, wrong, tmp_path / "part")
    np.testing.assert_allclose(imported(part, dataset.t0_e[8:20], tmp_path / "part"), PIXELS[8:20], rtol=1e-3)


def test_labels_must_not_contradict_the_pixel_numbers_of_a_scene(dataset, tmp_path):
    """All labels were taken by their shape, upside down, without a note."""
    numbered = hsifeat.Scene(
        "numbered", dataset.spectra.drop_attrs().assign_coords(y=np.arange(ROWS), x=np.arange(COLS))
    )
    labels = dataset.labels_gt
    for number, (part, message) in enumerate(
        (
            (labels[::-1], "gt.nc: its coordinates y, .* run from 31 to 0"),
            (labels[4:], "run from 4 to 31"),
            (labels, ""),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        part.drop_encoding().to_dataset(name="gt").to_netcdf(folder / "gt.nc")
        if message:
            with pytest.raises(SceneError, match=message):
                hsifeat.open_labels(folder / "gt.nc", numbered)
        else:
            np.testing.assert_array_equal(hsifeat.open_labels(folder / "gt.nc", numbered).classes, CLASSES)


def test_a_single_cell_lies_on_the_whole_scene_only_if_its_coordinates_say_so(dataset, tmp_path):
    """The features of one cell became those of all pixels, without a note."""
    numbered = hsifeat.Scene(
        "numbered", dataset.spectra.drop_attrs().assign_coords(y=np.arange(ROWS), x=np.arange(COLS))
    )
    plane = dataset.t0_e
    for wrong in (plane[4:5, 3:4], plane[:1, :1], plane.drop_attrs()[4:5, 3:4]):
        with pytest.raises(SceneError, match="the centres of its cells, run from"):
            imported(numbered, wrong, tmp_path)
    mean = plane.coarsen(y_s4=ROWS // STRIDE, x_s4=COLS // STRIDE).mean()
    expected = np.broadcast_to(CELLS.mean((0, 1)), (ROWS, COLS, 2))
    np.testing.assert_allclose(imported(numbered, mean, tmp_path / "mean", stride=44), expected, atol=1e-5)


@pytest.mark.parametrize("rows", [slice(5, 6), slice(5, 8)])
def test_scenes_of_few_rows_take_their_own_planes(rows, tmp_path):
    """A scene of one row, and one with fewer rows than a cell has."""
    cube = xr.DataArray(CUBE, {"y": np.arange(ROWS), "x": np.arange(COLS)}, ("y", "x", "band"))[rows]
    scene = hsifeat.Scene("s", cube)
    np.testing.assert_array_equal(imported(scene, cube, tmp_path / "own", dtype="float32"), cube.values)
    with pytest.raises(SceneError, match="the centres of its cells, run from"):
        imported(scene, cube.assign_coords(y=cube.y + 4), tmp_path / "moved")
    plain = hsifeat.Scene("p", CUBE[:3])
    cells = hsifeat.import_planes(plain, {"e": CELLS[:1]}, out=tmp_path / "cells.zarr")
    plane = hsifeat.open_features(cells).to_xarray().t0_e
    numbered = hsifeat.Scene("n", xr.DataArray(CUBE[:3], {"y": np.arange(3), "x": np.arange(COLS)}, ("y", "x", "band")))
    np.testing.assert_allclose(imported(numbered, plane, tmp_path / "few"), PIXELS[:3], rtol=1e-3)


def test_a_list_of_pixels_is_no_grid(tmp_path):
    """Its pixels and cells were taken as rows and columns, with a note on a part of a larger array."""
    place = hsifeat.scenes.Georeference("EPSG:32632", (10, 0, 0, 0, -10, 0))
    scene = hsifeat.Scene("s", CUBE, georeference=place)
    pixels = np.argwhere(np.random.default_rng(4).random(CUBE.shape[:2]) < 0.1)
    options = {
        "backbone": "untrained:natural32",
        "timesteps": [0],
        "layers": ["mid_block"],
        "tile": 16,
        "noise": "none",
    }
    store = hsifeat.extract(scene, **options, projection="bands:0,1,2", pixels=pixels, out=tmp_path / "listed.zarr")
    plane = hsifeat.open_features(store).to_xarray().t0_mid_block
    with pytest.raises(SceneError, match="p: its first axis is a list of pixels, with a row and a column for each"):
        hsifeat.import_planes(scene, {"p": plane}, out=tmp_path / "p.zarr")


@pytest.mark.parametrize(
    "part", [(slice(8, 24), slice(12, None)), (slice(None, None, -1), slice(None))], ids=["cut", "upside down"]
)
def test_labels_and_scenes_of_a_part_lie_on_its_pixels(part, located, dataset, tmp_path):
    crop = dataset.isel(y=part[0], x=part[1])
    crop[["spectra", "labels_gt"]].to_netcdf(tmp_path / "part.nc", engine="h5netcdf")
    dataset[["labels_gt"]].to_netcdf(tmp_path / "whole.nc", engine="h5netcdf")
    expected = np.zeros_like(CLASSES)
    expected[part] = CLASSES[part]
    opened = hsifeat.open_scene(tmp_path / "part.nc", variable="spectra")
    array_scene = hsifeat.Scene("array", crop.spectra)
    for scene, name, wanted in (
        (located, "part", expected),
        (located, "whole", CLASSES),
        (opened, "part", CLASSES[part]),
        (opened, "whole", CLASSES[part]),
        (array_scene, "part", CLASSES[part]),
        (array_scene, "whole", CLASSES[part]),
    ):
        np.testing.assert_array_equal(hsifeat.open_labels(f"{tmp_path}/{name}.nc:labels_gt", scene).classes, wanted)
    found = imported(opened, dataset.t0_e, tmp_path)
    if part[0].step:
        np.testing.assert_allclose(found, PIXELS[part], rtol=1e-6)
    indices = xr.DataArray(CUBE, dict(dataset.spectra.coords), ("y", "x", "band"))
    np.testing.assert_array_equal(imported(opened, indices, tmp_path / "again"), CUBE[part])
    assert hsifeat.open_labels(f"{tmp_path}/part.nc:labels_gt").classes.shape == CLASSES[part].shape
