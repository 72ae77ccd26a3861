"""Leakage of a split: which test pixels have features that depend on a training pixel.

The footprint of a feature is the set of scene pixels that it depends on. Normalisation and attention mix a whole tile, so
the footprint of a plane at a pixel is the tile of the pixel's core, including what was mirrored beyond the scene's edge.
Where a plane is coarser than the scene, values are interpolated, and near the edge of a core two tiles count. The footprint
of a window mean is its window, and that of a spectrum its pixel. Parts fitted on the whole scene without labels, such as a
projection or a backbone, are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import ColumnGroup, Layout
from classifiers.splits.split_draw import SplitDraw
from hsifeat.features.features import Features
from hsifeat.features.summed_area import summed_area_table
from hsifeat.scenes.blocks import blocks
from hsifeat.types import PlaneId

# Number of values kept in memory for each test pixel of a block.
_VALUES_PER_PIXEL = 16


@dataclass(frozen=True)
class TileGrid:
    """The tile grid that a plane was computed on.

    Attributes
    ----------
    core_px : int
        Distance between tiles in pixels; 0 if the whole scene was one tile.
    halo_px : int
        Width of the halo around the core, in pixels.
    stride : int
        Scene pixels per cell of the plane.
    blended : bool
        Whether overlapping tiles are blended, so that each whole tile counts and not only its core.
    origin : tuple of 2 ints or None
        Corner of the first tile; None if its core begins at the scene's corner.
    mirrored : bool
        Whether the scene was mirrored beyond its edge.
    """

    core_px: int
    halo_px: int
    stride: int = 1
    blended: bool = False
    origin: tuple[int, int] | None = None
    mirrored: bool = True

    @property
    def tile_px(self) -> int:
        """Side of a tile, halo included."""
        return self.core_px + 2 * self.halo_px

    def span(
        self, low: NDArray[np.intp], high: NDArray[np.intp], length: int, axis: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return first pixel, and the one after the last, of the tiles that hold the cells from `low` to `high`.

        Parameters
        ----------
        low, high : (n,) intp arrays
            First and last cell along an axis.
        length : int
            Pixels of the scene along the axis.
        axis : int
            0 for rows, 1 for columns.

        Returns
        -------
        start, stop : (n,) intp arrays
        """
        if not self.core_px:
            return np.zeros_like(low), np.full_like(high, length)
        margin = 0 if self.blended else self.halo_px
        first = -self.halo_px if self.origin is None else self.origin[axis]
        kept = self.tile_px - 2 * margin
        most = max(-(-(length - first - margin - kept) // self.core_px), 0)
        # A cell lies in the used part of the tiles between these two.
        begin = np.clip((low * self.stride - first - margin - kept) // self.core_px + 1, 0, most)
        end = np.clip((high * self.stride - first - margin) // self.core_px, 0, most)
        start, stop = first + begin * self.core_px, first + end * self.core_px + self.tile_px
        if self.mirrored:
            start, stop = _with_mirrored(start, stop, length)
        return np.maximum(start, 0), np.minimum(stop, length)


def _with_mirrored(
    start: NDArray[np.intp], stop: NDArray[np.intp], length: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Extend a range beyond the scene's edge by the pixels that were mirrored there."""
    from_end, from_start = 2 * (length - 1) - (stop - 1), 1 - start
    return np.minimum(start, from_end), np.maximum(stop, from_start)


@dataclass(frozen=True)
class Footprint:
    """The rectangle of scene pixels that a feature of a pixel depends on.

    Attributes
    ----------
    window_px : int
        Side of the window that is averaged; 1 is the pixel alone.
    tiles : TileGrid or None
        For features of a plane, the grid that it was computed on.
    mirrored : bool
        Whether the scene was mirrored where the window reaches beyond its edge; only for planes that list pixels, whose
        window was the model's input.
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
        """Return first pixel, and the one after the last, of the footprints of pixels along an axis.

        Parameters
        ----------
        at : (n,) intp array
            Pixels along the axis.
        length : int
            Pixels of the scene along the axis.
        axis : int
            0 for rows, 1 for columns.

        Returns
        -------
        start, stop : (n,) intp arrays
        """
        first, stop = at - self.window_px // 2, at - self.window_px // 2 + self.window_px
        if self.mirrored:
            first, stop = _with_mirrored(first, stop, length)
        first, last = np.maximum(first, 0), np.minimum(stop, length) - 1
        if self.tiles is None:
            return first, last + 1
        stride = self.tiles.stride
        cells = -(-length // stride)
        # The cells whose centres enclose the pixels, then the tiles of those cells.
        low = np.floor(np.maximum((first + 0.5) / stride - 0.5, 0)).astype(np.intp)
        high = np.minimum(np.ceil(np.maximum((last + 0.5) / stride - 0.5, 0)).astype(np.intp), cells - 1)
        return self.tiles.span(low, high, length, axis)


@dataclass(frozen=True)
class Leakage:
    """Leakage of one draw of a split.

    Attributes
    ----------
    share : float
        Share of test pixels with a training pixel in their footprint, 0 to 1.
    median_px, min_px : float
        Median and minimum Euclidean distance from a test pixel to the nearest training pixel, between centres.
    """

    share: float
    median_px: float
    min_px: float

    def __str__(self) -> str:
        return (
            f"the features of {self.share:.1%} of the test pixels depend on a training pixel; the nearest one is "
            f"{self.median_px:.1f} px away at the median, {self.min_px:.1f} px at least"
        )


def layout_footprints(features: Features, layout: Layout) -> frozenset[Footprint]:
    """Return the footprints of the columns of a layout over a store; a table row depends on all of them."""
    return frozenset(_group_footprint(features, group) for group in layout)


def _group_footprint(features: Features, group: ColumnGroup) -> Footprint:
    window = group.size or 1
    if group.t is None or group.layer is None:
        return Footprint(window)
    (plane,) = features.select([PlaneId(group.t, group.layer)])
    store, _ = features.owner(plane)
    tiling = store.recipe["tiling"]
    mirrored = tiling["padding"] == "reflect"
    if store.window_px is not None:  # the mean and the value at the pixel have the same window
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


def measure_leakage(draw: SplitDraw, footprints: Iterable[Footprint]) -> Leakage:
    """Measure the leakage of a draw to features with the given footprints.

    Parameters
    ----------
    draw : SplitDraw
        The draw.
    footprints : iterable of Footprint
        Footprints of the features, see `layout_footprints`.

    Examples
    --------
    >>> import numpy as np
    >>> from classifiers import parse_split
    >>> from hsifeat import Labels
    >>> labels = Labels("fields", np.ones((20, 20), int).cumsum(axis=1) // 11 + 1, {1: "corn", 2: "wheat"})
    >>> draw = parse_split("random:0.1").draw(labels, seed=0)
    >>> measure_leakage(draw, [Footprint(1)]).share
    0.0
    """
    from scipy.spatial import cKDTree

    footprints = tuple(footprints)
    train, test = draw.train, draw.test
    counts = summed_area_table(train, np.int32)
    tree = cKDTree(np.argwhere(train))
    distance, leaking, done = np.empty(np.count_nonzero(test)), 0, 0
    for block in blocks(*draw.shape, depth=_VALUES_PER_PIXEL):
        rows, cols = np.nonzero(test[block.slices])
        rows, cols = rows + block.row, cols + block.col
        distance[done : done + len(rows)] = tree.query(np.stack([rows, cols], axis=1))[0]
        done += len(rows)
        overlaps = np.zeros(len(rows), np.bool_)
        for footprint in footprints:
            top, bottom = footprint.span(rows, draw.shape[0])
            left, right = footprint.span(cols, draw.shape[1], axis=1)
            overlaps |= counts[bottom, right] - counts[top, right] - counts[bottom, left] + counts[top, left] > 0
        leaking += int(np.count_nonzero(overlaps))
    nearest = float(distance.min())
    return Leakage(leaking / len(distance), float(np.median(distance, overwrite_input=True)), nearest)
