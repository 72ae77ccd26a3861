"""Filters of context features against loops over windows in NumPy, and against scikit-image."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsifeat.context.filters import profile, reconstruction_profile, window_deviations, window_means

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3))


@st.composite
def images(draw):
    shape = draw(SHAPES)
    values = draw(arrays(np.float32, shape, elements=st.floats(-8, 8, width=32)))
    return values, draw(arrays(bool, shape[:2])), draw(st.sampled_from([3, 5, 7]))


def each_window(values, valid, size, function):
    """Apply a function to the (n, components) valid values of the window around each valid pixel."""
    result, half = np.zeros(values.shape, np.float64), size // 2
    for row, col in zip(*np.nonzero(valid), strict=True):
        part = slice(max(row - half, 0), row + half + 1), slice(max(col - half, 0), col + half + 1)
        result[row, col] = function(values[part][valid[part]].astype(np.float64))
    return result


@given(images())
def test_means_and_deviations_are_those_of_the_valid_pixels_of_each_window(image):
    values, valid, size = image
    means = each_window(values, valid, size, lambda window: window.mean(axis=0))
    np.testing.assert_allclose(window_means(values, valid, size), means, rtol=0, atol=1e-14)
    deviations = each_window(values, valid, size, lambda window: window.std(axis=0))
    np.testing.assert_allclose(window_deviations(values, valid, size), deviations, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("function", [window_means, window_deviations])
def test_memory_beside_the_result_does_not_grow_with_the_components(function):
    def peak(components):
        values = np.ones((64, 64, components), np.float32)
        tracemalloc.start()
        try:
            result = function(values, valid, 5)
            return tracemalloc.get_traced_memory()[1] - result.nbytes
        finally:
            tracemalloc.stop()

    valid = np.ones((64, 64), bool)
    peak(1)  # scipy is imported
    assert peak(40) < 1.2 * peak(4)


@given(images())
def test_openings_and_closings_are_extremes_of_extremes(image):
    values, valid, size = image
    found = profile(values, valid, size)
    eroded, dilated = (each_window(values, valid, size, f) for f in (lambda w: w.min(axis=0), lambda w: w.max(axis=0)))
    np.testing.assert_array_equal(found[..., 0::2], each_window(eroded, valid, size, lambda window: window.max(axis=0)))
    np.testing.assert_array_equal(
        found[..., 1::2], each_window(dilated, valid, size, lambda window: window.min(axis=0))
    )


@pytest.mark.parametrize("size", [3, 7])
def test_reconstructions_are_those_of_scikit_image(size):
    from skimage.morphology import dilation, erosion, reconstruction

    values = np.random.default_rng(0).normal(size=(30, 20, 2)).astype(np.float32)
    found = reconstruction_profile(values, np.ones((30, 20), bool), size)
    square = np.ones((size, size))
    for component in range(2):
        image = values[..., component]
        opening = reconstruction(erosion(image, square, mode="ignore"), image, "dilation")
        closing = reconstruction(dilation(image, square, mode="ignore"), image, "erosion")
        np.testing.assert_array_equal(found[..., 2 * component], opening)
        np.testing.assert_array_equal(found[..., 2 * component + 1], closing)


def test_reconstruction_does_not_pass_invalid_pixels():
    """A mask that cuts the image in two gives what each half gives on its own, whatever the invalid pixels hold."""
    values = np.random.default_rng(1).normal(size=(18, 21, 1)).astype(np.float32)
    valid = np.ones((18, 21), bool)
    valid[:, 10] = False
    values[:, 10] = 99
    found = reconstruction_profile(values, valid, 5)
    for half in (np.s_[:, :10], np.s_[:, 11:]):
        alone = reconstruction_profile(values[half], valid[half], 5)
        np.testing.assert_array_equal(found[half], alone)
    assert not found[:, 10].any()
    assert not reconstruction_profile(values, np.zeros((18, 21), bool), 5).any()
