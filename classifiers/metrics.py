"""Accuracy metrics of all test pixels and of each class.

To add a metric, append it to `METRICS` or `CLASS_METRICS`. Runs, summaries, ``results.csv``, ``results.json``, tables and
the report page read their columns from these tuples. After a metric is added, finished runs of a report are scored again. A
bootstrap interval also needs a formula on pixel counts, in ``FORMULAS`` of `classifiers.comparison.stats.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ClassNumbers = NDArray[np.integer]


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
        Function of true and predicted classes, both (n,) integer arrays. For a metric of `METRICS` the function returns a
        float. For a metric of `CLASS_METRICS` it also takes the (C,) classes to score, and returns a (C,) float64 array.
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


def _overall_accuracy(truth: ClassNumbers, predicted: ClassNumbers) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, predicted))


def _average_accuracy(truth: ClassNumbers, predicted: ClassNumbers) -> float:
    return float(np.mean(_recall(truth, predicted, np.unique(truth))))


def _kappa(truth: ClassNumbers, predicted: ClassNumbers) -> float:
    from sklearn.metrics import cohen_kappa_score

    # Kappa is 0/0 if truth and prediction hold the same single class; it counts as 1, since every pixel agrees.
    return 1.0 if len(np.union1d(truth, predicted)) == 1 else float(cohen_kappa_score(truth, predicted))


def _recall(truth: ClassNumbers, predicted: ClassNumbers, classes: ClassNumbers) -> NDArray[np.float64]:
    from sklearn.metrics import recall_score

    recall: NDArray[np.float64] = recall_score(truth, predicted, labels=classes, average=None, zero_division=0.0)
    return recall


def _f1(truth: ClassNumbers, predicted: ClassNumbers, classes: ClassNumbers) -> NDArray[np.float64]:
    from sklearn.metrics import f1_score

    f1: NDArray[np.float64] = f1_score(truth, predicted, labels=classes, average=None, zero_division=0.0)
    return f1


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


@dataclass(frozen=True)
class Scores:
    """Accuracy of predictions on the test pixels of one split.

    Kappa lies between -1 and 1. All other metrics are fractions from 0 to 1.

    Attributes
    ----------
    overall : dict of str to float
        Value of each metric in `METRICS`, by key.
    by_class : dict of str to dict of int to float
        Values of each metric in `CLASS_METRICS`, by key and by class.
    pixels : dict of int to int
        Number of test pixels of each scored class, in ascending order of classes.
    confusion : (C, C) int64 array
        Number of test pixels by true class (rows) and predicted class (columns), in the order of `pixels`.

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
        """Recall of each class, by class number."""
        return self.by_class["recall"]


def score_predictions(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> Scores:
    """Score predicted classes against true classes.

    The classes that occur in `truth` are scored. A pixel that is assigned to any other class counts as an error. The
    confusion matrix has no column for such a class.

    Parameters
    ----------
    truth, predicted : (n,) integer arrays
        True and predicted class of each pixel.

    Returns
    -------
    Scores

    Examples
    --------
    >>> scores = score_predictions(np.array([1, 1, 2, 2]), np.array([1, 1, 2, 1]))
    >>> scores.oa, scores.recall, scores.confusion.tolist()
    (0.75, {1: 1.0, 2: 0.5}, [[2, 0], [1, 1]])
    """
    from sklearn.metrics import confusion_matrix

    classes, pixels = np.unique(truth, return_counts=True)
    numbers = [int(c) for c in classes]
    single = len(np.union1d(truth, predicted)) == 1
    return Scores(
        overall={metric.key: metric.compute(truth, predicted) for metric in METRICS},
        by_class={
            metric.key: dict(zip(numbers, map(float, metric.compute(truth, predicted, classes)), strict=True))
            for metric in CLASS_METRICS
        },
        pixels=dict(zip(numbers, map(int, pixels), strict=True)),
        confusion=np.array([[len(truth)]]) if single else confusion_matrix(truth, predicted, labels=classes),
    )


def mean_and_sd(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1) of n values, as float64.

    The standard deviation of a single value is 0.

    >>> mean_and_sd([1.0, 2.0, 3.0])
    (2.0, 1.0)
    """
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
