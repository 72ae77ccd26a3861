"""Iteration in blocks covers all pixels once and in order, with bounded blocks. Results equal those of the whole scene."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene, open_labels
from hsifeat.scenes import scene_blocks as room
from hsifeat.scenes.colours import false_colour, rgb_bands
from hsifeat.scenes.scene_blocks import VALUES_AT_A_TIME, blocks, count_values, read_bands, sample_bands


class Spy:
    """A lazy cube that records the size of the largest block that was read."""

    def __init__(self, cube):
        self.cube, self.shape, self.dtype, self.most = cube, cube.shape, cube.dtype, 0

    def __getitem__(self, key):
        block = self.cube[key]
        self.most = max(self.most, block.size)
        return block


@given(st.integers(0, 200), st.integers(0, 3000), st.sampled_from([1, 7, 500, 70_000, 3_000_000]))
def test_blocks_cover_the_scene_in_row_major_order(rows, cols, depth):
    at, total = 0, 0
    for block in blocks(rows, cols, depth):
        assert block.rows * block.cols * depth <= max(VALUES_AT_A_TIME, depth)
        assert block.row * cols + block.col == at and (block.rows == 1 or block.cols == cols)
        at += block.rows * block.cols
        total += 1
    assert at == rows * cols
    assert total <= rows * cols


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(room, "VALUES_AT_A_TIME", 200)
    monkeypatch.setattr(room, "_SAMPLE_PIXELS", 400)


def test_masks_and_digests_do_not_depend_on_blocks(scene, monkeypatch):
    cube = scene.cube.astype(np.float32)
    cube[3:9, 4:8] = np.nan
    expected = np.isfinite(cube).all(axis=2)
    oracle = hashlib.sha256(b"75,53,12,<f4;" + cube.tobytes() + np.packbits(expected).tobytes()).hexdigest()
    for bound in (1, 200, 5000, 2**21):
        monkeypatch.setattr(room, "VALUES_AT_A_TIME", bound)
        spied = Scene("spied", Spy(cube))
        assert spied.digest == oracle
        np.testing.assert_array_equal(spied.valid, expected)
        assert spied.cube.most <= max(bound, 12)


@pytest.mark.usefixtures("small_blocks")
def test_projection_fits_read_one_block_at_a_time(scene):
    whole = fit_projection("pca:3", Scene("whole", scene.cube))
    spied = Scene("spied", Spy(scene.cube))
    np.testing.assert_allclose(fit_projection("pca:3", spied).weights, whole.weights, rtol=1e-5)
    fit_projection("rgb", spied)
    false_colour(spied.cube, valid=spied.valid)
    assert spied.cube.most <= 400


@pytest.mark.usefixtures("small_blocks")
def test_a_large_scene_is_sampled_on_a_grid(scene):
    valid = np.ones((75, 53), bool)
    np.testing.assert_array_equal(sample_bands(scene.cube, [2, 0], valid), scene.cube[::4, ::4, [2, 0]].reshape(-1, 2))


@pytest.mark.usefixtures("small_blocks")
def test_valid_pixels_off_the_sampling_grid_are_sampled(scene):
    valid = np.zeros((75, 53), bool)
    valid[1::4, 1::2] = True
    seen = scene.cube[:, :, [2]][valid]
    assert len(seen) == 494
    np.testing.assert_array_equal(sample_bands(scene.cube, [2], valid), seen[::2])
    assert sample_bands(scene.cube, [2, 3], np.zeros_like(valid)).shape == (0, 2)


def test_bands_read_from_zarr_agree_with_an_array(scene):
    import zarr

    chunked = zarr.array(scene.cube, chunks=(32, 32, scene.cube.shape[2]))
    for rows, cols in ((slice(3, 40), slice(50, 53)), (slice(None, None, 4), slice(1, None, 7))):
        expected = scene.cube[rows, cols][..., [7, 1, 2]]
        np.testing.assert_array_equal(read_bands(chunked, rows, cols, (7, 1, 2)), expected)
        np.testing.assert_array_equal(read_bands(scene.cube, rows, cols, (7, 1, 2)), expected)


def test_false_colour_is_the_stretched_bands(scene):
    valid = np.ones((75, 53), bool)
    valid[5:9, 5:9] = False
    picture = false_colour(scene.cube, None, valid)
    for channel, band in enumerate((8, 5, 2)):
        low, high = np.percentile(scene.cube[:, :, band][valid], [2, 98])
        expected = np.round(np.clip((scene.cube[:, :, band] - low) / (high - low), 0, 1) * 255)
        np.testing.assert_array_equal(picture[:, :, channel], np.where(valid, expected, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_counts_agree_with_numpy(dtype, monkeypatch):
    monkeypatch.setattr(room, "VALUES_AT_A_TIME", 50)
    values = np.random.default_rng(0).integers(0, 90, (31, 17)).astype(dtype)
    assert count_values(values) == dict(zip(*(a.tolist() for a in np.unique(values, return_counts=True)), strict=True))


@pytest.mark.parametrize(("most", "dtype"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_labels_in_floats_become_the_smallest_integers(tmp_path, most, dtype):
    np.save(tmp_path / "gt.npy", np.array([[0.0, 1.0], [2.0, most]]))
    labels = open_labels(tmp_path / "gt.npy")
    assert labels.classes.dtype == dtype and labels.counts == {1: 1, 2: 1, most: 1}


def test_three_bands_are_red_green_and_blue():
    assert rgb_bands(3, None) == (0, 1, 2)
    assert rgb_bands(3, np.array([460.0, 550.0, 640.0])) == (2, 1, 0)
