"""Draws: fewer training pixels keep the classes, and a single class is refused."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from classifiers.splits import (
    BlocksSplit,
    RandomSplit,
    limit_training_pixels,
)
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels


@given(st.integers(1, 400), st.integers(0, 99))
@settings(max_examples=25)
def test_limiting_training_pixels_keeps_the_classes_and_the_test_pixels(pines, count, seed):
    draw = RandomSplit(0.1).draw(pines, 0)
    thinned = limit_training_pixels(draw, pines, count, seed)
    assert not (thinned.train & ~draw.train).any()
    assert np.array_equal(thinned.test, draw.test)
    numbers, kept = np.unique(pines.classes[thinned.train], return_counts=True)
    assert len(numbers) == 16
    assert kept.sum() == max(count, 16)
    assume(count >= 200)
    whole = np.array([(pines.classes[draw.train] == n).sum() for n in numbers])
    np.testing.assert_allclose(kept / kept.sum(), whole / whole.sum(), atol=0.02)


def test_a_draw_with_one_class_is_refused():
    labels = Labels("x", np.repeat([[1, 2]], 9, axis=0).repeat(5, axis=1))
    with pytest.raises(SplitError, match="only 0 of 2 classes"):
        BlocksSplit(5, 9, 0.5).draw(labels, 0)
