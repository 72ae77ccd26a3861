"""Sums over square windows of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Window


def window_sums(values: NDArray[Any], *, frame: Window, centres: Window, side_px: int) -> NDArray[np.float64]:
    """Return the sum over a window around each pixel of a block.

    Each sum is computed from the values in its window only. In a summed-area table (Crow, SIGGRAPH 1984), a huge value would
    change the sums over other windows by rounding.

    Parameters
    ----------
    values : (rows, cols, channels) array
        Values in `frame`. Values outside of the frame count as 0.
    frame : Window
        Position of `values` in the scene.
    centres : Window
        The block of pixels around which windows are summed. `frame` may not reach beyond these windows.
    side_px : int
        Side of a window in pixels. A window of an even side begins ``side_px / 2`` pixels before the pixel.

    Returns
    -------
    (rows of centres, cols of centres, channels) float64 array
        Sums. They do not depend on the choice of the block.

    Examples
    --------
    >>> row = Window(0, 0, 1, 4)
    >>> window_sums(np.ones((1, 4, 1)), frame=row, centres=row, side_px=3)[0, :, 0].tolist()
    [2.0, 3.0, 3.0, 2.0]
    """
    half = side_px // 2
    top, left = frame.row - centres.row + half, frame.col - centres.col + half
    rows, cols = centres.rows + side_px - 1, centres.cols + side_px - 1
    over_rows = _sums_of_rows(_pad_rows(values, top, rows), side_px)
    return _sums_of_rows(_pad_rows(over_rows.swapaxes(0, 1), left, cols), side_px).swapaxes(0, 1)


def _pad_rows(values: NDArray[Any], before: int, rows: int) -> NDArray[np.float64]:
    """Return an array of `rows` rows: `before` rows of zeros, `values`, and further rows of zeros."""
    padded = np.zeros((rows, *values.shape[1:]))
    padded[before : before + len(values)] = values
    return padded


def _sums_of_rows(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sums of `side` successive rows, from each row on, as a (rows - side + 1, ...) array.

    Sums of 1, 2, 4, ... rows are computed by doubling. Each bit of `side` that is set adds one of these sums.
    """
    count = len(values) - side + 1
    result, begin = np.zeros((count, *values.shape[1:])), 0
    for bit in range(side.bit_length()):
        if bit:
            half = 2 ** (bit - 1)
            values = values[:-half] + values[half:]
        if side >> bit & 1:
            result += values[begin : begin + count]
            begin += 2**bit
    return result
