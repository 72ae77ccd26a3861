"""Scores of small cases worked by hand."""

import numpy as np
import pytest

from classifiers.metrics import score_predictions


def test_scores_of_a_small_case():
    # Worked by hand: 3 of 5 right; recalls 1/2, 1, 0 with class 3 predicted 9, which no test pixel is.
    scores = score_predictions(np.array([1, 1, 2, 2, 3]), np.array([1, 2, 2, 2, 9]))
    assert scores.oa == 0.6
    assert scores.recall == {1: 0.5, 2: 1.0, 3: 0.0}
    assert scores.aa == 0.5
    # Chance agreement: (2 * 1 + 2 * 3) / 25 = 0.32.
    assert scores.kappa == pytest.approx((0.6 - 0.32) / (1 - 0.32))
    assert scores.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_scores_of_a_single_class():
    scores = score_predictions(np.array([4, 4]), np.array([4, 4]))
    assert (scores.oa, scores.aa, scores.kappa, scores.pixels) == (1.0, 1.0, 1.0, {4: 2})
