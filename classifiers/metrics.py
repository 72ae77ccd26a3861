"""Accuracy measures of a classification: OA, AA, kappa, recall, F1 and the confusion matrix, all by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Accuracy measures on the test pixels of one draw of a split.

    Attributes
    ----------
    oa : float
        Overall accuracy, 0 to 1.
    aa : float
        Average accuracy, 0 to 1: the mean recall of `classes`.
    kappa : float
        Cohen's kappa (Cohen, Educ. Psychol. Meas. 1960, eq. 1), -1 to 1.
    classes : tuple of int
        Classes that have test pixels, ascending.
    recall : tuple of float
        Recall of each of `classes`.
    confusion : (C, C) int64 array
        Test pixels by true class (rows) and predicted class (columns), in the order of `classes`.
    f1 : tuple of float
        F1 of each of `classes`.
    pixels : tuple of int
        Number of test pixels of each of `classes`.
    """

    oa: float
    aa: float
    kappa: float
    classes: tuple[int, ...]
    recall: tuple[float, ...]
    confusion: NDArray[np.int64]
    f1: tuple[float, ...] = ()
    pixels: tuple[int, ...] = ()


def score_predictions(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> Scores:
    """Score predicted classes (n,) against true classes (n,).

    Only classes that occur in `truth` are scored. Predicting any other class is an error of that pixel, but adds no column
    to the confusion matrix.

    Examples
    --------
    >>> scores = score_predictions(np.array([1, 1, 2, 2]), np.array([1, 2, 2, 2]))
    >>> scores.oa, scores.recall
    (0.75, (0.5, 1.0))
    """
    from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, recall_score

    classes, pixels = np.unique(truth, return_counts=True)
    recall = recall_score(truth, predicted, labels=classes, average=None, zero_division=0.0)
    f1 = f1_score(truth, predicted, labels=classes, average=None, zero_division=0.0)
    # With a single class on both sides kappa is 0/0, as there is no chance agreement to correct for; 1 says "all agree".
    single = len(np.union1d(truth, predicted)) == 1
    return Scores(
        oa=float(accuracy_score(truth, predicted)),
        aa=float(np.mean(recall)),
        kappa=1.0 if single else float(cohen_kappa_score(truth, predicted)),
        classes=tuple(int(c) for c in classes),
        recall=tuple(float(r) for r in recall),
        confusion=np.array([[len(truth)]]) if single else confusion_matrix(truth, predicted, labels=classes),
        f1=tuple(float(f) for f in f1),
        pixels=tuple(int(n) for n in pixels),
    )


def mean_and_sd(values: Sequence[float] | NDArray[np.floating]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation (divisor n - 1) of a series; the latter is 0 for one value.

    >>> mean_and_sd([1.0, 2.0, 3.0])
    (2.0, 1.0)
    """
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
