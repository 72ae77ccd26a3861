"""Read values at pixels, means over windows around pixels, and neighbourhoods of pixels.

All functions group the pixels by square blocks of the scene, and read one block at a time. Memory does not grow with
the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import StoreError
from hsifeat.features.window_sums import window_sums
from hsifeat.formatting import format_value
from hsifeat.types import Window, as_int

# Side of a block in pixels.
BLOCK_PX = 128
# Window sums take five float64 values per pixel and channel, so they are computed for this many channels at a time.
_CHANNELS = 64

ReadWindow = Callable[[Window], NDArray[np.float32]]


def _as_integers(values: ArrayLike) -> NDArray[np.intp]:
    """Return whole numbers of any real dtype as a vector of integers; fractions, NaN, texts and masked values raise `StoreError`."""
    if np.ma.is_masked(values):
        raise StoreError("rows and columns must not be masked: leave out the masked pixels")
    array = np.asarray(values).ravel()
    if array.dtype.kind not in "iuf" or (array != np.floor(array)).any():
        raise StoreError(f"rows and columns must be whole numbers; found {array[:3].tolist()} of dtype {array.dtype}")
    return array.astype(np.intp)


@dataclass(frozen=True)
class PixelCoordinates:
    """Positions of n pixels of a scene.

    Attributes
    ----------
    rows, cols : (n,) integer arrays
        Row and column of each pixel.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    @classmethod
    def parse(cls, rows: ArrayLike, cols: ArrayLike, shape: tuple[int, int]) -> PixelCoordinates:
        """Check positions of pixels and return them.

        Parameters
        ----------
        rows, cols : (n,) integer arrays
            Row and column of each pixel.
        shape : tuple of 2 ints
            Number of rows and columns of the scene.

        Raises
        ------
        StoreError
            If the arrays have different lengths, or are the two axes of a mesh. If a pixel lies outside the scene.
        """
        shapes = np.shape(rows), np.shape(cols)
        if max(map(len, shapes)) > 1 and shapes[0] != shapes[1]:
            raise StoreError(
                f"rows and columns give one pixel per pair, not a mesh; found the shapes {shapes[0]} and {shapes[1]}"
            )
        pixels = cls(_as_integers(rows), _as_integers(cols))
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
        """Group the pixels by square blocks of the scene.

        Parameters
        ----------
        side_px : int
            Side of a block in pixels.

        Yields
        ------
        members : (k,) integer array
            Indices of the pixels in a block.
        window : Window
            Bounding box of these pixels.
        """
        block = self.rows // side_px * (int(self.cols.max(initial=0)) // side_px + 1) + self.cols // side_px
        for members in group_indices(block):
            top, left = int(self.rows[members].min()), int(self.cols[members].min())
            bottom, right = int(self.rows[members].max()) + 1, int(self.cols[members].max()) + 1
            yield members, Window(top, left, bottom - top, right - left)


def read_pixels(pixels: PixelCoordinates, read: ReadWindow, channels: int) -> NDArray[np.float32]:
    """Read the values of pixels, block by block.

    Parameters
    ----------
    pixels : PixelCoordinates
        Positions of n pixels.
    read : callable
        Function that returns the values in a window of the scene, as a (rows, cols, channels) float32 array.
    channels : int
        Number of channels.

    Returns
    -------
    (n, channels) float32 array
        Values at the n pixels, in the order of `pixels`.
    """
    values = np.empty((len(pixels.rows), channels), np.float32)
    for members, block in pixels.by_block(BLOCK_PX):
        values[members] = read(block)[pixels.rows[members] - block.row, pixels.cols[members] - block.col]
    return values


def window_means(
    pixels: PixelCoordinates, side_px: int, read: ReadWindow, channels: int, valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the mean of the values in a window around each pixel. Only valid pixels of the window count.

    Parameters
    ----------
    pixels : PixelCoordinates
        Positions of the n centre pixels.
    side_px : int
        Side of a window in pixels. Windows are clipped to the scene.
    read : callable
        Function that returns the values in a window of the scene, as a (rows, cols, channels) float32 array.
    channels : int
        Number of channels.
    valid : (rows, cols) bool array
        Valid pixels of the scene.

    Returns
    -------
    (n, channels) float32 array
        Mean of each channel around each pixel; 0 if the window has no valid pixel.

    Raises
    ------
    StoreError
        If `side_px` is less than 1.
    """
    if (as_int(side_px) or 0) < 1:
        raise StoreError(
            f"the side of a window must be a whole number, at least 1 pixel; found {format_value(side_px)}"
        )
    values = np.empty((len(pixels.rows), channels), np.float32)
    side_px = int(min(side_px, 2 * max(valid.shape)))  # Larger windows hold the whole scene as well.
    for members, block in pixels.by_block(BLOCK_PX):
        top, left = block.row - side_px // 2, block.col - side_px // 2
        frame = Window(top, left, block.rows + side_px - 1, block.cols + side_px - 1).clip(*valid.shape)
        inside, dense = valid[frame.slices], read(frame)
        at = pixels.rows[members] - block.row, pixels.cols[members] - block.col
        sums = partial(window_sums, frame=frame, centres=block, side_px=side_px)
        # If the count is 0, the centre pixel is not valid either, and its value does not matter.
        counts = np.maximum(sums(inside[:, :, None])[at], 1)
        for first in range(0, channels, _CHANNELS):
            part = slice(first, first + _CHANNELS)
            values[members, part] = sums(np.where(inside[:, :, None], dense[:, :, part], 0))[at] / counts
    return values


def read_neighbourhoods(
    pixels: PixelCoordinates, side_px: int, read: ReadWindow, channels: int, valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Read the square neighbourhood of each pixel.

    The scene is padded by reflection, as by ``numpy.pad(mode="reflect")``. Neighbours that are not valid get the values of
    the centre pixel.

    Parameters
    ----------
    pixels : PixelCoordinates
        Positions of the n centre pixels.
    side_px : int
        Side of a neighbourhood in pixels, an odd number.
    read : callable
        Function that returns the values in a window of the scene, as a (rows, cols, channels) float32 array.
    channels : int
        Number of channels.
    valid : (rows, cols) bool array
        Valid pixels of the scene.

    Returns
    -------
    (n, side_px, side_px, channels) float32 array
        Values of each neighbourhood, in the order of `pixels`.

    Raises
    ------
    StoreError
        If `side_px` is even or less than 1.
    """
    side = as_int(side_px)
    if side is None or side < 1 or side % 2 == 0:
        raise StoreError(
            f"the side of a neighbourhood must be odd, so that its pixel is in the middle; found {format_value(side_px)}"
        )
    values = np.empty((len(pixels.rows), side_px, side_px, channels), np.float32)
    # Scene indices of the rows and columns of the padded scene.
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
    """Group equal elements of an array.

    Parameters
    ----------
    numbers : (n,) integer array
        Values to group.

    Yields
    ------
    (k,) intp array
        Indices of all elements with one value. The groups are in ascending order of their values.
    """
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    yield from np.split(order, starts[1:]) if len(order) else ()
