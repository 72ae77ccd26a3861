"""Cross-validation folds of whole regions: connected pixels of one class stay together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.labels.regions import label_regions


def fold_regions(
    classes: NDArray[np.integer], rows: NDArray[np.intp], cols: NDArray[np.intp], folds: int, *, seed: int = 0
) -> NDArray[np.intp]:
    """Deal the regions of each class to folds in turn, so that no pixel is judged by its neighbours.

    A class with a single region is never held out, as nothing would be left to train on; so each class that a fold holds
    out also has training pixels in other regions.

    Parameters
    ----------
    classes : (n,) integer array
        Class of each pixel.
    rows, cols : (n,) intp arrays
        Position of each pixel.
    folds : int
        Number of folds; fewer are used if there are fewer regions.
    seed : int
        Seed of the order in which regions are dealt.

    Returns
    -------
    (n,) intp array
        The fold, from 0, that holds each pixel out; -1 if none does, as scikit-learn's `PredefinedSplit` expects.

    See Also
    --------
    hsifeat.scenes.labels.regions.label_regions : What counts as a region.

    Examples
    --------
    >>> classes = np.array([1, 1, 3, 1, 1, 2, 2])
    >>> fold_regions(classes, np.zeros(7, int), np.arange(7), 2).tolist()
    [0, 0, -1, 1, 1, -1, -1]
    """
    rng = np.random.default_rng(seed)
    class_numbers, ranks = np.unique(classes, return_inverse=True)
    at = rows - rows.min(), cols - cols.min()
    grid = np.zeros((at[0].max() + 1, at[1].max() + 1), np.int32)
    grid[at] = ranks + 1
    regions = label_regions(grid)[at]
    fold, dealt = np.full(len(classes), -1, np.intp), 0
    for rank in range(len(class_numbers)):
        members = ranks == rank
        own = regions[members] - regions[members].min()  # regions of a class have consecutive numbers
        count = int(own.max()) + 1
        if count > 1:
            fold[members] = (dealt + rng.permutation(count)[own]) % folds
            dealt += count
    return fold
