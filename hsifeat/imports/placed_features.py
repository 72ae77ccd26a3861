"""Features on the grid of a scene, with one cell for each square of pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from hsifeat.imports.feature_map import FeatureMap
from hsifeat.store.plane_layout import UNIT_PX
from hsifeat.types import Window, windows

BLOCK_CELLS = 64
"""Side of the blocks in which features are placed, in cells."""

# Number of values of a finer file that are read at a time, but at least those of BLOCK_CELLS x BLOCK_CELLS cells.
_PART_VALUES = 2**24
_KEPT_BLOCKS = 4
_KEPT_ROW_BYTES = 2**27


class PlacedFeatures(ABC):
    """Features of one file on the grid of a scene.

    Features are computed block by block. The blocks of `BLOCK_CELLS` x `BLOCK_CELLS` cells have fixed positions. The values
    of a cell therefore do not depend on the window that is read.

    Parameters
    ----------
    features : FeatureMap
        The features on their own grid.
    rows, cols : int
        Shape of the scene in pixels.
    stride : int
        Side of a cell in pixels of the scene.
    """

    def __init__(self, features: FeatureMap, rows: int, cols: int, stride: int) -> None:
        self.features, self.stride = features, stride
        self.rows, self.cols = -(-rows // stride), -(-cols // stride)
        self._kept: OrderedDict[tuple[int, int], NDArray[np.float32]] = OrderedDict()

    @property
    @abstractmethod
    def rule(self) -> str:
        """How the features were placed, in words."""

    @abstractmethod
    def _place(self, window: Window) -> NDArray[np.float32]:
        """Return the features of a block of cells; NaN in all channels of a cell without a value."""

    @property
    def spread_px(self) -> int:
        """Number of pixels that resampling adds to the side of the square window on which the features of a cell depend."""
        return 0

    @property
    def block_cells(self) -> int:
        """Maximum number of cells of the file that are read at a time for one block of the plane."""
        return BLOCK_CELLS**2

    @property
    def _part_cells(self) -> int:
        """Maximum number of cells of a finer file that are read at a time."""
        return max(_PART_VALUES // self.features.channels, BLOCK_CELLS**2)

    @property
    def kept_bytes(self) -> int:
        """Maximum total size in bytes of the blocks that are kept in memory."""
        return self._kept_blocks * self._block_bytes

    @property
    def _kept_blocks(self) -> int:
        """Maximum number of blocks that are kept in memory.

        If a block is taller than a unit (one shard of the plane), several rows of units lie in one row of blocks. This row is
        then kept if it is small enough.
        """
        in_row = -(-self.cols // BLOCK_CELLS)
        keeps_row = BLOCK_CELLS * self.stride > UNIT_PX and in_row * self._block_bytes <= _KEPT_ROW_BYTES
        return max(in_row, _KEPT_BLOCKS) if keeps_row else _KEPT_BLOCKS

    @property
    def _block_bytes(self) -> int:
        return 4 * self.features.channels * BLOCK_CELLS**2

    def blocks(self) -> list[Window]:
        """Return the windows of all blocks, in cells of the plane and in row-major order."""
        return list(windows(self.rows, self.cols, BLOCK_CELLS))

    def read(self, window: Window) -> NDArray[np.float32]:
        """Read the features of a window of cells.

        Parameters
        ----------
        window : Window
            Window within the grid of cells.

        Returns
        -------
        (window rows, window cols, channels) float32 array
            Features; NaN in all channels of a cell without a value.
        """
        values = np.empty((window.rows, window.cols, self.features.channels), np.float32)
        bottom, right = window.row + window.rows, window.col + window.cols
        for top in range(window.row // BLOCK_CELLS * BLOCK_CELLS, bottom, BLOCK_CELLS):
            for left in range(window.col // BLOCK_CELLS * BLOCK_CELLS, right, BLOCK_CELLS):
                block = self._block(top, left)
                inner = Window(
                    max(top, window.row),
                    max(left, window.col),
                    min(top + block.shape[0], bottom) - max(top, window.row),
                    min(left + block.shape[1], right) - max(left, window.col),
                )
                target = Window(inner.row - window.row, inner.col - window.col, inner.rows, inner.cols)
                part = Window(inner.row - top, inner.col - left, inner.rows, inner.cols)
                values[target.slices] = block[part.slices]
        return values

    def _block(self, top: int, left: int) -> NDArray[np.float32]:
        key = top, left
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            window = Window(top, left, BLOCK_CELLS, BLOCK_CELLS).clip(self.rows, self.cols)
            self._kept[key] = self._place(window)
            if len(self._kept) > self._kept_blocks:
                self._kept.popitem(last=False)
        return self._kept[key]


class CopiedFeatures(PlacedFeatures):
    """Features whose cells coincide with the cells of the plane. The features are copied without a change.

    Parameters
    ----------
    row, col : int
        Row and column, in the file, of the cell at the upper left corner of the scene.
    """

    def __init__(self, features: FeatureMap, rows: int, cols: int, stride: int, row: int = 0, col: int = 0) -> None:
        super().__init__(features, rows, cols, stride)
        self._row, self._col = row, col

    @property
    def rule(self) -> str:
        """How the features were placed, in words."""
        size = "pixel" if self.stride == 1 else f"{self.stride} x {self.stride} pixels"
        return f"copied, one cell per {size}"

    def _place(self, window: Window) -> NDArray[np.float32]:
        return self.features.read(Window(window.row + self._row, window.col + self._col, window.rows, window.cols))


class AveragedFeatures(PlacedFeatures):
    """Features on a grid that is finer than the plane. Each cell of the plane gets the mean of the valid cells inside it.

    Parameters
    ----------
    factor : int
        Number of cells of the file along one side of a plane's cell.
    row, col : int
        Row and column, in the file, of the cell at the upper left corner of the scene.
    """

    def __init__(
        self, features: FeatureMap, rows: int, cols: int, stride: int, factor: int, row: int = 0, col: int = 0
    ) -> None:
        super().__init__(features, rows, cols, stride)
        self._factor, self._row, self._col = factor, row, col

    @property
    def rule(self) -> str:
        """How the features were placed, in words."""
        return f"averaged over {self._factor} x {self._factor} cells"

    @property
    def block_cells(self) -> int:
        """Maximum number of cells of the file that are read at a time for one block of the plane."""
        return min((BLOCK_CELLS * self._factor) ** 2, self._part_cells)

    def _place(self, window: Window) -> NDArray[np.float32]:
        total = np.zeros((window.rows, window.cols, self.features.channels))
        count = np.zeros((window.rows, window.cols, 1), np.int64)
        for part, cells in self._parts(window):
            sides = part.rows, cells.rows // part.rows, part.cols, cells.cols // part.cols
            values = self.features.read(cells).reshape(*sides, -1)
            present = np.isfinite(values[..., :1])
            count[part.slices] += present.sum(axis=(1, 3))
            total[part.slices] += np.where(present, values, np.float32(0)).sum(axis=(1, 3), dtype=np.float64)
        mean = np.full(total.shape, np.nan)
        np.divide(total, count, out=mean, where=np.broadcast_to(count > 0, total.shape))
        return mean.astype(np.float32)

    def _parts(self, window: Window) -> Iterator[tuple[Window, Window]]:
        """Divide a window of the plane, so that at most `_part_cells` cells of the file are read at a time.

        Yields
        ------
        part : Window
            Cells of the plane, counted from the upper left corner of the window.
        cells : Window
            The cells of the file inside `part`. A single cell of the plane may be yielded several times, each time with
            other cells of the file. Parts of the plane that are outside of the file are left out.
        """
        k, side = self._factor, isqrt(self._part_cells)
        for part in windows(window.rows, window.cols, max(side // k, 1)):
            top, left = k * (window.row + part.row) + self._row, k * (window.col + part.col) + self._col
            cells = Window(top, left, k * part.rows, k * part.cols)
            known = cells.clip(*self.features.shape)
            if self.features.columns_per_turn is not None:  # columns beyond the file are those a whole turn away
                known = Window(known.row, left, known.rows, cells.cols)
            if not known.rows or not known.cols:
                continue
            if k <= side:
                yield part, cells
                continue
            for piece in windows(known.rows, known.cols, side):
                yield part, Window(known.row + piece.row, known.col + piece.col, piece.rows, piece.cols)


def fill_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill each cell without a value with the mean of its neighbours that have a value. If no neighbour has a value, fill with 0.

    A plane that is coarser than the scene is interpolated between cells. The cells around a cell with a value therefore need
    values as well.

    Parameters
    ----------
    values : (rows, cols, channels) float32 array
        Features; NaN in all channels of a cell without a value.

    Examples
    --------
    >>> fill_gaps(np.array([[[2], [np.nan], [np.nan]], [[4], [np.nan], [np.nan]]], np.float32))[..., 0].tolist()
    [[2.0, 3.0, 0.0], [4.0, 3.0, 0.0]]
    """
    present = np.isfinite(values[..., 0])
    filled = np.where(present[..., np.newaxis], values, np.float32(0))
    if present.all():
        return filled
    sums, counts = np.pad(filled, ((1, 1), (1, 1), (0, 0))), np.pad(present, 1).astype(np.int64)
    around = [(row, col) for row in range(3) for col in range(3)]
    rows, cols = np.nonzero(~present)
    number = np.sum([counts[rows + row, cols + col] for row, col in around], axis=0)
    rows, cols, number = rows[number > 0], cols[number > 0], number[number > 0]
    total = np.zeros((len(rows), values.shape[2]))
    for row, col in around:
        total += sums[rows + row, cols + col]
    filled[rows, cols] = total / number[:, np.newaxis]
    return filled
