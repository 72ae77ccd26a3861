"""Neighbourhoods of pixels are slices of the padded planes and scene; where data are missing, the pixel stands in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsifeat.errors import StoreError
from hsifeat.features.neighbourhoods import PixelCoordinates, read_neighbourhoods
from hsifeat.features.open_features import open_features
from hsifeat.types import Window

PLANES = ["t0/mid_block", "t300/up_blocks.2"]


def slow(whole, rows, cols, side):
    """Cut the neighbourhood of each pixel out of the padded whole."""
    half = side // 2
    padded = np.pad(whole, [(half, half), (half, half), (0, 0)], mode="reflect")
    return np.stack([padded[r : r + side, c : c + side] for r, c in zip(rows, cols, strict=True)])


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 74), st.integers(0, 52)), min_size=1, max_size=20), st.sampled_from([1, 3, 9, 61])
)
def test_patches_are_slices_of_the_padded_whole(store_path, pixels, side):
    features = open_features(store_path)
    rows, cols = np.array(pixels).T
    everything = Window(0, 0, 75, 53)
    found = features.patches(rows, cols, side, PLANES)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, slow(features.read(everything, PLANES), rows, cols, side))
    scene = features.store.read_scene(everything)
    np.testing.assert_array_equal(features.spectral_patches(rows, cols, side), slow(scene, rows, cols, side))


@given(
    st.integers(1, 9),
    st.integers(1, 300),
    st.sampled_from([1, 3, 5]),
    st.integers(0, 2**16),
    st.sampled_from([1, 5, 128]),
)
def test_neighbours_that_hold_nothing_are_the_pixel_itself(height, width, side, seed, block):
    random = np.random.default_rng(seed)
    image = random.normal(size=(height, width, 2)).astype(np.float32)
    valid = random.random((height, width)) < 0.7
    image[~valid] = np.nan
    rows, cols = np.nonzero(valid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsifeat.features.neighbourhoods.BLOCK_PX", block)
        found = read_neighbourhoods(PixelCoordinates(rows, cols), side, lambda w: image[w.slices], 2, valid)
    if len(rows):
        wanted = slow(image, rows, cols, side)
        own = np.broadcast_to(image[rows, cols][:, None, None], wanted.shape)
        np.testing.assert_array_equal(found, np.where(np.isnan(wanted), own, wanted))


def test_wrong_requests(store_path):
    features = open_features(store_path)
    for size in (0, 4, -3):
        with pytest.raises(StoreError, match=f"must be odd, so that its pixel is in the middle; found {size}"):
            features.patches([0], [0], size, PLANES)
    with pytest.raises(StoreError, match=r"pixel \(75, 0\) lies outside"):
        features.spectral_patches([75], [0], 3)
    assert features.patches([], [], 3, PLANES).shape == (0, 3, 3, 24)
    assert features.patches([0], [0], 3, []).shape == (1, 3, 3, 0)
