"""Folds of whole fields: connected pixels of one class stay on one side, so that none is judged by its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fold_fields(
    classes: NDArray[np.integer], rows: NDArray[np.intp], cols: NDArray[np.intp], folds: int, *, seed: int = 0
) -> NDArray[np.intp]:
    """Deal the fields of each class to folds in turn.

    A field is what touches, corners included, of the pixels of one class. A class of a single field is never held out, as
    nothing would be left to learn it from; so each class that a fold holds out is learned from other fields.

    Parameters
    ----------
    classes : (n,) integer array
        Class of each pixel.
    rows, cols : (n,) integer arrays
        Where each pixel lies.
    folds : int
        How many folds; as many are used as there are fields to deal.
    seed : int
        Of the order in which fields are dealt.

    Returns
    -------
    (n,) int array
        The fold that holds each pixel out, from 0; -1 for none, as scikit-learn's `PredefinedSplit` takes it.

    Examples
    --------
    >>> row = np.array([1, 1, 3, 1, 1, 2, 2])
    >>> fold_fields(row, np.zeros(7, int), np.arange(7), 2).tolist()
    [0, 0, -1, 1, 1, -1, -1]
    """
    from scipy.ndimage import label

    random = np.random.default_rng(seed)
    found, dealt = np.full(len(classes), -1, np.intp), 0
    for number in np.unique(classes):
        mine = classes == number
        place = rows[mine] - rows[mine].min(), cols[mine] - cols[mine].min()
        there = np.zeros((place[0].max() + 1, place[1].max() + 1), bool)
        there[place] = True
        fields, count = label(there, np.ones((3, 3)))
        if count > 1:
            found[mine] = (dealt + random.permutation(count)[fields[place] - 1]) % folds
            dealt += count
    return found
