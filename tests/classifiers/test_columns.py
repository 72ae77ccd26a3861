"""Columns of a table: every group equals a loop over pixels, and tables larger than memory are refused."""

from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers import make_head, predict_map
from classifiers.columns import make_layout, read_columns
from classifiers.layout import Layout
from classifiers.table import PixelTable
from hsifeat.errors import StoreError
from hsifeat.scenes import Labels
from hsifeat.types import Window

EVERYTHING = {"window": 5, "spectral_patch": 3, "means": 7, "patch": 3, "position": True}


def slow(whole, row, col, *, patch=None, mean=None):
    """Cut one pixel's columns out of a whole map: its neighbourhood, mirrored, or the mean over its window, clipped."""
    if patch:
        half = patch // 2
        padded = np.pad(whole, [(half, half), (half, half), (0, 0)], mode="reflect")
        return padded[row : row + patch, col : col + patch].ravel()
    half = mean // 2
    window = whole[max(row - half, 0) : row + half + 1, max(col - half, 0) : col + half + 1]
    return window.astype(np.float64).mean(axis=(0, 1))


def test_every_column_group_equals_a_loop_over_pixels(store_path, features, scene):
    names = ["t0/mid_block", "t300/up_blocks.2"]
    classes = np.zeros((75, 53), int)
    classes[[0, 0, 74, 33, 74, 1], [0, 52, 0, 20, 52, 51]] = [1, 2, 1, 2, 1, 2]
    table = PixelTable.from_store(store_path, labels=Labels("few", classes), planes=names, **EVERYTHING)
    assert [str(g) for g in table.layout] == [
        "spectra", "spectra mean 5x5", "spectra patch 3x3",
        "t0/mid_block", "t0/mid_block mean 7x7", "t0/mid_block patch 3x3",
        "t300/up_blocks.2", "t300/up_blocks.2 mean 7x7", "t300/up_blocks.2 patch 3x3", "position",
    ]  # fmt: skip
    assert Layout.from_json(table.layout.to_json()) == table.layout
    assert table.X.dtype == np.float32
    cube = scene.cube.astype(np.float32)
    planes = [features.read(Window(0, 0, 75, 53), [name]) for name in names]
    for x, row, col in zip(table.X, table.rows, table.cols, strict=True):
        wanted = [cube[row, col], slow(cube, row, col, mean=5), slow(cube, row, col, patch=3)]
        for plane in planes:
            wanted += [plane[row, col], slow(plane, row, col, mean=7), slow(plane, row, col, patch=3)]
        np.testing.assert_allclose(x, np.concatenate([*wanted, [row, col]]), rtol=2e-5, atol=2e-5)
    patch = next(g for g in table.layout if g.kind == "patch" and g.t == 300)
    middle = table.X[:, patch.start : patch.stop].reshape(-1, 3, 3, 8)[:, 1, 1]
    np.testing.assert_array_equal(middle, planes[1][table.rows, table.cols])


def test_tables_larger_than_memory_are_refused_before_reading(store_path, monkeypatch):
    monkeypatch.setattr("classifiers.columns.total_bytes", lambda: 10**6)
    with pytest.raises(
        StoreError,
        match=r"columns takes [0-9.]+ .B, more than the memory of [0-9.]+ [kM]?B(ytes)?: .*widest group is t0/mid_block patch 11x11",
    ):
        PixelTable.from_store(store_path, planes=["t0/*"], patch=11)


@pytest.mark.parametrize(
    "options", [{"patch": 0}, {"patch": [3, 4]}, {"window": 2.5}, {"means": -1}, {"spectral_patch": "5"}], ids=str
)
def test_sides_that_are_no_pixels_are_refused(features, options):
    ((name, value),) = options.items()
    with pytest.raises(StoreError, match=f"{name} is .* pixels.*found") as caught:
        make_layout(features, **options)
    assert repr(value) in str(caught.value)


def test_means_and_neighbourhoods_without_planes_are_refused(scene, features, tmp_path):
    """They were left out without a note, because context planes get none."""
    hsifeat.extract(scene, backbone="context", layers=["mean-5"], projection="pca:2", out=tmp_path / "c.zarr")
    context = hsifeat.open_features(tmp_path / "c.zarr")
    for store, planes in ((context, None), (context, []), (features, [])):
        for sides in ({"means": 7}, {"patch": 3}, {"patch": [3, 5]}):
            with pytest.raises(StoreError, match="means and patch add no column, because no plane is selected except"):
                make_layout(store, planes=planes, **sides)
        assert make_layout(store, planes=planes, means=None, patch=[])


def test_a_single_plane_may_stand_alone(features):
    name = str(features.planes[0].id)
    assert make_layout(features, planes=name) == make_layout(features, planes=[name])


@pytest.mark.parametrize(
    ("options", "bands"),
    [
        ({"planes": []}, [2]),
        ({"planes": []}, [5, 3, 1]),
        ({"planes": [], "window": 5}, [2]),
        ({"planes": [], "spectra": False, "spectral_patch": 3}, [2]),
    ],
)
def test_a_head_is_not_applied_to_another_number_of_bands(features, options, bands):
    """NumPy repeated a single band in all columns, so that a map of wrong classes was made."""
    table = PixelTable.from_store(features, **options)
    head = make_head("lda", table.layout).fit(table.X, table.y)
    with pytest.raises(
        StoreError, match=r"has .* columns? of spectra.*, and .* are expected: use the bands and planes"
    ):
        predict_map(features.with_bands(bands), head)
    narrow = PixelTable.from_store(features.with_bands(bands), **options)
    with pytest.raises(StoreError, match="are expected"):
        predict_map(features, make_head("lda", narrow.layout).fit(narrow.X, narrow.y))


def test_a_head_is_not_applied_to_another_number_of_channels(features):
    table = PixelTable.from_store(features, planes=["t0/mid_block"], spectra=False)
    single = Layout((replace(table.layout.groups[0], layer="up_blocks.2"),))
    with pytest.raises(StoreError, match=r"columns of t0/up_blocks.2, and 16 are expected"):
        read_columns(features, single, table.rows, table.cols)
