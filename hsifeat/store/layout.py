"""What planes lie over, and in which units they are computed, written and recorded: a scene, or a list of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hsifeat.types import PlaneId, Window, windows

# Cells of a side of an inner chunk, the least that a reader decodes; and pixels of one, where planes are lists.
_CHUNK_CELLS = 32
_CHUNK_PIXELS = 64


@dataclass(frozen=True)
class PlaneSpec:
    """What a plane is, besides its values: name, stride in scene pixels, channels, stored dtype."""

    id: PlaneId
    stride: int
    channels: int
    dtype: str

    def cells(self, rows: int, cols: int) -> tuple[int, int, int]:
        """Shape of the plane over a scene of `rows` x `cols` pixels."""
        return -(-rows // self.stride), -(-cols // self.stride), self.channels

    def size_bytes(self, rows: int, cols: int) -> int:
        """Size in bytes over such a scene, before compression."""
        return int(np.prod(self.cells(rows, cols))) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Unit:
    """What is one shard of every plane: its place in the grid of units, and its window of what planes lie over."""

    index: tuple[int, int]
    window: Window


class Grid(Protocol):
    """Over what the planes of a store lie."""

    @property
    def extent(self) -> Window:
        """The window of everything."""
        ...

    @property
    def units(self) -> list[Unit]:
        """All units in row-major order."""
        ...

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Shape of a plane over a window that begins where a unit does."""
        ...

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:
        """Where a unit lies along the first two axes of a plane."""
        ...

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of a shard of a plane."""
        ...

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of the inner chunks of a shard."""
        ...

    def names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Names of a plane's axes, which tell different ones apart."""
        ...


@dataclass(frozen=True)
class SceneGrid:
    """Planes over a whole scene, (ceil(rows / stride), ceil(cols / stride), channels); units are squares of `unit_px`."""

    rows: int
    cols: int
    unit_px: int

    @property
    def extent(self) -> Window:
        """The scene."""
        return Window(0, 0, self.rows, self.cols)

    @property
    def units(self) -> list[Unit]:
        """Squares of the scene, smaller at its lower and right edge."""
        px = self.unit_px
        return [Unit((w.row // px, w.col // px), w) for w in windows(self.rows, self.cols, px)]

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Return the cells that a plane has over a window of the scene."""
        return plane.cells(window.rows, window.cols)

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:
        """Return the cells of a unit."""
        return unit.window.coarsen(stride).slices

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the cells of a unit that is not cut."""
        side = self.unit_px // plane.stride
        return side, side, plane.channels

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return a square that fits into a shard."""
        side = self.unit_px // plane.stride
        side = _CHUNK_CELLS if side % _CHUNK_CELLS == 0 else side
        return side, side, plane.channels

    def names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Return names in which the stride and the layer are."""
        return f"y_s{plane.stride}", f"x_s{plane.stride}", f"channel_{plane.id.layer}"


@dataclass(frozen=True)
class PixelGrid:
    """Planes over a list of pixels, (pixels, 2, channels): values at each pixel, and means over its window.

    Units are runs of `unit_pixels` pixels; their windows lie over the list, not over the scene.
    """

    pixels: int
    unit_pixels: int

    @property
    def extent(self) -> Window:
        """The list: a row for each pixel, a column for the values and one for the means."""
        return Window(0, 0, self.pixels, 2)

    @property
    def units(self) -> list[Unit]:
        """Runs of the list, the last one shorter."""
        count, many = self.unit_pixels, self.pixels
        return [
            Unit((start // count, 0), Window(start, 0, min(count, many - start), 2)) for start in range(0, many, count)
        ]

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Return as many rows as there are pixels."""
        return window.rows, window.cols, plane.channels

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:  # noqa: ARG002  # a pixel is a row, whatever the stride
        """Return the pixels of a unit."""
        return unit.window.slices

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return a unit that is not cut."""
        return self.unit_pixels, 2, plane.channels

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return a run of pixels with either the values or the means, so that each is read without the other."""
        run = _CHUNK_PIXELS if self.unit_pixels % _CHUNK_PIXELS == 0 else self.unit_pixels
        return run, 1, plane.channels

    def names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Return names in which the layer is."""
        return "pixel", "part", f"channel_{plane.id.layer}"


def size_bytes(grid: Grid, plane: PlaneSpec, window: Window) -> int:
    """Size in bytes of a plane over a window that begins where a unit does, before compression."""
    return int(np.prod(grid.cells(plane, window))) * np.dtype(plane.dtype).itemsize
