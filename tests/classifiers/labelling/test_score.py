"""Scores of labels, against a loop with scikit-learn and intervals of SciPy. Too few labels give no score."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from classifiers.labelling.label_folds import parse_folds
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.score import score_labels, wilson_interval

NAMES = {1: "corn", 2: "wheat", 3: "woods", 4: "grass"}


@pytest.mark.parametrize("folds", ["regions", "blocks:9+2:4fold"])
def test_scores_equal_a_loop_over_folds(columns, clicks, folds):
    mapper = QuickMapper(columns)
    score = score_labels(mapper, clicks, folds, seed=1)
    rows, cols = np.nonzero(clicks)
    y = clicks[rows, cols]
    truth, predicted = [], []
    for train, test in parse_folds(folds).draw(y, rows, cols, 1):
        others = np.zeros_like(clicks)
        others[rows[train], cols[train]] = y[train]
        found = mapper.predict(mapper.fit(others)).classes
        truth += y[test].tolist()
        predicted += found[rows[test], cols[test]].tolist()
    assert score.pixels == len(truth)
    assert score.scores.oa == pytest.approx(accuracy_score(truth, predicted))
    assert score.scores.pixels == {c: truth.count(c) for c in sorted(set(truth))}
    assert score.interval[0] < score.scores.oa < score.interval[1]


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (7, 12), (30, 30)])
def test_the_interval_is_that_of_wilson(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits / trials, trials) == pytest.approx((expected.low, expected.high))


def test_pixels_of_a_field_count_as_one_trial(columns, clicks):
    fields = np.zeros_like(clicks)
    for at, (row, col) in enumerate(
        [(0, 0), (0, 9), (9, 0), (9, 18), (18, 9), (27, 0), (27, 27), (36, 9), (45, 0), (45, 36), (54, 18)]
    ):
        fields[row : row + 5, col : col + 5] = at % 2 + 1
    mapper = QuickMapper(columns)
    score = score_labels(mapper, fields)
    assert (score.pixels, score.regions) == (11 * 25, 11)
    assert score.interval == pytest.approx(wilson_interval(score.scores.oa, 11))


def test_sentences_say_which_question_is_answered(columns, clicks):
    mapper = QuickMapper(columns)
    once = np.where(clicks == 4, 0, clicks)
    once[70, 50] = 4
    text = score_labels(mapper, once).describe(NAMES)
    assert "held-out pixels" in text
    assert "fills in the ground between labels" in text
    assert text.endswith("Not scored, because all their labels are in one place: grass.")
    carried = score_labels(mapper, clicks, "blocks:9+2:4fold").describe(NAMES)
    assert "carries over to ground at least 2 pixels away from all labels" in carried


def test_too_few_labels_give_no_score(columns, clicks):
    mapper = QuickMapper(columns)
    few = np.zeros_like(clicks)
    for classes, places in ((few, 0), (np.where(np.arange(clicks.size).reshape(clicks.shape) < 500, clicks, 0), 8)):
        score = score_labels(mapper, classes)
        assert (score.scores, score.interval) == (None, None)
        assert score.regions <= places
        assert "Too few labels for a score" in score.describe(NAMES)
    score = score_labels(mapper, np.where(clicks == 2, 2, 0))
    assert score.scores is None


def test_scoring_stops_when_it_is_outdated(columns, clicks):
    def check():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        score_labels(QuickMapper(columns), clicks, check=check)
