"""Positions of the training patches of a scene, and choice of held-out blocks, which no training patch overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.pretraining.batches import Stream, make_generator
from hsifeat.types import Window

# The choice of held-out blocks does not depend on the seed of the training, so that training runs can be compared.
_HELD_OUT_SEED = 0
# Largest share of all patches that may be lost to held-out blocks, and largest number of block positions to try.
_MAX_LOST_SHARE, _MAX_TRIALS = 0.1, 4096


@dataclass(frozen=True)
class PatchGrid:
    """Numbered positions of square patches of a scene. Patches have a valid centre, and overlap no held-out block.

    A position is the upper left corner of a patch. Positions are numbered in row-major order. `locate` computes positions
    from the mask of valid pixels, because a list of all positions of a large scene would need much memory.

    Attributes
    ----------
    valid : (rows, cols) bool array
        Mask of the valid pixels of the scene.
    patch_px : int
        Side of a patch, in pixels; at most the smaller side of the scene.
    held_out : tuple of Window
        Held-out blocks.

    Examples
    --------
    >>> grid = PatchGrid(np.ones((4, 5), bool), 3)
    >>> len(grid), grid.locate(0), grid.locate(5)
    (6, (0, 0), (1, 2))
    >>> len(PatchGrid(np.ones((4, 5), bool), 3, (Window(0, 0, 1, 1),)))
    5
    """

    valid: NDArray[np.bool_]
    patch_px: int
    held_out: tuple[Window, ...] = ()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def locate(self, number: int) -> tuple[int, int]:
        """Return the row and the column of position `number`."""
        row = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[row - 1]) if row else 0
        return row, int(np.flatnonzero(self._is_position(Window(row, 0, 1, self._cols)))[number - before])

    def count_lost(self, block: Window) -> int:
        """Return the number of patches that overlap `block`. If the block is held out, no training uses these patches."""
        return int(np.count_nonzero(self._is_position(self._touching(block))))

    @property
    def _rows(self) -> int:
        return int(self.valid.shape[0]) - self.patch_px + 1

    @property
    def _cols(self) -> int:
        return int(self.valid.shape[1]) - self.patch_px + 1

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """Cumulative number of positions at the end of each row."""
        rows = (np.count_nonzero(self._is_position(Window(row, 0, 1, self._cols))) for row in range(self._rows))
        return np.cumsum(np.fromiter(rows, np.int64, self._rows))

    def _is_position(self, window: Window) -> NDArray[np.bool_]:
        half = self.patch_px // 2
        rows, cols = window.slices
        mask = self.valid[rows.start + half : rows.stop + half, cols.start + half : cols.stop + half].copy()
        for block in self.held_out:
            touching = self._touching(block)
            top, left = max(touching.row - window.row, 0), max(touching.col - window.col, 0)
            bottom = max(touching.row + touching.rows - window.row, 0)
            right = max(touching.col + touching.cols - window.col, 0)
            mask[top:bottom, left:right] = False
        return mask

    def _touching(self, block: Window) -> Window:
        reach = self.patch_px - 1
        surroundings = Window(block.row - reach, block.col - reach, block.rows + reach, block.cols + reach)
        return surroundings.clip(self._rows, self._cols)


def choose_held_out_blocks(
    valid: NDArray[np.bool_], patch_px: int, side_px: int, max_blocks: int
) -> tuple[Window, ...]:
    """Choose square blocks of a scene to hold out for evaluation.

    Blocks are drawn with a fixed seed. A block is accepted if at least half of its pixels are valid, and if the block
    overlaps no block accepted before. All accepted blocks together may overlap at most a tenth of all patches. A block at
    an edge or in a corner of the scene overlaps fewer patches than other blocks. In a small scene, only such a block is below
    the limit of a tenth. In a very small scene, every block is above the limit, and the result is empty.

    Parameters
    ----------
    valid : (rows, cols) bool array
        Mask of the valid pixels of the scene.
    patch_px : int
        Side of a training patch, in pixels.
    side_px : int
        Side of a block, in pixels.
    max_blocks : int
        Largest number of blocks.

    Returns
    -------
    tuple of Window
        The blocks.

    Examples
    --------
    >>> choose_held_out_blocks(np.ones((145, 145), bool), 32, 32, 8)
    (Window(row=0, col=0, rows=32, cols=32),)
    >>> choose_held_out_blocks(np.ones((40, 40), bool), 32, 32, 8)
    ()
    """
    rows, cols = valid.shape
    tops, lefts = _block_starts(rows, side_px), _block_starts(cols, side_px)
    total = len(tops) * len(lefts)
    trials = make_generator(_HELD_OUT_SEED, Stream.HELD_OUT_BLOCKS).choice(
        total, min(total, _MAX_TRIALS), replace=False
    )
    budget = _MAX_LOST_SHARE * len(PatchGrid(valid, patch_px))
    blocks: list[Window] = []
    for trial in trials:
        if len(blocks) == max_blocks:
            break
        block = Window(tops[trial // len(lefts)], lefts[trial % len(lefts)], side_px, side_px)
        free = all(max(abs(block.row - b.row), abs(block.col - b.col)) >= side_px for b in blocks)
        if not free or 2 * np.count_nonzero(valid[block.slices]) < side_px**2:
            continue
        lost = PatchGrid(valid, patch_px, tuple(blocks)).count_lost(block)
        if lost <= budget:
            blocks.append(block)
            budget -= lost
    return tuple(blocks)


def _block_starts(size: int, side: int) -> Sequence[int]:
    """Return the first pixel of each of the adjacent blocks of `side` pixels along an axis of `size` pixels.

    An additional block ends at the last pixel of the axis, unless an adjacent block already does.
    """
    if size < side:
        return ()
    return sorted({*range(0, size - side + 1, side), size - side})
