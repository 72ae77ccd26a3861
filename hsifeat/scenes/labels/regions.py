"""Connected regions of a label map: groups of touching pixels that share one class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.scene_blocks import count_values


def label_regions(classes: NDArray[np.integer]) -> NDArray[np.int32]:
    """Label the 8-connected regions of equal class in a label map.

    Pixels belong to one region when they have the same class and touch at an edge or a corner. Regions are numbered in
    ascending order of their class numbers. Regions of one class are numbered in row-major order of their first pixels.

    Parameters
    ----------
    classes : (rows, cols) integer array
        Class of each pixel; 0 and negative numbers are unlabelled.

    Returns
    -------
    (rows, cols) int32 array
        Number of each pixel's region, from 1; 0 where the pixel is unlabelled.

    Examples
    --------
    >>> label_regions(np.array([[2, 0, 1], [0, 2, 1], [1, 0, 0]]))
    array([[3, 0, 1],
           [0, 3, 1],
           [2, 0, 0]], dtype=int32)
    """
    from scipy import ndimage

    regions = np.zeros(classes.shape, np.int32)
    # Ranks replace class numbers, because find_objects returns one entry for every number up to the highest.
    present = [number for number in count_values(classes) if number > 0]
    ranks = np.where(classes > 0, np.searchsorted(present, classes) + 1, 0).astype(np.int32)
    region_count = 0
    for rank, box in enumerate(ndimage.find_objects(ranks), start=1):
        within_class, class_count = ndimage.label(ranks[box] == rank, structure=np.ones((3, 3)))
        part = regions[box]
        part[within_class > 0] = within_class[within_class > 0] + region_count
        region_count += class_count
    return regions
