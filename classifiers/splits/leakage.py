"""What a split leaks: which test pixels have features that a training pixel took part in.

A plane's value at a pixel is decided by all that the model saw with it: normalisation and attention mix a whole tile, so
its context is the tile of the pixel's core, mirrored beyond the scene's edge as the model saw it. Where a plane is
coarser than the scene, values are interpolated, and near the edge of a core two tiles count. A window mean sees its
window, a spectrum its own pixel. Not counted: what was fitted on the whole scene without labels, as a projection or a
backbone may be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import ColumnGroup, Layout
from classifiers.splits.split_draw import SplitDraw
from hsifeat.features.features import Features
from hsifeat.scenes.blocks import blocks
from hsifeat.types import PlaneId

# Values that are held of each test pixel of a block while its context is looked up.
_DEPTH = 16


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a plane, as its recipe says.

    Attributes
    ----------
    core_px : int
        From one tile to the next; 0 where the scene was seen whole.
    halo_px : int
        Width of the frame around that.
    stride : int
        Scene pixels along a cell of the plane.
    blended : bool
        Whether all of each tile counts, where tiles overlap, and not its core alone.
    origin : tuple of 2 ints or None
        Corner of the first tile; None where its core begins with the scene.
    mirrored : bool
        Whether tiles saw the scene mirrored beyond its edge.
    """

    core_px: int
    halo_px: int
    stride: int = 1
    blended: bool = False
    origin: tuple[int, int] | None = None
    mirrored: bool = True

    @property
    def tile_px(self) -> int:
        """Side of what the model saw."""
        return self.core_px + 2 * self.halo_px

    def span(
        self, low: NDArray[np.intp], high: NDArray[np.intp], length: int, axis: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the first pixel, and the one after the last, that tiles of the cells from `low` to `high` saw."""
        if not self.core_px:
            return np.zeros_like(low), np.full_like(high, length)
        margin = 0 if self.blended else self.halo_px
        first = -self.halo_px if self.origin is None else self.origin[axis]
        kept = self.tile_px - 2 * margin
        most = max(-(-(length - first - margin - kept) // self.core_px), 0)
        # A cell lies in the kept part of the tiles between these two.
        begin = np.clip((low * self.stride - first - margin - kept) // self.core_px + 1, 0, most)
        end = np.clip((high * self.stride - first - margin) // self.core_px, 0, most)
        start, stop = first + begin * self.core_px, first + end * self.core_px + self.tile_px
        if self.mirrored:
            start, stop = _with_mirrored(start, stop, length)
        return np.maximum(start, 0), np.minimum(stop, length)


def _with_mirrored(
    start: NDArray[np.intp], stop: NDArray[np.intp], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Add what was seen beyond the edge: the scene mirrored, so those pixels of it as well."""
    from_end, from_start = 2 * (length - 1) - (stop - 1), 1 - start
    return np.minimum(start, from_end), np.maximum(stop, from_start)


@dataclass(frozen=True)
class Footprint:
    """Which pixels of the scene decide the features of a pixel: a rectangle.

    Attributes
    ----------
    window_px : int
        Side of the window that is averaged; 1 takes the pixel alone.
    tiles : Tiles or None
        For features of a plane, what the model saw.
    mirrored : bool
        Whether the window was what the model saw, and held the scene mirrored beyond its edge.
    """

    window_px: int = 1
    tiles: TileGrid | None = None
    mirrored: bool = False

    def __str__(self) -> str:
        window = "" if self.window_px == 1 else f"{self.window_px}x{self.window_px} px window"
        if self.tiles is None:
            return window or "its own pixel"
        tile = f"{self.tiles.tile_px}x{self.tiles.tile_px} px tile" if self.tiles.core_px else "the whole scene"
        tile += "s that overlap" if self.tiles.blended else ""
        return tile + (f" of a {window}" if window else "")

    def span(self, at: NDArray[np.intp], length: int, axis: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the first pixel of the context, and the one after the last, along an axis of `length` pixels."""
        first, stop = at - self.window_px // 2, at - self.window_px // 2 + self.window_px
        if self.mirrored:
            first, stop = _with_mirrored(first, stop, length)
        first, last = np.maximum(first, 0), np.minimum(stop, length) - 1
        if self.tiles is None:
            return first, last + 1
        stride = self.tiles.stride
        cells = -(-length // stride)
        # Cells between whose centres the pixels lie, then the tiles of those cells.
        low = np.floor(np.maximum((first + 0.5) / stride - 0.5, 0)).astype(np.intp)
        high = np.minimum(np.ceil(np.maximum((last + 0.5) / stride - 0.5, 0)).astype(np.intp), cells - 1)
        return self.tiles.span(low, high, length, axis)


@dataclass(frozen=True)
class Leakage:
    """What one draw leaks.

    Attributes
    ----------
    seen : float
        Share of the test pixels whose context holds a training pixel.
    median_px, least_px : float
        Distance (Euclidean, between centres) from a test pixel to the nearest training pixel: median and least.
    """

    seen: float
    median_px: float
    least_px: float

    def __str__(self) -> str:
        return (
            f"the features of {self.seen:.1%} of the test pixels saw a training pixel; the nearest one is "
            f"{self.median_px:.1f} px away at the median, {self.least_px:.1f} px at least"
        )


def layout_footprints(features: Features, layout: Layout) -> frozenset[Footprint]:
    """Return the contexts of the columns of a layout over a store; a pixel's features see all of them."""
    return frozenset(_context_of(features, group) for group in layout)


def _context_of(features: Features, group: ColumnGroup) -> Footprint:
    window = group.size or 1
    if group.t is None or group.layer is None:
        return Footprint(window)
    (plane,) = features.select([PlaneId(group.t, group.layer)])
    store, _ = features.owner(plane)
    tiling = store.recipe["tiling"]
    mirrored = tiling["padding"] == "reflect"
    if store.window_px is not None:  # The mean and the value at the pixel saw the same window.
        return Footprint(store.window_px, mirrored=mirrored)
    frame = tiling["halo_px"]
    origin = tiling.get("origin")
    return Footprint(
        window,
        TileGrid(
            tiling["tile_px"] - 2 * frame,
            frame,
            plane.stride,
            blended=tiling["stitch"] in {"mean", "hann"},
            origin=None if origin is None else (origin[0], origin[1]),
            mirrored=mirrored,
        ),
    )


def measure_leakage(draw: SplitDraw, contexts: Iterable[Footprint]) -> Leakage:
    """Measure what a draw leaks to features with the given contexts."""
    from scipy.spatial import cKDTree

    contexts = tuple(contexts)
    train, test = draw.train, draw.test
    counts = _summed(train)
    tree = cKDTree(np.argwhere(train))
    far, seen, done = np.empty(np.count_nonzero(test)), 0, 0
    for block in blocks(*draw.shape, depth=_DEPTH):
        rows, cols = np.nonzero(test[block.slices])
        rows, cols = rows + block.row, cols + block.col
        far[done : done + len(rows)] = tree.query(np.stack([rows, cols], axis=1))[0]
        done += len(rows)
        found = np.zeros(len(rows), np.bool_)
        for context in contexts:
            top, bottom = context.span(rows, draw.shape[0])
            left, right = context.span(cols, draw.shape[1], axis=1)
            found |= counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left] > 0
        seen += int(np.count_nonzero(found))
    least = float(far.min())
    return Leakage(seen / len(far), float(np.median(far, overwrite_input=True)), least)


def _summed(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return a summed-area table (Crow 1984) of a (rows, cols) mask: it counts any rectangle's pixels in four reads."""
    counts = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    for row, inside in enumerate(mask):
        np.cumsum(inside, out=counts[row + 1, 1:])
        counts[row + 1] += counts[row]
    return counts
