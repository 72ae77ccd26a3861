"""Stitching: a unit's block of a plane, made of what its tiles keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.extraction.tiling.pixel_windows import PixelWindows, WindowRows
from hsifeat.extraction.tiling.tiles import Tiling
from hsifeat.store.layout import PlaneSpec
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch


class Block(Protocol):
    """A unit's block of one plane, being made. Cells that no tile keeps hold 0."""

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Lay in what is kept of the next tiles' taps (n, channels, cell rows, cell cols)."""
        ...

    def finish(self) -> NDArray[np.generic]:
        """Return the block in the plane's stored dtype, of the shape that the grid of units says."""
        ...


def new_block(plane: PlaneSpec, tiling: Tiling | PixelWindows, unit: Window) -> Block:
    """Begin a unit's block of a plane."""
    if isinstance(tiling, PixelWindows):
        return WindowRows(plane, tiling, unit)
    return Blend(plane, tiling, unit) if tiling.blends else Paste(plane, tiling, unit)


class Paste:
    """A block in which each cell comes from one tile."""

    def __init__(self, plane: PlaneSpec, tiling: Tiling, unit: Window) -> None:
        self._stride, self._tiling, self._unit = plane.stride, tiling, unit
        self._values = np.zeros(plane.cells(unit.rows, unit.cols), dtype=plane.dtype)

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Lay in tiles' cores, up to the unit's edge."""
        for tile, features in zip(tiles, maps, strict=True):
            there, here = _common(self._tiling.kept(tile), tile, self._unit, self._stride, self._values.shape)
            with np.errstate(over="ignore"):  # Overflow is looked for, and refused, once the unit is whole.
                self._values[there] = _cells(features, here)

    def finish(self) -> NDArray[np.generic]:
        """Return the block."""
        return self._values


class Blend:
    """A block in which each cell is the weighted mean of the tiles over it, summed in float32 in row-major order."""

    def __init__(self, plane: PlaneSpec, tiling: Tiling, unit: Window) -> None:
        self._stride, self._tiling, self._unit = plane.stride, tiling, unit
        self._dtype = plane.dtype
        self._sums = np.zeros(plane.cells(unit.rows, unit.cols), np.float32)
        self._weights = np.zeros(self._sums.shape[:2], np.float32)

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Add tiles, weighted, up to the unit's edge."""
        for tile, features in zip(tiles, maps, strict=True):
            there, here = _common(tile, tile, self._unit, self._stride, self._sums.shape)
            rows, cols = (weights_along(n, self._tiling.stitch) for n in features.shape[1:])
            weights = rows[here[0], None] * cols[here[1]]
            self._sums[there] += weights[..., None] * _cells(features, here)
            self._weights[there] += weights

    def finish(self) -> NDArray[np.generic]:
        """Return the block, normalised."""
        weights = self._weights[..., None]
        np.divide(self._sums, weights, out=self._sums, where=weights > 0)
        with np.errstate(over="ignore"):
            return self._sums.astype(self._dtype, copy=False)


def weights_along(cells: int, stitch: str) -> NDArray[np.float32]:
    """Return the weights of a tile's cells along one side: 1, or a Hann window taken at the cells' centres.

    ``w_i = sin^2(pi (i + 1/2) / n)`` is nowhere 0, so a cell at the edge of the only tile over it keeps its value.

    >>> [round(float(weight), 3) for weight in weights_along(4, "hann")]
    [0.146, 0.854, 0.854, 0.146]
    """
    if stitch == "mean":
        return np.ones(cells, np.float32)
    return (np.sin(np.pi * (np.arange(cells) + 0.5) / cells) ** 2).astype(np.float32)


def _common(
    kept: Window, tile: Window, unit: Window, stride: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the cells that a tile keeps of a unit: in the unit's block, and in the tile's map."""
    there, here = [], []
    for start, count, corner, edge, length in (
        (kept.row, kept.rows, tile.row, unit.row, shape[0]),
        (kept.col, kept.cols, tile.col, unit.col, shape[1]),
    ):
        first = max((start - edge) // stride, 0)
        last = min((start + count - edge) // stride, length)
        moved = (edge - corner) // stride
        there.append(slice(first, last))
        here.append(slice(first + moved, last + moved))
    return (there[0], there[1]), (here[0], here[1])


def _cells(features: torch.Tensor, here: tuple[slice, slice]) -> NDArray[np.float32]:
    cells: NDArray[np.float32] = features[(slice(None), *here)].permute(1, 2, 0).float().cpu().numpy()
    return cells
