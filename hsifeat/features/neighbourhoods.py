"""What lies around pixels: pixels grouped by blocks, means over windows, neighbourhoods.

A block is read once with a frame around it, for all of its pixels, so that memory is bounded whatever the scene's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.types import Window

# Pixels of a side of the blocks in which pixels are grouped when windows around them are averaged.
BLOCK_PX = 128


@dataclass(frozen=True)
class Pixels:
    """Pixels as two arrays of the same length."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    def by_block(self, side: int) -> Iterator[tuple[NDArray[np.intp], Window]]:
        """Group pixels by square blocks; give the indices of each group, and the smallest window around it."""
        block = self.rows // side * (int(self.cols.max(initial=0)) // side + 1) + self.cols // side
        for chosen in groups(block):
            top, left = int(self.rows[chosen].min()), int(self.cols[chosen].min())
            bottom, right = int(self.rows[chosen].max()) + 1, int(self.cols[chosen].max()) + 1
            yield chosen, Window(top, left, bottom - top, right - left)


def pooled(
    at: Pixels,
    side_px: int,
    read: Callable[[Window], NDArray[np.float32]],
    channels: int,
    valid: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Average what `read` gives over the valid pixels of a window around each pixel.

    Parameters
    ----------
    at : Pixels
        Centres.
    side_px : int
        Of a window, which is cut at the scene's edge.
    read : callable
        Gives a block (rows, cols, channels).
    channels : int
        How many it gives.
    valid : (rows, cols) bool array
        Of the scene.

    Returns
    -------
    (n, channels) float32 array
    """
    if side_px < 1:
        raise StoreError(f"a window has a side of at least 1 pixel; found {side_px}")
    values = np.empty((len(at.rows), channels), np.float32)
    half = side_px // 2
    for chosen, block in at.by_block(BLOCK_PX):
        around = Window(block.row - half, block.col - half, block.rows + side_px - 1, block.cols + side_px - 1)
        around = around.clip(*valid.shape)
        there = valid[around.slices]
        dense = np.where(there[:, :, None], read(around), 0)
        sums = _Sums(np.concatenate([dense, there[:, :, None]], axis=2))
        totals = sums.over(at.rows[chosen] - half - around.row, at.cols[chosen] - half - around.col, side_px)
        # A window without a valid pixel has no mean; its own pixel is not valid either.
        values[chosen] = totals[:, :-1] / np.maximum(totals[:, -1:], 1)
    return values


def gathered(
    at: Pixels,
    side_px: int,
    read: Callable[[Window], NDArray[np.float32]],
    channels: int,
    valid: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Take the neighbourhood of each pixel from what `read` gives.

    Beyond the scene's edge it is mirrored, without repeating the edge, as ``np.pad(..., mode="reflect")`` does. A
    neighbour that holds nothing is given the values of the pixel itself.

    Parameters
    ----------
    at : Pixels
        Centres.
    side_px : int
        Of a neighbourhood; odd.
    read, channels, valid
        As `pooled` takes them.

    Returns
    -------
    (n, side_px, side_px, channels) float32 array
    """
    if side_px < 1 or side_px % 2 == 0:
        raise StoreError(f"a neighbourhood has an odd side, so that its pixel is in the middle; found {side_px}")
    values = np.empty((len(at.rows), side_px, side_px, channels), np.float32)
    # Where what lies `half` pixels before the scene, and so on, is found in it.
    down, across = (np.pad(np.arange(length), side_px // 2, mode="reflect") for length in valid.shape)
    for chosen, _ in at.by_block(BLOCK_PX):
        rows = down[at.rows[chosen, None] + np.arange(side_px)][:, :, None]
        cols = across[at.cols[chosen, None] + np.arange(side_px)][:, None, :]
        top, left = int(rows.min()), int(cols.min())
        dense = read(Window(top, left, int(rows.max()) + 1 - top, int(cols.max()) + 1 - left))
        values[chosen] = dense[rows - top, cols - left]
        pixel, row, col = np.nonzero(~valid[rows, cols])
        own = chosen[pixel]
        values[own, row, col] = dense[at.rows[own] - top, at.cols[own] - left]
    return values


def groups(numbers: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Give the indices of equal numbers, group by group."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    yield from np.split(order, starts[1:]) if len(order) else ()


class _Sums:
    """Sums over any rectangle of an image in constant time, by a summed-area table (Crow 1984)."""

    def __init__(self, image: NDArray[np.floating]) -> None:
        rows, cols, channels = image.shape
        self._table = np.zeros((rows + 1, cols + 1, channels))
        np.cumsum(np.cumsum(image, axis=0, dtype=np.float64), axis=1, out=self._table[1:, 1:])

    def over(self, rows: NDArray[np.intp], cols: NDArray[np.intp], side: int) -> NDArray[np.float64]:
        """Sum the squares of a side whose corners are given, as far as they lie in the image: (n, channels)."""
        height, width, _ = self._table.shape
        top, bottom = np.clip(rows, 0, height - 1), np.clip(rows + side, 0, height - 1)
        left, right = np.clip(cols, 0, width - 1), np.clip(cols + side, 0, width - 1)
        table = self._table
        return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
