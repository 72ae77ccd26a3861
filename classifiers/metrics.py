"""Accuracy metrics of all test pixels and of each class.

To add a metric, append it to `METRICS` or `CLASS_METRICS`. Runs, summaries, ``results.csv``, ``results.json``, tables
and the report page read their columns from these tuples. After a metric is added, finished runs of a report are scored
again. To give the metric a bootstrap interval, also add a formula on pixel counts to ``FORMULAS`` of
`classifiers.comparison.stats.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HeadError
from hsifeat.formatting import format_count
from hsifeat.objects_with_arrays import EqualByValue

# (K, K) integer array: number of pixels by true class (rows) and predicted class (columns). The K classes are all classes
# that occur as true or predicted class.
Confusion = NDArray[np.integer]


@dataclass(frozen=True)
class Metric:
    """A measure of how well predicted classes agree with true classes.

    Attributes
    ----------
    key : str
        Name in files and in Python.
    label : str
        Name in tables.
    description : str
        Explanation for the report.
    compute : callable
        Function of one argument, the confusion matrix. The matrix is a (K, K) integer array of numbers of pixels: a row
        for each true class, and a column for each predicted class. For a metric of `METRICS` the function returns a
        float. For a metric of `CLASS_METRICS` it returns a (K,) float64 array.
    percent : bool
        Whether tables show the metric in percent. Otherwise they show a fraction with three decimals.
    """

    key: str
    label: str
    description: str
    compute: Callable[..., Any]
    percent: bool = True

    @property
    def title(self) -> str:
        """Label with unit, e.g. ``OA, %``."""
        return f"{self.label}, %" if self.percent else self.label

    @property
    def scale(self) -> int:
        """Factor by which tables multiply the score: 100 for a score in percent, otherwise 1."""
        return 100 if self.percent else 1


def _overall_accuracy(confusion: Confusion) -> float:
    return float(confusion.trace() / confusion.sum())


def _average_accuracy(confusion: Confusion) -> float:
    return float(np.mean(_recall(confusion)[confusion.any(axis=1)]))


def _kappa(confusion: Confusion) -> float:
    # Kappa is 0/0 if truth and prediction hold the same single class; it counts as 1, since every pixel agrees.
    if len(confusion) == 1:
        return 1.0
    expected = np.outer(confusion.sum(axis=0), confusion.sum(axis=1)) / confusion.sum()
    wrong = 1 - np.eye(len(confusion))
    return float(1 - (wrong * confusion).sum() / (wrong * expected).sum())


def _recall(confusion: Confusion) -> NDArray[np.float64]:
    return _ratio(confusion.diagonal(), confusion.sum(axis=1))


def _f1(confusion: Confusion) -> NDArray[np.float64]:
    return _ratio(2 * confusion.diagonal(), confusion.sum(axis=1) + confusion.sum(axis=0))


def _ratio(part: NDArray[np.integer], total: NDArray[np.integer]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, total, out=np.zeros(len(part)), where=total > 0)
    return ratio


METRICS = (
    Metric(
        "oa",
        "OA",
        "overall accuracy, the share of test pixels that are classified correctly",
        _overall_accuracy,
    ),
    Metric(
        "aa",
        "AA",
        "average accuracy, the mean recall over the classes that have test pixels",
        _average_accuracy,
    ),
    Metric("kappa", "kappa", "Cohen's kappa, the agreement beyond chance (Cohen 1960, eq. 1)", _kappa, percent=False),
)
CLASS_METRICS = (
    Metric("recall", "Recall", "share of the pixels of a class that are assigned to it", _recall),
    Metric("f1", "F1", "harmonic mean of precision and recall of a class", _f1),
)


@dataclass(frozen=True, eq=False)
class Scores(EqualByValue):
    """Accuracy of predictions on the test pixels of one split.

    Kappa lies between -1 and 1. All other metrics are fractions from 0 to 1.

    Attributes
    ----------
    overall : dict of str to float
        Maps the key of each metric in `METRICS` to its value.
    by_class : dict of str to dict of int to float
        Maps the key of each metric in `CLASS_METRICS` to a dict from class number to the value for this class.
    pixels : dict of int to int
        Number of test pixels of each class that has test pixels, in ascending order of classes.
    confusion : (K, K) int64 array
        Number of test pixels by true class (rows) and predicted class (columns).
    confusion_classes : tuple of int
        The K classes of the rows and columns: all classes that occur as true or predicted class, in ascending order.

    References
    ----------
    - Overall accuracy and recall (producer's accuracy): Congalton, "A review of assessing the accuracy of classifications of
      remotely sensed data", Remote Sens. Environ. 37, 1991.
    - Kappa: Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20, 1960, eq. 1.

    Examples
    --------
    >>> scores = score_predictions(np.array([1, 1, 2, 2]), np.array([1, 1, 2, 1]))
    >>> scores.oa, scores.aa, scores.kappa
    (0.75, 0.75, 0.5)
    """

    overall: dict[str, float]
    by_class: dict[str, dict[int, float]]
    pixels: dict[int, int]
    confusion: NDArray[np.int64]
    confusion_classes: tuple[int, ...]

    @property
    def oa(self) -> float:
        """Overall accuracy."""
        return self.overall["oa"]

    @property
    def aa(self) -> float:
        """Average accuracy: mean recall over the classes that have test pixels."""
        return self.overall["aa"]

    @property
    def kappa(self) -> float:
        """Cohen's kappa."""
        return self.overall["kappa"]

    @property
    def recall(self) -> dict[int, float]:
        """Maps each class number to the recall of the class."""
        return self.by_class["recall"]


def score_predictions(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> Scores:
    """Score predicted classes against true classes.

    Only classes that occur in `truth` are scored. If the predicted class of a pixel does not occur in `truth`, the
    pixel counts as an error. The confusion matrix has an empty row for this class.

    Parameters
    ----------
    truth, predicted : (n,) integer arrays
        True and predicted class of each pixel. A true class must not be 0, which stands for unlabelled.

    Returns
    -------
    Scores
        Overall scores, scores of each class, and the confusion matrix.

    Raises
    ------
    HeadError
        If the arrays are empty, or differ in length. If a value is masked or NaN. If a true class is 0.

    Examples
    --------
    >>> scores = score_predictions(np.array([1, 1, 2, 2]), np.array([1, 1, 2, 1]))
    >>> scores.oa, scores.recall, scores.confusion.tolist()
    (0.75, {1: 1.0, 2: 0.5}, [[2, 0], [1, 1]])
    """
    if np.shape(truth) != np.shape(predicted) or np.ndim(truth) != 1 or not len(truth):
        raise HeadError(
            f"true and predicted classes are two 1D arrays of equal length; found the shapes {np.shape(truth)} and {np.shape(predicted)}"
        )
    if np.ma.is_masked(truth) or np.ma.is_masked(predicted):
        raise HeadError(
            "true and predicted classes have masked values, which would be scored like all others: leave out these pixels in both arrays"
        )
    arrays = [np.asarray(one) for one in (truth, predicted)]
    if any(one.dtype.kind in "fO" and np.any(one != one) for one in arrays):  # noqa: PLR0124  # NaN differs from itself
        raise HeadError("the true or the predicted classes contain NaN: leave these pixels out of both arrays")
    # Texts can't be compared with 0. An array of objects may have numbers.
    has_numbers = np.asarray(truth).dtype.kind in "iufO"
    if has_numbers and (unlabelled := np.count_nonzero(np.equal(truth, 0))):
        raise HeadError(
            f"{unlabelled} of {format_count(len(truth), 'pixel')} have the true class 0, which stands for unlabelled: leave out these pixels in "
            "both arrays, as in score_predictions(truth[truth > 0], predicted[truth > 0]), or number the classes from 1"
        )
    classes, codes = np.unique(np.concatenate([truth, predicted]), return_inverse=True)
    true, assigned = np.split(codes, 2)
    confusion = np.bincount(true * len(classes) + assigned, minlength=len(classes) ** 2).reshape(len(classes), -1)
    scored = np.flatnonzero(confusion.any(axis=1))
    numbers = classes[scored].tolist()
    return Scores(
        overall={metric.key: metric.compute(confusion) for metric in METRICS},
        by_class={
            metric.key: dict(zip(numbers, metric.compute(confusion)[scored].tolist(), strict=True))
            for metric in CLASS_METRICS
        },
        pixels=dict(zip(numbers, confusion.sum(axis=1)[scored].tolist(), strict=True)),
        confusion=confusion,
        confusion_classes=tuple(classes.tolist()),
    )


def mean_and_sd(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1) of n values, as float64.

    The standard deviation of a single value is 0.

    >>> mean_and_sd([1.0, 2.0, 3.0])
    (2.0, 1.0)
    """
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
