"""Checks of the training and test pixels that a split draws."""

from __future__ import annotations

import numpy as np

from classifiers.splits import SplitDraw
from hsifeat.scenes import Labels


def check_sides(labels: Labels, draw: SplitDraw) -> None:
    """Check that training and test pixels are disjoint, labelled, and have the same classes."""
    assert not (draw.train & draw.test).any()
    assert (labels.classes[draw.train | draw.test] != 0).all()
    trained, tested = (set(np.unique(labels.classes[side]).tolist()) for side in (draw.train, draw.test))
    assert trained == tested
    assert set(draw.left_out) == set(labels.counts) - trained
