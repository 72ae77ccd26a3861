"""Splits that test far from the labels, against brute-force distances, on random label maps and on Indian Pines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import cdist

from classifiers.splits import BlocksSplit, FarSplit, SplitDraw, training_distances
from classifiers.splits import distances as distances_module
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
from hsifeat.types import Window


def block_numbers(shape, side):
    """Return the number of the block of each pixel: (rows, cols) int."""
    rows, cols = (np.arange(length) // side for length in shape)
    return rows[:, None] * (cols[-1] + 1) + cols


@pytest.mark.parametrize("seed", range(4))
def test_far_on_indian_pines(pines, seed):
    draw = FarSplit(12, 16, 0.1).draw(pines, seed)
    blocks = block_numbers(draw.shape, 12)
    labelled = pines.classes != 0
    np.testing.assert_array_equal(draw.train, labelled & np.isin(blocks, blocks[draw.train]))
    whole = BlocksSplit(12, 0, 0.1).draw(pines, seed)
    assert set(blocks[draw.train]) >= set(blocks[whole.train]), "the blocks of the split by blocks"
    distance = distance_transform_edt(~draw.train)
    trained = np.unique(pines.classes[draw.train])
    np.testing.assert_array_equal(draw.test, labelled & (distance > 16) & np.isin(pines.classes, trained))
    tested = np.unique(pines.classes[draw.test]).tolist()
    assert draw.left_out == tuple(sorted(set(pines.counts) - set(tested)))
    untested = [pines.class_names[number] for number in trained if number not in tested]
    counts = draw.train.sum(), draw.test.sum(), (labelled & np.isin(pines.classes, trained)).sum()
    assert draw.notes[0] == (
        f"{counts[0]} training pixels; {counts[1]} test pixels lie more than 16 px away from every training pixel, and "
        f"{counts[2] - counts[0] - counts[1]} nearer pixels are left out of the score"
    )
    named = f"classes that are trained but have no test pixels that far away: {', '.join(untested)}"
    assert draw.notes[1:] == ((named,) if untested else ())


maps = st.builds(
    lambda seed, rows, cols: Labels("x", np.random.default_rng(seed).integers(0, 4, (rows, cols)).astype(np.uint8)),
    st.integers(0, 999),
    st.integers(6, 30),
    st.integers(6, 30),
)


@settings(max_examples=40)
@given(maps, st.integers(1, 9), st.integers(0, 8), st.floats(0.05, 0.6), st.integers(0, 99))
def test_every_test_pixel_is_far_and_every_far_pixel_of_a_trained_class_is_tested(labels, block, distance, part, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances_module, "_STRIP_PIXELS", 3 * labels.classes.shape[1])
        try:
            draw = FarSplit(block, distance, part).draw(labels, seed)
        except SplitError as error:
            assert "at least two are needed" in str(error)
            return
    blocks, labelled = block_numbers(draw.shape, block), labels.classes != 0
    np.testing.assert_array_equal(draw.train, labelled & np.isin(blocks, blocks[draw.train]))
    at = np.indices(draw.shape).reshape(2, -1).T
    nearest = cdist(at, np.argwhere(draw.train)).min(axis=1).reshape(draw.shape)
    known = np.isin(labels.classes, labels.classes[draw.train])
    np.testing.assert_array_equal(draw.test, labelled & known & (nearest > distance))
    np.testing.assert_array_equal(training_distances(draw), nearest[draw.test])


@settings(max_examples=30)
@given(st.integers(0, 999), st.lists(st.integers(2, 9), min_size=1, max_size=3), st.integers(2, 12), st.integers(1, 6))
def test_pixels_of_different_scenes_have_no_distance(seed, heights, cols, gap):
    random = np.random.default_rng(seed)
    masks = [random.random((2, height, cols)) < (0.2, 0.5)[seed % 2] for height in heights]
    starts = [sum(heights[:index]) + gap * index for index in range(len(heights))]
    train, test = np.zeros((2, starts[-1] + heights[-1], cols), bool)
    nearest = []
    for start, (first, second) in zip(starts, masks, strict=True):
        train[start : start + len(first)] = first
        test[start : start + len(first)] = second & ~first
        at = [np.argwhere(mask) for mask in (second & ~first, first)]
        nearest.append(cdist(*at).min(axis=1) if len(at[1]) else np.full(len(at[0]), np.inf))
    scenes = [Window(start, 0, height, cols) for start, height in zip(starts, heights, strict=True)]
    found = training_distances(SplitDraw.from_masks(train, test), scenes)
    np.testing.assert_array_equal(found, np.concatenate(nearest))
    kept = distances_module.drop_near(test, train, 3, scenes)
    np.testing.assert_array_equal(kept[test], np.concatenate(nearest) > 3)


def test_a_distance_that_leaves_one_class_is_refused(pines):
    with pytest.raises(
        SplitError, match=r"only 0 of 16 classes have .* more than 200 px away .*: use a smaller distance"
    ):
        FarSplit(12, 200, 0.1).draw(pines, 0)
