"""Learning curve of a labelling: the cross-validated accuracy after the first edits, after more of them, and after all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from classifiers.labelling.labels_db import LabelDatabase
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.score import DEFAULT_FOLDS, LabelScore, score_labels

_POINTS = 6


def learning_curve(
    mapper: QuickMapper,
    database: LabelDatabase,
    set_id: int,
    folds: str = DEFAULT_FOLDS,
    *,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, LabelScore]]:
    """Score the map that the labels gave after some of the edits, from all edits backwards.

    Each score is that of the labels of its time, see `score_labels`. Later labels lie in other places, so the points answer the
    question for different places.

    Parameters
    ----------
    mapper : QuickMapper
        Head and columns.
    database : LabelDatabase
        The database.
    set_id : int
        Number of the set.
    folds : str
        How labels are held out, see `score_labels`.
    check : callable
        Called repeatedly. It raises to stop the work.

    Yields
    ------
    int, LabelScore
        Number of labelled pixels, and the score. There are at most six points; each has about 1.5 times the edits of the one
        after it.
    """
    versions = database.versions(set_id)
    counts = (len(versions) / 1.5 ** np.arange(_POINTS)).round().astype(int).tolist()
    for count in dict.fromkeys(counts):
        if count:
            classes = database.class_map_at(set_id, versions[count - 1])
            yield int(np.count_nonzero(classes)), score_labels(mapper, classes, folds, check=check)
