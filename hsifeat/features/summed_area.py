"""Summed-area tables: the sums over all rectangles of an image from four values each (Crow, SIGGRAPH 1984)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def summed_area_table(image: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return the sums over all rectangles from the first pixel on.

    Parameters
    ----------
    image : (rows, cols, ...) array
        Numbers or booleans.
    dtype : dtype
        Data type of the sums.

    Returns
    -------
    (rows + 1, cols + 1, ...) array of `dtype`
        Its first row and column are 0.

    Examples
    --------
    >>> summed_area_table(np.eye(2, dtype=bool), np.int32).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 1, 2]]
    """
    rows, cols = image.shape[:2]
    table = np.zeros((rows + 1, cols + 1, *image.shape[2:]), dtype)
    np.cumsum(image, axis=0, dtype=dtype, out=table[1:, 1:])
    for row in table[1:, 1:]:  # Row by row: NumPy would copy the whole table.
        np.cumsum(row, axis=0, out=row)
    return table
