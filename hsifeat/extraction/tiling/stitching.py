"""Stitch the feature maps of tiles into blocks of a plane (the features of one layer at one timestep)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch

Blend = Literal["mean", "hann"]


class CoreBlock:
    """Accumulator for a block of a plane. It keeps the core of each tile. See `PlaneBlock`.

    Parameters
    ----------
    plane : PlaneSpec
        The plane.
    unit : Window
        Part of the plane to accumulate, in scene pixels.
    margin_px : int
        Width of the margin that is discarded on each side of a tile, in scene pixels.
    """

    def __init__(self, plane: PlaneSpec, unit: Window, margin_px: int) -> None:
        self._stride, self._unit, self._margin_px = plane.stride, unit, margin_px
        self._values = np.zeros(plane.cells(unit.rows, unit.cols), dtype=plane.dtype)

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Copy the cores of tiles, clipped to the block, into the block. See `PlaneBlock.add`."""
        for tile, features in zip(tiles, maps, strict=True):
            in_block, in_map = _overlap(tile, self._margin_px, self._unit, self._stride, self._values.shape)
            _store(self._values[in_block], _cells(features, in_map))

    def finish(self) -> NDArray[np.generic]:
        """Return the block as a (cell rows, cell cols, channels) array of the plane's dtype."""
        return self._values


class BlendedBlock:
    """Accumulator for a block of a plane. It averages overlapping tiles. See `PlaneBlock`.

    Weighted sums are accumulated in float32, in row-major order of the tiles.

    Parameters
    ----------
    plane : PlaneSpec
        The plane.
    unit : Window
        Part of the plane to accumulate, in scene pixels.
    blend : {"mean", "hann"}
        Weights of the cells of a tile; see `blend_weights`.
    """

    def __init__(self, plane: PlaneSpec, unit: Window, blend: Blend) -> None:
        self._stride, self._unit, self._blend, self._dtype = plane.stride, unit, blend, plane.dtype
        self._sums = np.zeros(plane.cells(unit.rows, unit.cols), np.float32)
        self._weights = np.zeros(self._sums.shape[:2], np.float32)

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Add the weighted feature maps of tiles, clipped to the block. See `PlaneBlock.add`."""
        for tile, features in zip(tiles, maps, strict=True):
            in_block, in_map = _overlap(tile, 0, self._unit, self._stride, self._sums.shape)
            rows, cols = (blend_weights(n, self._blend) for n in features.shape[1:])
            weights = rows[in_map[0], None] * cols[in_map[1]]
            self._sums[in_block] += weights[..., None] * _cells(features, in_map).cpu().numpy()
            self._weights[in_block] += weights

    def finish(self) -> NDArray[np.generic]:
        """Return the weighted mean of the tiles as a (cell rows, cell cols, channels) array of the plane's dtype."""
        import torch

        weights = self._weights[..., None]
        np.divide(self._sums, weights, out=self._sums, where=weights > 0)
        values = np.empty(self._sums.shape, self._dtype)
        _store(values, torch.from_numpy(self._sums))
        return values


def blend_weights(cells: int, blend: Blend) -> NDArray[np.float32]:
    """Return the weights of a tile's cells along one axis.

    Parameters
    ----------
    cells : int
        Number of cells n along the axis.
    blend : {"mean", "hann"}
        ``mean`` weights all cells by 1. ``hann`` samples a Hann window at cell centres,
        ``w_i = sin^2(pi (i + 1/2) / n)``. All weights are positive, so a cell that only one tile covers keeps its value
        in the weighted mean.

    Returns
    -------
    (cells,) float32 array
        Weight of each cell, above 0 and at most 1.

    Examples
    --------
    >>> blend_weights(4, "hann").round(3).tolist() == np.float32([0.146, 0.854, 0.854, 0.146]).tolist()
    True
    """
    if blend == "mean":
        return np.ones(cells, np.float32)
    return (np.sin(np.pi * (np.arange(cells) + 0.5) / cells) ** 2).astype(np.float32)


def _overlap(
    tile: Window, margin_px: int, unit: Window, stride: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the cells in which the unit and the core of the tile overlap.

    The first two slices select these cells in the array of the unit, and the last two select them in the feature map of the
    tile.
    """
    in_block, in_map = [], []
    for tile_start, tile_side, unit_start, block_side in (
        (tile.row, tile.rows, unit.row, shape[0]),
        (tile.col, tile.cols, unit.col, shape[1]),
    ):
        first = max((tile_start + margin_px - unit_start) // stride, 0)
        last = min((tile_start + tile_side - margin_px - unit_start) // stride, block_side)
        shift = (unit_start - tile_start) // stride
        in_block.append(slice(first, last))
        in_map.append(slice(first + shift, last + shift))
    return (in_block[0], in_block[1]), (in_map[0], in_map[1])


def _cells(features: torch.Tensor, part: tuple[slice, slice]) -> torch.Tensor:
    """Return a part of a feature map (channels, rows, cols) as a float32 tensor (rows, cols, channels)."""
    return features[(slice(None), *part)].permute(1, 2, 0).float()


def _store(target: NDArray[np.generic], values: torch.Tensor) -> None:
    """Copy float32 values to a block of a plane. Values that float16 can't hold become infinite, see `check_finite`.

    torch rounds to float16 with the same bits as NumPy, and ten times as fast.
    """
    import torch

    torch.from_numpy(target).copy_(values)
