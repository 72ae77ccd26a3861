"""Cross-validation folds of whole regions: connected pixels of one class stay together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.labels.regions import label_regions


def fold_regions(
    classes: NDArray[np.integer], rows: NDArray[np.intp], cols: NDArray[np.intp], folds: int, *, seed: int = 0
) -> NDArray[np.intp]:
    """Assign the connected regions of each class to cross-validation folds.

    A fold holds out whole regions. A region therefore never has both held-out pixels and training pixels. A class with
    a single region is never held out, because no training pixels of the class would remain.

    Parameters
    ----------
    classes : (n,) integer array
        Class of each pixel.
    rows, cols : (n,) intp arrays
        Position of each pixel.
    folds : int
        Maximum number of folds. If the classes with several regions have fewer regions in all, each region has a fold.
    seed : int
        Seed of the random order of regions.

    Returns
    -------
    (n,) intp array
        Number of the fold that holds out each pixel, from 0; -1 for pixels that no fold holds out. scikit-learn's
        `PredefinedSplit` takes this array.

    See Also
    --------
    hsifeat.scenes.labels.regions.label_regions : Label the connected regions of a map.

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
    fold, first_fold = np.full(len(classes), -1, np.intp), 0
    for rank in range(len(class_numbers)):
        members = ranks == rank
        region = regions[members] - regions[members].min()  # regions of a class have consecutive numbers
        count = int(region.max()) + 1
        if count > 1:
            fold[members] = (first_fold + rng.permutation(count)[region]) % folds
            first_fold += count
    return fold
