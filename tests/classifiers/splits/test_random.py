"""Random splits: the right number of pixels of each class."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.splits import (
    PerClassSplit,
    RandomSplit,
)
from tests.helpers.splits import check_sides


@given(st.integers(0, 10**6), st.floats(0.02, 0.9))
@settings(max_examples=20)
def test_random_trains_on_the_fraction_of_each_class(pines, seed, fraction):
    draw = RandomSplit(fraction).draw(pines, seed)
    check_sides(pines, draw)
    for number, count in pines.counts.items():
        if number not in draw.left_out:
            taken = (pines.classes[draw.train] == number).sum()
            assert taken == max(3, round(fraction * count))


def test_per_class_trains_on_the_same_number_of_each_class(pines):
    draw = PerClassSplit(20).draw(pines, 0)
    assert draw.left_out == (9,), "Oats has 20 pixels: none would be left to test"
    _, counts = np.unique(pines.classes[draw.train], return_counts=True)
    assert (counts == 20).all() and len(counts) == 15
