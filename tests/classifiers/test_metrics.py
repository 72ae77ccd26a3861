"""Scores of small cases worked by hand, and of random cases by scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, recall_score

from classifiers.metrics import score_predictions
from hsifeat.errors import HeadError


def test_scores_of_a_small_case():
    # Worked by hand: 3 of 5 right; recalls 1/2, 1, 0 with class 3 predicted 9, which no test pixel is.
    scores = score_predictions(np.array([1, 1, 2, 2, 3]), np.array([1, 2, 2, 2, 9]))
    assert scores.oa == 0.6
    assert scores.recall == {1: 0.5, 2: 1.0, 3: 0.0}
    assert scores.aa == 0.5
    # Chance agreement: (2 * 1 + 2 * 3) / 25 = 0.32.
    assert scores.kappa == pytest.approx((0.6 - 0.32) / (1 - 0.32))
    assert scores.confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert scores.confusion_classes == (1, 2, 3, 9)


def test_scores_of_a_single_class():
    scores = score_predictions(np.array([4, 4]), np.array([4, 4]))
    assert (scores.oa, scores.aa, scores.kappa, scores.pixels) == (1.0, 1.0, 1.0, {4: 2})


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_scikit_learn_to_the_last_bit(seed):
    """Even seeds also predict classes that no test pixel has."""
    random = np.random.default_rng(seed)
    truth = random.integers(1, 17, 2000)
    predicted = np.where(random.random(2000) < 0.7, truth, random.integers(1, 17 + 3 * (seed % 2 == 0), 2000))
    scores, classes = score_predictions(truth, predicted), np.unique(truth)
    by_class = {"labels": classes, "average": None, "zero_division": 0.0}
    recall = recall_score(truth, predicted, **by_class)
    assert scores.overall == {
        "oa": accuracy_score(truth, predicted),
        "aa": np.mean(recall),
        "kappa": cohen_kappa_score(truth, predicted),
    }
    assert [*scores.recall.values()] == recall.tolist()
    assert [*scores.by_class["f1"].values()] == f1_score(truth, predicted, **by_class).tolist()
    np.testing.assert_array_equal(scores.confusion, confusion_matrix(truth, predicted))


@pytest.mark.parametrize(("truth", "predicted"), [([1, 2], [1]), ([], []), ([[1]], [[1]])], ids=str)
def test_classes_of_unequal_numbers_or_none_are_refused(truth, predicted):
    with pytest.raises(HeadError, match="two 1D arrays of equal length; found the shapes"):
        score_predictions(np.array(truth, int), np.array(predicted, int))


@pytest.mark.parametrize("masked", [0, 1])
def test_masked_classes_are_refused(masked):
    """Masked pixels were scored like all others."""
    pair = [np.array([1, 1, 2, 2]), np.array([1, 2, 2, 2])]
    pair[masked] = np.ma.masked_equal(pair[masked], 1)
    with pytest.raises(HeadError, match="leave out these pixels in both arrays"):
        score_predictions(*pair)


@pytest.mark.parametrize("dtype", [float, object])
@pytest.mark.parametrize("missing", [0, 1])
def test_nan_is_no_class(missing, dtype):
    """NaN was scored as a class."""
    pair = [np.array([1, 1, 2.0], dtype), np.array([1, 2, 2.0], dtype)]
    pair[missing][1] = np.nan
    with pytest.raises(HeadError, match="contain NaN: leave these pixels out of both arrays"):
        score_predictions(*pair)


@pytest.mark.parametrize("dtype", [int, float, object])
def test_unlabelled_pixels_are_refused_as_true_classes(dtype):
    """The 0 of a whole label map was scored as a class."""
    truth, predicted = np.array([0, 1, 0, 2], dtype), np.array([1, 1, 2, 1])
    with pytest.raises(HeadError, match=r"^2 of 4 pixels have the true class 0, which stands for unlabelled"):
        score_predictions(truth, predicted)
    assert score_predictions(truth[truth > 0], predicted[truth > 0]).oa == 0.5
    assert score_predictions(truth[truth > 0], np.array([1, 0])).oa == 0.5, (
        "a pixel without a predicted class is an error"
    )


def test_equal_scores_are_equal():
    """A check that a fit can be repeated raised NumPy's ValueError."""
    one, again, other = (score_predictions(np.array([1, 2, 2]), np.array([1, 2, last])) for last in (1, 1, 2))
    assert one == again
    assert one != other
    assert one != "a text"
    assert replace(one, overall={"oa": float("nan")}) == replace(again, overall={"oa": float("nan")})
    assert replace(one, confusion=one.confusion[:1]) != one
