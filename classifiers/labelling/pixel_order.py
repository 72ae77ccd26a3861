"""Order of the pixels of a scene: pixels of coarse grids come first. A coarse map needs only the first pixels in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Window

# Distances in scene pixels between neighbouring pixels of each grid, coarsest grid first.
STEPS = (16, 8, 4, 2, 1)


def order_pixels(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Order the pixels of a mask, pixels of the coarsest grid first.

    Parameters
    ----------
    mask : (rows, cols) bool array
        The pixels to order.

    Returns
    -------
    (n,) int64 array
        Flat indices. For each step s of `STEPS`, pixels whose row and column are multiples of s precede all other
        pixels. Pixels with the same level (see `pixel_levels`) are in row-major order.

    Examples
    --------
    >>> order_pixels(np.ones((3, 3), bool)).tolist()
    [0, 2, 6, 8, 1, 3, 4, 5, 7]
    """
    pixels = np.flatnonzero(mask)
    return pixels[np.argsort(pixel_levels(pixels, mask.shape[1]), kind="stable")]


def pixel_levels(pixels: NDArray[np.int64], cols: int) -> NDArray[np.int8]:
    """Return the level of each pixel, as an (n,) int8 array.

    The level of a pixel is the index in `STEPS` of the coarsest grid that has the pixel.

    Parameters
    ----------
    pixels : (n,) int64 array
        Flat indices.
    cols : int
        Number of columns of the scene.
    """
    rows, columns = np.divmod(pixels, cols)
    levels = np.full(len(pixels), len(STEPS) - 1, np.int8)
    for level in range(len(STEPS) - 2, -1, -1):
        levels[(rows % STEPS[level] == 0) & (columns % STEPS[level] == 0)] = level
    return levels


def screen_step(shape: tuple[int, int], max_px: int) -> int:
    """Return the smallest step in `STEPS` that keeps at most `max_px` rows and `max_px` columns of an area.

    A step s keeps every s-th row and column. If no step is large enough, the largest step is returned.

    >>> screen_step((1000, 800), 512), screen_step((145, 145), 512)
    (2, 1)
    """
    return next((step for step in reversed(STEPS) if max(shape) <= step * max_px), STEPS[0])


@dataclass(frozen=True)
class GridView:
    """Pixels of a coarse grid in a window, and in a margin that a smoothing rule needs around the window.

    Attributes
    ----------
    slices : tuple of 2 slices
        Slices of the rows and columns of the scene that select the grid, including the margin.
    inner : tuple of 2 slices
        Slices of the rows and columns of the grid that select the window, without the margin.
    is_whole : bool
        Whether the grid, including the margin, covers the whole scene.
    """

    slices: tuple[slice, slice]
    inner: tuple[slice, slice]
    is_whole: bool

    @classmethod
    def of_window(cls, window: Window, shape: tuple[int, int], step: int, reach_px: int | None) -> Self:
        """Return the grid of a window and of the margin around it.

        Parameters
        ----------
        window : Window
            A part of the scene.
        shape : tuple of int
            Rows and columns of the scene.
        step : int
            Distance in scene pixels between neighbouring pixels of the grid.
        reach_px : int or None
            Width of the margin in scene pixels. For None, the margin reaches to the border of the scene.

        Examples
        --------
        >>> GridView.of_window(Window(3, 0, 4, 10), (10, 10), 2, 2)
        GridView(slices=(slice(2, 9, 2), slice(0, 10, 2)), inner=(slice(1, 3, None), slice(0, 5, None)), is_whole=False)
        """
        slices, inner = [], []
        for start, stop, length in zip(
            (window.row, window.col), (window.row + window.rows, window.col + window.cols), shape, strict=True
        ):
            margin = length if reach_px is None else reach_px
            first, last = -(-max(start - margin, 0) // step), min(stop + margin, length)
            slices.append(slice(first * step, last, step))
            inner.append(slice(-(-start // step) - first, -(-stop // step) - first))
        whole = tuple(slice(0, length, step) for length in shape)
        return cls((slices[0], slices[1]), (inner[0], inner[1]), tuple(slices) == whole)
