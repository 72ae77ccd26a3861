"""Tiles: the squares that the model sees, each a core that is kept and a context around it that is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.projection import Projection
from hsifeat.scenes.scene import Scene
from hsifeat.types import Window


@dataclass(frozen=True)
class Tiling:
    """How the scene is cut: cores lie edge to edge from the scene's first pixel; tiles overlap by their contexts.

    Attributes
    ----------
    tile_px : int
        Side of what the model sees.
    context_px : int
        Width of the frame around the core.
    """

    tile_px: int
    context_px: int

    @property
    def core_px(self) -> int:
        """Side of the part that is kept."""
        return self.tile_px - 2 * self.context_px

    def check(self, stride: int) -> None:
        """Raise `HsifeatError` unless tile and context are multiples of the coarsest stride and a core is left."""
        if self.tile_px < 1 or self.tile_px % stride or self.context_px % stride or self.context_px < 0:
            raise HsifeatError(
                f"tile {self.tile_px} px and context {self.context_px} px must be multiples of {stride}, "
                "the coarsest stride of this backbone"
            )
        if self.core_px < 1:
            raise HsifeatError(
                f"a tile of {self.tile_px} px with {self.context_px} px of context on each side has no core left: "
                f"give a context below {self.tile_px // 2}"
            )

    def tile(self, core: Window) -> Window:
        """Return the window that the model sees for a core; it may reach beyond the scene."""
        return Window(core.row - self.context_px, core.col - self.context_px, self.tile_px, self.tile_px)

    def cores(self, window: Window) -> list[Window]:
        """List the cores that cover a window whose corner is a core's, in row-major order; the last may reach beyond."""
        px = self.core_px
        return [
            Window(row, col, px, px)
            for row in range(window.row, window.row + window.rows, px)
            for col in range(window.col, window.col + window.cols, px)
        ]

    def seen_cores(self, window: Window, valid: NDArray[np.bool_]) -> list[Window]:
        """List the cores of a window that hold a valid pixel: the others cost no forward.

        Parameters
        ----------
        window : Window
            Its corner is a core's.
        valid : (rows, cols) bool array
            Of the whole scene.
        """
        return [core for core in self.cores(window) if valid[core.slices].any()]

    def masks(self, valid: NDArray[np.bool_]) -> bool:
        """Tell whether some core of a scene holds no valid pixel."""
        whole = Window(0, 0, *valid.shape)
        return not valid.all() and len(self.seen_cores(whole, valid)) < len(self.cores(whole))


def read_tile(scene: Scene, projection: Projection, tile: Window) -> NDArray[np.float32]:
    """Read what the model sees of a tile: projected, invalid pixels 0, reflected beyond the scene's edge.

    Parameters
    ----------
    scene : Scene
        Sliced only where the tile lies.
    projection : Projection
        Bands to channels.
    tile : Window
        May reach beyond the scene by any length.

    Returns
    -------
    (channels, tile_px, tile_px) float32 array
    """
    rows = reflect(tile.row, tile.rows, scene.rows)
    cols = reflect(tile.col, tile.cols, scene.cols)
    top, left = int(rows.min()), int(cols.min())
    inside = Window(top, left, int(rows.max()) + 1 - top, int(cols.max()) + 1 - left).slices
    channels = projection.apply(np.asarray(scene.cube[inside]))
    channels[~scene.valid[inside]] = 0
    return np.ascontiguousarray(channels[np.ix_(rows - top, cols - left)].transpose(2, 0, 1))


def reflect(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Return the indices within [0, length) that mirror padding gives from `start` on; the edge is not repeated.

    >>> reflect(-2, 8, 4).tolist()
    [2, 1, 0, 1, 2, 3, 2, 1]
    """
    if length == 1:
        return np.zeros(count, dtype=np.intp)
    period = 2 * (length - 1)
    offset = np.arange(start, start + count) % period
    return np.minimum(offset, period - offset)
