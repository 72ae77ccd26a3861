"""Pixels and their surroundings: pixels grouped by blocks, means over windows, neighbourhoods.

A block is read once, with a frame around it, for all of its pixels, so that memory is bounded whatever the scene's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import StoreError
from hsifeat.features.summed_area import summed_area_table
from hsifeat.types import Window

# Side in pixels of the blocks by which pixels are grouped.
BLOCK_PX = 128

ReadWindow = Callable[[Window], NDArray[np.float32]]


@dataclass(frozen=True)
class PixelCoordinates:
    """Pixels of a scene: rows and columns, (n,) integer arrays."""

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    @classmethod
    def parse(cls, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> PixelCoordinates:
        """Return pixels that lie within a scene.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Rows and columns.
        shape : tuple of int
            Rows and columns of the scene.

        Raises
        ------
        StoreError
            Arrays of different lengths, or a pixel outside the scene.
        """
        pixels = cls(np.asarray(rows, np.intp).ravel(), np.asarray(cols, np.intp).ravel())
        if len(pixels.rows) != len(pixels.cols):
            raise StoreError(f"rows and columns must be of one length; found {len(pixels.rows)} and {len(pixels.cols)}")
        inside = (pixels.rows >= 0) & (pixels.rows < shape[0]) & (pixels.cols >= 0) & (pixels.cols < shape[1])
        if not inside.all():
            first = int(np.argmin(inside))
            raise StoreError(
                f"pixel ({pixels.rows[first]}, {pixels.cols[first]}) lies outside the scene of {shape[0]} x {shape[1]}"
            )
        return pixels

    def by_block(self, side_px: int) -> Iterator[tuple[NDArray[np.intp], Window]]:
        """Group pixels by square blocks; yield the indices (k,) intp of each group and the smallest window around it."""
        block = self.rows // side_px * (int(self.cols.max(initial=0)) // side_px + 1) + self.cols // side_px
        for members in group_indices(block):
            top, left = int(self.rows[members].min()), int(self.cols[members].min())
            bottom, right = int(self.rows[members].max()) + 1, int(self.cols[members].max()) + 1
            yield members, Window(top, left, bottom - top, right - left)


def read_pixels(pixels: PixelCoordinates, read: ReadWindow, channels: int) -> NDArray[np.float32]:
    """Read values at pixels from blocks.

    Parameters
    ----------
    pixels : PixelCoordinates
        The n pixels.
    read : callable
        Returns a window as a (rows, cols, channels) float32 array.
    channels : int
        Number of channels.

    Returns
    -------
    (n, channels) float32 array
    """
    values = np.empty((len(pixels.rows), channels), np.float32)
    for members, block in pixels.by_block(BLOCK_PX):
        values[members] = read(block)[pixels.rows[members] - block.row, pixels.cols[members] - block.col]
    return values


def window_means(
    pixels: PixelCoordinates, side_px: int, read: ReadWindow, channels: int, valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Average values over the valid pixels of a window around each pixel.

    Parameters
    ----------
    pixels : PixelCoordinates
        The n centres.
    side_px : int
        Side of a window in pixels; windows are cut at the scene's edge.
    read : callable
        Returns a window as a (rows, cols, channels) float32 array.
    channels : int
        Number of channels.
    valid : (rows, cols) bool array
        Valid pixels of the scene.

    Returns
    -------
    (n, channels) float32 array

    Raises
    ------
    StoreError
        A side of less than one pixel.
    """
    if side_px < 1:
        raise StoreError(f"the side of a window must be at least 1 pixel; found {side_px}")
    values = np.empty((len(pixels.rows), channels), np.float32)
    half = side_px // 2
    for members, block in pixels.by_block(BLOCK_PX):
        frame = Window(block.row - half, block.col - half, block.rows + side_px - 1, block.cols + side_px - 1)
        frame = frame.clip(*valid.shape)
        inside = valid[frame.slices]
        dense = np.where(inside[:, :, None], read(frame), 0)
        # The last channel counts valid pixels.
        table = summed_area_table(np.concatenate([dense, inside[:, :, None]], axis=2), np.float64)
        sums = _square_sums(
            table, pixels.rows[members] - half - frame.row, pixels.cols[members] - half - frame.col, side_px
        )
        # A window without a valid pixel has no mean; its own pixel is not valid either.
        values[members] = sums[:, :-1] / np.maximum(sums[:, -1:], 1)
    return values


def read_neighbourhoods(
    pixels: PixelCoordinates, side_px: int, read: ReadWindow, channels: int, valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Read the neighbourhoods of pixels.

    Beyond its edge the scene is mirrored without repeating the edge pixels, as ``numpy.pad(mode="reflect")`` does. A
    neighbour that is not valid takes the values of the pixel itself.

    Parameters
    ----------
    pixels : PixelCoordinates
        The n centres.
    side_px : int
        Side of a neighbourhood in pixels; odd.
    read : callable
        Returns a window as a (rows, cols, channels) float32 array.
    channels : int
        Number of channels.
    valid : (rows, cols) bool array
        Valid pixels of the scene.

    Returns
    -------
    (n, side_px, side_px, channels) float32 array

    Raises
    ------
    StoreError
        An even side.
    """
    if side_px < 1 or side_px % 2 == 0:
        raise StoreError(
            f"the side of a neighbourhood must be odd, so that its pixel is in the middle; found {side_px}"
        )
    values = np.empty((len(pixels.rows), side_px, side_px, channels), np.float32)
    # Index of each row and column in the scene, from half a side before it to half a side after it.
    padded_rows, padded_cols = (np.pad(np.arange(length), side_px // 2, mode="reflect") for length in valid.shape)
    for members, _ in pixels.by_block(BLOCK_PX):
        rows = padded_rows[pixels.rows[members, None] + np.arange(side_px)][:, :, None]
        cols = padded_cols[pixels.cols[members, None] + np.arange(side_px)][:, None, :]
        top, left = int(rows.min()), int(cols.min())
        dense = read(Window(top, left, int(rows.max()) + 1 - top, int(cols.max()) + 1 - left))
        values[members] = dense[rows - top, cols - left]
        pixel, row, col = np.nonzero(~valid[rows, cols])
        centre = members[pixel]
        values[centre, row, col] = dense[pixels.rows[centre] - top, pixels.cols[centre] - left]
    return values


def group_indices(numbers: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the indices (k,) intp of equal values of `numbers` (n,), one group after the other."""
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    yield from np.split(order, starts[1:]) if len(order) else ()


def _square_sums(
    table: NDArray[np.float64], rows: NDArray[np.intp], cols: NDArray[np.intp], side: int
) -> NDArray[np.float64]:
    """Return the sums (n, channels) over squares with these first corners, as far as they lie in the image."""
    height, width, _ = table.shape
    top, bottom = np.clip(rows, 0, height - 1), np.clip(rows + side, 0, height - 1)
    left, right = np.clip(cols, 0, width - 1), np.clip(cols + side, 0, width - 1)
    return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
