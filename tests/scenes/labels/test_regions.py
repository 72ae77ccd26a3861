"""Connected regions of label maps, against a flood fill written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from hsifeat.scenes.labels.regions import label_regions


def flood_fill(classes: NDArray[np.integer]) -> NDArray[np.int32]:
    """Number regions class by class, each by visiting all neighbours of its first pixel."""
    regions = np.zeros(classes.shape, np.int32)
    count = 0
    for number in sorted(set(classes.ravel().tolist()) - {0}):
        for start in zip(*np.nonzero(classes == number), strict=True):
            if regions[start]:
                continue
            count += 1
            pending = [start]
            while pending:
                row, col = pending.pop()
                inside = 0 <= row < classes.shape[0] and 0 <= col < classes.shape[1]
                if inside and classes[row, col] == number and not regions[row, col]:
                    regions[row, col] = count
                    pending += [(row + i, col + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return regions


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3)))
def test_regions_are_those_of_a_flood_fill_in_the_same_order(classes: NDArray[np.uint8]) -> None:
    regions = label_regions(classes)
    assert regions.dtype == np.int32
    np.testing.assert_array_equal(regions, flood_fill(classes))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_a_high_class_number_takes_no_more_memory_than_a_low_one(dtype: type[np.integer]) -> None:
    classes = np.zeros((3, 4), dtype)
    classes[0, :2], classes[2, 3] = np.iinfo(np.dtype(dtype)).max, 1
    np.testing.assert_array_equal(label_regions(classes), [[2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])


def test_a_map_without_labels_has_no_region() -> None:
    assert not label_regions(np.zeros((2, 3), np.uint8)).any()
