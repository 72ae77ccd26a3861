"""Random splits have the right number of pixels of each class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.splits import PerClassSplit, RandomSplit
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
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


def test_per_class_trains_on_the_same_number_of_each_class_and_at_most_on_half_of_it(pines):
    draw = PerClassSplit(20).draw(pines, 0)
    check_sides(pines, draw)
    numbers, counts = np.unique(pines.classes[draw.train], return_counts=True)
    assert dict(zip(numbers, counts, strict=True)) == {n: min(20, c // 2) for n, c in pines.counts.items()}
    assert draw.left_out == () and pines.counts[9] == 20, "Oats trains on 10 of its 20 pixels"
    assert draw.notes == (
        f"at most half of a class trains: {pines.class_names[7]} on 14, {pines.class_names[9]} on 10 instead of 20 pixels",
    )
    assert PerClassSplit(5).draw(pines, 0).notes == ()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), st.integers(1, 12), st.integers(0, 99))
def test_classes_of_any_size_are_halved_left_out_or_refused_with_a_message(sizes, pixels, seed):
    labels = Labels(
        "few", np.repeat(np.arange(1, len(sizes) + 1), sizes)[None] if sum(sizes) else np.zeros((1, 3), int)
    )
    usable = {number: size for number, size in enumerate(sizes, 1) if size >= 2}
    if len(usable) < 2:
        with pytest.raises(SplitError, match=f"only {len(usable)} of .* classes have pixels on both sides"):
            PerClassSplit(pixels).draw(labels, seed)
        return
    draw = PerClassSplit(pixels).draw(labels, seed)
    trained = {number: int((labels.classes[draw.train] == number).sum()) for number in usable}
    assert trained == {number: min(pixels, size // 2) for number, size in usable.items()}
    assert draw.left_out == tuple(sorted(set(labels.counts) - set(usable)))
    assert not (draw.train & draw.test).any() and (draw.train | draw.test).sum() == sum(usable.values())
    named = [f"class {number} on {size // 2}" for number, size in usable.items() if size < 2 * pixels]
    assert all(text in draw.notes[0] for text in named) if named else not draw.notes


def test_more_pixels_per_class_contain_the_fewer(pines):
    five, twenty = (PerClassSplit(pixels).draw(pines, 3) for pixels in (5, 20))
    assert not (five.train & ~twenty.train).any()
