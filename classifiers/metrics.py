"""Scores of one classification: OA, AA, kappa, recall and F1 per class, all by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Scores over the test pixels of one split. Fractions of 1; kappa in [-1, 1].

    Attributes
    ----------
    oa : float
        Overall accuracy.
    aa : float
        Average accuracy: mean recall over `classes`, each of which has test pixels.
    kappa : float
        Cohen's kappa.
    classes : tuple of int
        The classes scored, ascending.
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


def score(truth: NDArray[np.integer], predicted: NDArray[np.integer]) -> Scores:
    """Score predictions `(n,)` against true labels `(n,)`; the classes scored are those in `truth`.

    A prediction of a class that the test pixels don't have is an error of its pixel and has no column.
    """
    from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score, recall_score

    classes, pixels = np.unique(truth, return_counts=True)
    recall = recall_score(truth, predicted, labels=classes, average=None, zero_division=0.0)
    f1 = f1_score(truth, predicted, labels=classes, average=None, zero_division=0.0)
    # One class on both sides has no chance agreement to correct for: kappa is 0/0 there, and 1 says "all agree".
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
