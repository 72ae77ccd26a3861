"""Means over windows against the means of slices, also beside values with which running sums would lose all others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat import Labels, Scene, extract, open_features
from hsifeat.features.neighbourhoods import PixelCoordinates, window_means

HUGE = [-np.finfo(np.float32).max, 9.96921e36, 1e20, np.inf, np.nan]


def mean_of_slice(image, valid, row, col, side):
    top, left = row - side // 2, col - side // 2
    window = slice(max(top, 0), max(top + side, 0)), slice(max(left, 0), max(left + side, 0))
    inside = image[window][valid[window]].astype(np.float64)
    return inside.mean(axis=0) if len(inside) else np.zeros(image.shape[2])


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 100), st.integers(0, 2**16), st.sampled_from([1, 7, 128]),
    st.sampled_from([1, 3, 64]), st.sampled_from(HUGE),
)  # fmt: skip
def test_means_are_those_of_slices_and_do_not_depend_on_the_request(height, width, side, seed, block, channels, huge):
    random = np.random.default_rng(seed)
    image = random.random((height, width, 4)).astype(np.float32)
    image[random.integers(height), random.integers(width)] = huge
    valid = random.random((height, width)) < 0.7
    rows, cols = random.integers(0, height, 9), random.integers(0, width, 9)

    def means(rows, cols, side=side):
        return window_means(PixelCoordinates(rows, cols), side, lambda w: image[w.slices], 4, valid)

    with pytest.MonkeyPatch.context() as patch, np.errstate(invalid="ignore", over="ignore"):
        patch.setattr("hsifeat.features.neighbourhoods.BLOCK_PX", block)
        patch.setattr("hsifeat.features.neighbourhoods._CHANNELS", channels)
        found = means(rows, cols)
        same = means(rows, cols, np.int64(side))
        each = np.concatenate([means(rows[i : i + 1], cols[i : i + 1]) for i in range(9)])
        wanted = np.array([mean_of_slice(image, valid, *pixel, side) for pixel in zip(rows, cols, strict=True)])
    np.testing.assert_allclose(found, wanted.astype(np.float32), rtol=1e-6)
    np.testing.assert_array_equal(found, each)
    np.testing.assert_array_equal(found, same)


def test_one_fill_value_changes_only_the_windows_that_contain_it(tmp_path):
    cube = np.random.default_rng(0).random((40, 40, 2), np.float32)
    cube[5, 5] = HUGE[0]
    labels = {"gt": Labels("gt", np.ones((40, 40), np.uint8), {1: "a"})}
    scene = Scene("s", cube, labels=labels)
    extract(scene, backbone="context", layers=["mean-3"], projection="bands:0,1,1", out=tmp_path / "s.zarr")
    rows, cols = (positions.ravel() for positions in np.mgrid[:40, :40])
    found = open_features(tmp_path / "s.zarr").spectra(rows, cols, pool=5).reshape(40, 40, 2)
    np.testing.assert_allclose(found[30, 30], cube[28:33, 28:33].mean(axis=(0, 1)), rtol=1e-6)
    assert np.count_nonzero(np.abs(found[..., 0]) > 1) == 25
