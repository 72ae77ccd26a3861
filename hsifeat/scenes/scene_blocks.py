"""Division of a scene into blocks, and functions that count or sample values block by block to save memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Cube, Window

# Values per block: 4 MB of a 16-bit cube, 16 MB as float64.
VALUES_AT_A_TIME = 2**21
# Maximum height of a block. Block boundaries affect the last bits of sums over a scene, so this number must not change.
_ROWS_AT_A_TIME = 64
# Approximate maximum number of pixels from which percentiles are computed.
_SAMPLE_PIXELS = 2**20


def blocks(rows: int, cols: int, depth: int = 1) -> Iterator[Window]:
    """Divide a scene into blocks of at most `VALUES_AT_A_TIME` values and 64 rows.

    Parameters
    ----------
    rows, cols : int
        Shape of the scene in pixels.
    depth : int
        Number of values per pixel, such as the number of bands.

    Yields
    ------
    Window
        A block of whole rows. If one row has too many values, a block is a part of a row. Blocks are in row-major order.

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
    """Count the pixels of each value in a (rows, cols) integer array.

    The keys of the returned dict are in ascending order. The array is counted block by block to save memory.

    >>> count_values(np.array([[3, 0], [0, 0]]))
    {0: 3, 3: 1}
    """
    totals: dict[int, int] = {}
    for block in blocks(*values.shape):
        for value, count in zip(*np.unique(values[block.slices], return_counts=True), strict=True):
            totals[int(value)] = totals.get(int(value), 0) + int(count)
    return dict(sorted(totals.items()))


def read_bands(cube: Cube, rows: slice, cols: slice, bands: Sequence[int]) -> NDArray[Any]:
    """Read selected bands of a block of a cube.

    A Zarr array is read in one call, because each chunk of a cube in a store contains all bands. Other arrays are read
    band by band.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        The cube.
    rows, cols : slice
        Ranges of rows and columns of the block.
    bands : sequence of int
        Indices of the selected bands.

    Returns
    -------
    (block rows, block cols, len(bands)) array
        Values in the dtype of the cube.
    """
    if hasattr(cube, "oindex"):
        return np.asarray(cube.oindex[rows, cols, list(bands)])
    return np.stack([np.asarray(cube[rows, cols, band]) for band in bands], axis=-1)


def sample_bands(cube: Cube, bands: Sequence[int], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Read selected bands of a sample of the valid pixels.

    If the scene has at most 2**20 pixels, the sample contains all valid pixels. In a larger scene, every k-th row and
    column form a grid of at most about 2**20 pixels. The sample contains the valid pixels of this grid. If the grid has no
    valid pixel, the sample contains every m-th valid pixel of the scene.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        The cube.
    bands : sequence of int
        Indices of the selected bands.
    valid : (rows, cols) bool array
        Mask of the valid pixels.

    Returns
    -------
    (n, len(bands)) float64 array
        Values of the n sampled pixels, in row-major order.
    """
    rows, cols, _ = cube.shape
    step = int(np.ceil(np.sqrt(rows * cols / _SAMPLE_PIXELS)))
    mask = valid[::step, ::step]
    if mask.any() or step == 1:
        grid = slice(None, None, step)
        return read_bands(cube, grid, grid, bands)[mask].astype(np.float64)
    stride = -(-int(np.count_nonzero(valid)) // _SAMPLE_PIXELS)
    samples, valid_count = [], 0
    for block in blocks(rows, cols):
        mask = valid[block.slices]
        if mask.any():
            values = read_bands(cube, *block.slices, bands)[mask]
            samples.append(values[-valid_count % stride :: stride].astype(np.float64))
            valid_count += len(values)
    return np.concatenate(samples) if samples else np.empty((0, len(bands)))
