"""Where the training patches of a scene may lie, and the blocks of it that none of them touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.pretraining.batches import generator
from hsifeat.types import Window

# Which blocks are held out is the same whatever the run's seed, so that runs can be compared.
_HELD_OUT_SEED, _STREAM = 0, 5
# Of all patches, those that may be lost to the blocks; of places, those that are tried.
_MOST_LOST, _PLACES = 0.1, 4096


@dataclass(frozen=True)
class Corners:
    """The upper left corners of a scene's patches: those with a valid centre that touch no block that is held out.

    They are counted row by row and found again in the mask, so that a large scene needs no list of them.

    Attributes
    ----------
    valid : (rows, cols) bool array
        The scene's valid pixels.
    patch_px : int
        Side of a patch, at most the scene's sides.
    held_out : tuple of Window
        Blocks that no patch touches.

    Examples
    --------
    >>> corners = Corners(np.ones((4, 5), bool), 3)
    >>> len(corners), corners.find(0), corners.find(5)
    (6, (0, 0), (1, 2))
    >>> len(Corners(np.ones((4, 5), bool), 3, (Window(0, 0, 1, 1),)))
    5
    """

    valid: NDArray[np.bool_]
    patch_px: int
    held_out: tuple[Window, ...] = ()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def find(self, number: int) -> tuple[int, int]:
        """Return row and column of a corner, by its number in row-major order."""
        row = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[row - 1]) if row else 0
        return row, int(np.flatnonzero(self._inside(Window(row, 0, 1, self._cols)))[number - before])

    def lost(self, block: Window) -> int:
        """Count the corners that would be lost if one more block were held out."""
        return int(np.count_nonzero(self._inside(self._touching(block))))

    @property
    def _rows(self) -> int:
        return int(self.valid.shape[0]) - self.patch_px + 1

    @property
    def _cols(self) -> int:
        return int(self.valid.shape[1]) - self.patch_px + 1

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """For each row, how many corners there are down to its end."""
        rows = (np.count_nonzero(self._inside(Window(row, 0, 1, self._cols))) for row in range(self._rows))
        return np.cumsum(np.fromiter(rows, np.int64, self._rows))

    def _inside(self, window: Window) -> NDArray[np.bool_]:
        """Tell which corners of a window count: (rows, cols) bool."""
        half = self.patch_px // 2
        rows, cols = window.slices
        counts = self.valid[rows.start + half : rows.stop + half, cols.start + half : cols.stop + half].copy()
        for block in self.held_out:
            touching = self._touching(block)
            top, left = max(touching.row - window.row, 0), max(touching.col - window.col, 0)
            bottom = max(touching.row + touching.rows - window.row, 0)
            right = max(touching.col + touching.cols - window.col, 0)
            counts[top:bottom, left:right] = False
        return counts

    def _touching(self, block: Window) -> Window:
        """Return the corners of all patches that share a pixel with a block."""
        reach = self.patch_px - 1
        around = Window(block.row - reach, block.col - reach, block.rows + reach, block.cols + reach)
        return around.clip(self._rows, self._cols)


def hold_out(valid: NDArray[np.bool_], patch_px: int, side_px: int, most: int) -> tuple[Window, ...]:
    """Choose square blocks of a scene that no training patch is to touch.

    Parameters
    ----------
    valid : (rows, cols) bool array
        At least half of a block's pixels are valid.
    patch_px : int
        Side of a training patch.
    side_px : int
        Side of a block.
    most : int
        Blocks at most.

    Returns
    -------
    tuple of Window
        Drawn by a fixed seed, while no more than a tenth of all patches is lost to them. In a small scene only corners and
        edges are cheap enough, and in a very small one nothing is.

    Examples
    --------
    >>> hold_out(np.ones((145, 145), bool), 32, 32, 8)
    (Window(row=0, col=0, rows=32, cols=32),)
    >>> hold_out(np.ones((40, 40), bool), 32, 32, 8)
    ()
    """
    rows, cols = valid.shape
    tops, lefts = _places(rows, side_px), _places(cols, side_px)
    total = len(tops) * len(lefts)
    drawn = generator(_HELD_OUT_SEED, _STREAM).choice(total, min(total, _PLACES), replace=False)
    left = _MOST_LOST * len(Corners(valid, patch_px))
    chosen: list[Window] = []
    for place in drawn:
        if len(chosen) == most:
            break
        block = Window(tops[place // len(lefts)], lefts[place % len(lefts)], side_px, side_px)
        free = all(max(abs(block.row - b.row), abs(block.col - b.col)) >= side_px for b in chosen)
        if not free or 2 * np.count_nonzero(valid[block.slices]) < side_px**2:
            continue
        lost = Corners(valid, patch_px, tuple(chosen)).lost(block)
        if lost <= left:
            chosen.append(block)
            left -= lost
    return tuple(chosen)


def _places(size: int, side: int) -> Sequence[int]:
    """Return where blocks begin that lie side by side from the first pixel on, and one that ends with the last."""
    if size < side:
        return ()
    return sorted({*range(0, size - side + 1, side), size - side})
