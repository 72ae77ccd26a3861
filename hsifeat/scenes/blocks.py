"""Walks over a whole scene in blocks of bounded size, so that memory does not grow with the scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Cube, Window

# Values in a block: 4 MB of a cube of 16 bits, 16 MB as float64.
VALUES_AT_A_TIME = 2**21
# Sums over small scenes depend in their last bits on where the blocks end; those ended here from the first version on.
_ROWS_AT_A_TIME = 64
# A band's percentiles are taken from about this many pixels at most.
_SAMPLE_PIXELS = 2**20


def blocks(rows: int, cols: int, depth: int = 1) -> Iterator[Window]:
    """Cut a scene into blocks of at most `VALUES_AT_A_TIME` values that follow one another in row-major order.

    Parameters
    ----------
    rows, cols : int
        The scene's shape.
    depth : int
        Values of a pixel, usually its bands.

    Yields
    ------
    Window
        Whole rows, or parts of one row where a row alone has too many values.

    Examples
    --------
    >>> [(w.rows, w.cols) for w in blocks(100, 1000, 100)]
    [(20, 1000), (20, 1000), (20, 1000), (20, 1000), (20, 1000)]
    >>> [(w.rows, w.cols) for w in blocks(1, 30_000, 100)]
    [(1, 20971), (1, 9029)]
    """
    pixels = max(VALUES_AT_A_TIME // depth, 1)
    width = min(max(cols, 1), pixels)
    height = min(pixels // width, _ROWS_AT_A_TIME)
    for row in range(0, rows, height):
        for col in range(0, cols, width):
            yield Window(row, col, min(height, rows - row), min(width, cols - col))


def count_values(values: NDArray[np.integer]) -> dict[int, int]:
    """Count how often each value of a 2-D array occurs, values ascending, without a sorted copy of the whole.

    >>> count_values(np.array([[3, 0], [0, 0]]))
    {0: 3, 3: 1}
    """
    totals: dict[int, int] = {}
    for block in blocks(*values.shape):
        for value, count in zip(*np.unique(values[block.slices], return_counts=True), strict=True):
            totals[int(value)] = totals.get(int(value), 0) + int(count)
    return dict(sorted(totals.items()))


def read_bands(cube: Cube, rows: slice, cols: slice, bands: Sequence[int]) -> NDArray[Any]:
    """Read some bands of a block: at once from a Zarr array, whose chunks hold all of them; else one by one, as files lie."""
    if hasattr(cube, "oindex"):
        return np.asarray(cube.oindex[rows, cols, list(bands)])
    return np.stack([np.asarray(cube[rows, cols, band]) for band in bands], axis=-1)


def sample_bands(cube: Cube, bands: Sequence[int], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Read valid values of some bands, evenly thinned to about a million pixels in a large scene.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        The scene's values.
    bands : sequence of int
        Which bands, from 0.
    valid : (rows, cols) bool array
        Pixels that count.

    Returns
    -------
    (n, bands) float64 array
        Pixels on a regular grid; every k-th one, if none of them lies on the grid.
    """
    rows, cols, _ = cube.shape
    step = int(np.ceil(np.sqrt(rows * cols / _SAMPLE_PIXELS)))
    mask = valid[::step, ::step]
    if mask.any() or step == 1:
        grid = slice(None, None, step)
        return read_bands(cube, grid, grid, bands)[mask].astype(np.float64)
    stride = -(-int(np.count_nonzero(valid)) // _SAMPLE_PIXELS)
    found, seen = [], 0
    for block in blocks(rows, cols):
        mask = valid[block.slices]
        if mask.any():
            values = read_bands(cube, *block.slices, bands)[mask]
            found.append(values[-seen % stride :: stride].astype(np.float64))
            seen += len(values)
    return np.concatenate(found) if found else np.empty((0, len(bands)))
