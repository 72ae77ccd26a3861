"""Summed-area tables against sums of slices."""

import numpy as np
import pytest

from classifiers.splits.summed_area import summed_area_table


@pytest.mark.parametrize(("shape", "dtype"), [((5, 7), np.int32), ((4, 3, 2), np.float64), ((0, 3), np.int32)])
def test_each_value_is_the_sum_of_a_rectangle(shape, dtype):
    image = np.random.default_rng(0).integers(0, 9, shape)
    table = summed_area_table(image, dtype)
    assert table.dtype == dtype
    for row, col in np.ndindex(table.shape[:2]):
        np.testing.assert_array_equal(table[row, col], image[:row, :col].sum(axis=(0, 1)))
