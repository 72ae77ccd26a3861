"""Learning curve of a label set: the cross-validated accuracy of the map after different numbers of edits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from classifiers.defaults import DEFAULT_FOLDS
from classifiers.labelling.labels_db import LabelDatabase
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.score import LabelScore, score_labels

_POINTS = 6


def learning_curve(
    mapper: QuickMapper,
    database: LabelDatabase,
    set_id: int,
    folds: str = DEFAULT_FOLDS,
    *,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, LabelScore]]:
    """Score the map after all edits of a label set, then after fewer and fewer edits.

    A score after n edits uses only the labels of the first n edits, for training and for testing; see `score_labels`.
    The held-out pixels therefore differ between scores.

    Parameters
    ----------
    mapper : QuickMapper
        Head, columns and smoothing of the map.
    database : LabelDatabase
        Database of the label set.
    set_id : int
        Number of the label set.
    folds : str
        Rule for cross-validation folds, see `score_labels`.
    check : callable
        Function that is called repeatedly during the work. It can raise an exception to stop the work.

    Yields
    ------
    int, LabelScore
        Number of labelled pixels, and the score. There are at most six scores. Each score uses about two thirds of the
        edits of the score before.
    """
    versions = database.versions(set_id)
    counts = (len(versions) / 1.5 ** np.arange(_POINTS)).round().astype(int).tolist()
    for count in dict.fromkeys(counts):
        if count:
            classes = database.class_map_at(set_id, versions[count - 1])
            yield int(np.count_nonzero(classes)), score_labels(mapper, classes, folds, check=check)
