"""Tiles: the windows that the model sees, and what of each is kept. Geometry only; coordinates are the scene's pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.types import Window

STITCHES = ("core", "mean", "hann", "whole")


@dataclass(frozen=True)
class Tiling:
    """How a scene is cut into tiles that lie on a regular grid.

    Attributes
    ----------
    rows, cols : int
        The scene's shape.
    tile : tuple of 2 ints
        Height and width of what the model sees at once.
    step : tuple of 2 ints
        From one tile to the next.
    first : tuple of 2 ints
        Row and column of the first tile's corner; it lies in the scene or above and left of it.
    margin_px : int
        Width of the frame of a tile that is seen and not kept.
    stitch : str
        How tiles become a plane: ``core`` keeps the part of a tile within its frame, so that no two overlap; ``mean`` and
        ``hann`` keep all of it and blend what overlaps; ``whole`` has one tile, the scene.
    """

    rows: int
    cols: int
    tile: tuple[int, int]
    step: tuple[int, int]
    first: tuple[int, int]
    margin_px: int
    stitch: str

    @property
    def blends(self) -> bool:
        """Whether a cell of a plane may come from several tiles."""
        return self.stitch in {"mean", "hann"}

    def kept(self, tile: Window) -> Window:
        """Return the part of a tile that is kept; it may reach beyond the scene."""
        frame = self.margin_px
        return Window(tile.row + frame, tile.col + frame, tile.rows - 2 * frame, tile.cols - 2 * frame)

    def tiles(self, window: Window) -> Iterator[Window]:
        """Give the tiles that keep something of a window of the scene, in row-major order."""
        for row in self._starts(window.row, window.rows, axis=0):
            for col in self._starts(window.col, window.cols, axis=1):
                yield Window(row, col, *self.tile)

    def _starts(self, start: int, count: int, axis: int) -> range:
        first, step, tile = self.first[axis], self.step[axis], self.tile[axis]
        begin, kept = first + self.margin_px, tile - 2 * self.margin_px
        enough = max(-(-((self.rows, self.cols)[axis] - begin - kept) // step) + 1, 1)
        low = max((start - begin - kept) // step + 1, 0)
        high = min(-(-(start + count - begin) // step), enough)
        return range(first + low * step, first + high * step, step)

    def seen(self, window: Window, valid: NDArray[np.bool_]) -> list[Window]:
        """List those of a window's tiles whose kept part holds a valid pixel: the others cost no forward.

        Parameters
        ----------
        window : Window
            Within the scene.
        valid : (rows, cols) bool array
            Of the whole scene.
        """
        kept = ((tile, self.kept(tile).clip(self.rows, self.cols)) for tile in self.tiles(window))
        return [tile for tile, part in kept if valid[part.slices].any()]

    def count(self, window: Window, valid: NDArray[np.bool_]) -> int:
        """Count what `seen` lists."""
        return len(self.seen(window, valid))

    def masks(self, valid: NDArray[np.bool_]) -> bool:
        """Tell whether some tile of the scene keeps no valid pixel."""
        whole = Window(0, 0, self.rows, self.cols)
        return not valid.all() and len(self.seen(whole, valid)) < len(list(self.tiles(whole)))


def cut(
    shape: tuple[int, int],
    *,
    tile_px: int,
    halo_px: int,
    multiple: int,
    stitch: str = "core",
    origin: tuple[int, int] | None = None,
) -> Tiling:
    """Lay tiles over a scene.

    Parameters
    ----------
    shape : tuple of 2 ints
        Rows and columns of the scene.
    tile_px, halo_px : int
        Side of a tile, and half of what two neighbours have in common; neither plays a part in ``whole``.
    multiple : int
        What both, and the sides of a whole scene, are multiples of: the coarsest stride of the backbone.
    stitch : str
        See `Tiling`.
    origin : tuple of 2 ints, optional
        Row and column of the first tile's corner; by default the halo's width above and left of the scene, so that
        the first core begins with it.

    Returns
    -------
    Tiling

    Raises
    ------
    HsifeatError
        No multiples, no core, or tiles that would not cover the scene.
    """
    rows, cols = shape
    if stitch not in STITCHES:
        raise HsifeatError(f"unknown stitching {stitch!r}; allowed: {', '.join(STITCHES)}")
    if stitch == "whole":
        if origin is not None:
            raise HsifeatError("an origin plays no part where the whole scene is seen at once: leave it out")
        side = (-(-rows // multiple) * multiple, -(-cols // multiple) * multiple)
        return Tiling(rows, cols, side, side, (0, 0), 0, stitch)
    if tile_px < 1 or tile_px % multiple or halo_px % multiple or halo_px < 0:
        raise HsifeatError(
            f"tile {tile_px} px and halo {halo_px} px must be multiples of {multiple}, "
            "the coarsest stride of this backbone"
        )
    step = tile_px - 2 * halo_px
    if step < 1:
        raise HsifeatError(
            f"a tile of {tile_px} px with {halo_px} px of halo on each side has no core left: "
            f"give a halo below {tile_px // 2}"
        )
    margin = halo_px if stitch == "core" else 0
    first = (-halo_px, -halo_px) if origin is None else origin
    if not all(-tile_px + margin < corner <= -margin for corner in first):
        raise HsifeatError(
            f"a first tile at row {first[0]} and column {first[1]} leaves the scene's first pixels out, or lies beyond "
            f"it: with stitching {stitch} both lie between {margin - tile_px + 1} and {-margin}"
        )
    return Tiling(rows, cols, (tile_px, tile_px), (step, step), first, margin, stitch)
