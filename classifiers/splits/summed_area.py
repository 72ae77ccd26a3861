"""Summed-area tables (Crow, SIGGRAPH 1984). Four values of a table give the sum over any rectangle of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def summed_area_table(image: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return the summed-area table of an image.

    The value at (i, j) is the sum over the first j pixels of each of the first i rows of the image.

    Parameters
    ----------
    image : (rows, cols, ...) array
        Image of numbers or booleans.
    dtype : dtype
        Data type of the sums.

    Returns
    -------
    (rows + 1, cols + 1, ...) array of `dtype`
        Summed-area table, with zeros in the first row and column.

    Examples
    --------
    >>> summed_area_table(np.eye(2, dtype=bool), np.int32).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 1, 2]]
    """
    rows, cols = image.shape[:2]
    table = np.zeros((rows + 1, cols + 1, *image.shape[2:]), dtype)
    np.cumsum(image, axis=0, dtype=dtype, out=table[1:, 1:])
    for row in table[1:, 1:]:  # One call for all rows would make NumPy copy the whole table.
        np.cumsum(row, axis=0, out=row)
    return table
