"""The layout of a store's planes: the shapes of planes, units, shards and chunks, their sizes, and the codec.

A plane either covers the whole scene (`SceneLayout`) or lists some of its pixels (`PixelListLayout`). Both are values
that the manifest holds and share the interface `PlaneLayout`; no other module of the store asks which of the two it is.
Every size of a store stands in this file. A manifest keeps those that its store was made with, so that a changed
constant affects new stores only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from hsifeat.types import PlaneId, Window, windows

UNIT_PX = 128
"""Minimum side of a unit in scene pixels: a shard is then some MB large, and an interruption loses little work."""

BLENDED_UNIT_PX = 512
"""The same where tiles blend: tiles across a border are computed for both units, so larger units repeat less."""

UNIT_PIXELS = 512
"""Pixels of a unit of a pixel list: about the work of a `UNIT_PX` unit, since each pixel takes a window of its own."""

SCENE_SHARD_PX = 128
"""Side in pixels of the shards of the scene's cube in a store whose planes list pixels."""

CHUNK_CELLS = 32
"""Side of an inner chunk in cells (pixels for the cube): the least that a reader decompresses for one pixel."""

CHUNK_PIXELS = 64
"""Pixels of an inner chunk of a pixel list."""

CHUNK_VALUES = 2**20
"""Most values in a chunk of the arrays beside cube and planes: 1024 a side of a map."""

DIGEST_BYTES = 32
"""Bytes of the sha256 in a progress record."""


def codec() -> list[Any]:
    """Return the Zarr codecs of all arrays except progress records.

    Bit-shuffled zstd at level 1 keeps up with a GPU and gains nearly as much as higher levels on float16 features. The last
    codec appends a CRC-32C to every inner chunk, so that a flipped byte raises an error when it is read.
    """
    from zarr.codecs import BloscCodec, Crc32cCodec

    return [BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec()]


def small_array_options(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the chunks and codecs of an array beside cube and planes: masks, label maps, projections, lists of pixels."""
    side = int(CHUNK_VALUES ** (1 / len(shape)))
    return {"chunks": tuple(min(side, max(size, 1)) for size in shape), "compressors": codec()}


def cube_options(layout: PlaneLayout, bands: int) -> dict[str, Any]:
    """Return the shards, chunks and codecs of the scene's cube."""
    side = layout.cube_shard_px
    chunk = _inner_side(side, CHUNK_CELLS)
    return {"shards": (side, side, bands), "chunks": (chunk, chunk, bands), "compressors": codec()}


def plane_options(layout: PlaneLayout, plane: PlaneSpec) -> dict[str, Any]:
    """Return the shape, shards, chunks, codecs and names of the axes of a plane."""
    return {
        "shape": layout.cells(plane, layout.extent),
        "shards": layout.shard(plane),
        "chunks": layout.chunk(plane),
        "compressors": codec(),
        "dimension_names": layout.dimension_names(plane),
    }


def progress_options(layout: PlaneLayout) -> dict[str, Any]:
    """Return the shape and chunks of a plane's progress records: each is a file of its own, which is not compressed."""
    return {
        "shape": (*layout.unit_grid, DIGEST_BYTES),
        "chunks": (1, 1, DIGEST_BYTES),
        "compressors": None,
    }


def _inner_side(shard: int, chunk: int) -> int:
    """Side of the inner chunks of a shard: `chunk`, or the whole shard if that does not divide it."""
    return chunk if shard % chunk == 0 else shard


@dataclass(frozen=True)
class PlaneSpec:
    """Metadata of a plane: its name, stride in scene pixels, channels and stored dtype."""

    id: PlaneId
    stride: int
    channels: int
    dtype: str

    def cells(self, rows: int, cols: int) -> tuple[int, int, int]:
        """Shape of the plane over a scene of `rows` x `cols` pixels."""
        return -(-rows // self.stride), -(-cols // self.stride), self.channels


@dataclass(frozen=True)
class Unit:
    """One shard of every plane: its index in the grid of units, and the window of the layout's extent it covers."""

    index: tuple[int, int]
    window: Window


class PlaneLayout(Protocol):
    """How the planes of a store are shaped and divided into units."""

    @property
    def extent(self) -> Window:
        """The window that all units cover together."""
        ...

    @property
    def units(self) -> list[Unit]:
        """All units in row-major order."""
        ...

    @property
    def unit_grid(self) -> tuple[int, int]:
        """Shape of the grid of units."""
        ...

    @property
    def cube_shard_px(self) -> int:
        """Side in pixels of the shards of the scene's cube."""
        ...

    @property
    def window_px(self) -> int | None:
        """Side in pixels of the window around each listed pixel; None where planes cover the scene."""
        ...

    def describe(self) -> str:
        """Say in a few words which pixels the planes hold."""
        ...

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Shape of a plane over a window that starts where a unit starts."""
        ...

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:
        """Slices of a unit along the first two axes of a plane."""
        ...

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of a full shard of a plane."""
        ...

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of the inner chunks of a shard."""
        ...

    def dimension_names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Names of a plane's axes: equal for two planes exactly if the axes are the same."""
        ...


@dataclass(frozen=True)
class SceneLayout:
    """Layout of planes that cover the whole scene: (ceil(rows / stride), ceil(cols / stride), channels).

    Attributes
    ----------
    rows, cols : int
        Shape of the scene in pixels.
    unit_px : int
        Side of a unit in pixels, a multiple of every stride; units are cut at the scene's lower and right edge.
    """

    rows: int
    cols: int
    unit_px: int
    kind: Literal["scene"] = "scene"

    @property
    def extent(self) -> Window:
        """The whole scene."""
        return Window(0, 0, self.rows, self.cols)

    @property
    def units(self) -> list[Unit]:
        """All units in row-major order."""
        px = self.unit_px
        return [Unit((w.row // px, w.col // px), w) for w in windows(self.rows, self.cols, px)]

    @property
    def unit_grid(self) -> tuple[int, int]:
        """Shape of the grid of units."""
        return -(-self.rows // self.unit_px), -(-self.cols // self.unit_px)

    @property
    def cube_shard_px(self) -> int:
        """Side in pixels of the shards of the cube: that of a unit."""
        return self.unit_px

    @property
    def window_px(self) -> int | None:
        """None: no pixel has a window of its own."""
        return None

    def describe(self) -> str:
        """Say which pixels the planes hold."""
        return "the whole scene"

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Shape of a plane over a window of the scene."""
        return plane.cells(window.rows, window.cols)

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:
        """Slices of a unit's cells."""
        return unit.window.coarsen(stride).slices

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of a full shard: the cells of a whole unit."""
        side = self.unit_px // plane.stride
        return side, side, plane.channels

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of an inner chunk: a square that divides the shard."""
        side = _inner_side(self.unit_px // plane.stride, CHUNK_CELLS)
        return side, side, plane.channels

    def dimension_names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Names of a plane's axes, which contain its stride and its layer."""
        return f"y_s{plane.stride}", f"x_s{plane.stride}", f"channel_{plane.id.layer}"


@dataclass(frozen=True)
class PixelListLayout:
    """Layout of planes that list pixels: (pixels, 2, channels), the value at each pixel and the mean over its window.

    Units are runs of the list; their windows are ranges of the list, not of the scene.

    Attributes
    ----------
    pixels : int
        Length of the list.
    window_px : int
        Side of the window around each pixel, in pixels.
    unit_pixels : int
        Pixels of a unit; the last one may be shorter.
    """

    pixels: int
    window_px: int
    unit_pixels: int = UNIT_PIXELS
    kind: Literal["pixels"] = "pixels"

    @property
    def extent(self) -> Window:
        """The whole list: a row per pixel, a column for values and one for means."""
        return Window(0, 0, self.pixels, 2)

    @property
    def units(self) -> list[Unit]:
        """All units in the order of the list."""
        size = self.unit_pixels
        return [
            Unit((start // size, 0), Window(start, 0, min(size, self.pixels - start), 2))
            for start in range(0, self.pixels, size)
        ]

    @property
    def unit_grid(self) -> tuple[int, int]:
        """Shape of the grid of units: one column."""
        return -(-self.pixels // self.unit_pixels), 1

    @property
    def cube_shard_px(self) -> int:
        """Side in pixels of the shards of the cube."""
        return SCENE_SHARD_PX

    def describe(self) -> str:
        """Say which pixels the planes hold."""
        return f"{self.pixels} pixels, each the centre of a window of {self.window_px} px"

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Shape of a plane over a range of the list."""
        return window.rows, window.cols, plane.channels

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:  # noqa: ARG002  # a pixel is a row at every stride
        """Slices of a plane that cover a unit: its range of the list, then both values and means."""
        return unit.window.slices

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of a full shard: (pixels of a unit, 2, channels)."""
        return self.unit_pixels, 2, plane.channels

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Shape of an inner chunk: a run of either values or means, so that each can be read without the other."""
        return _inner_side(self.unit_pixels, CHUNK_PIXELS), 1, plane.channels

    def dimension_names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Names of a plane's axes; the last one contains its layer."""
        return "pixel", "part", f"channel_{plane.id.layer}"


def size_bytes(layout: PlaneLayout, plane: PlaneSpec, window: Window) -> int:
    """Size in bytes, before compression, of a plane over a window that starts where a unit starts.

    Parameters
    ----------
    layout : PlaneLayout
        Layout of the plane.
    plane : PlaneSpec
        Channels, stride and dtype.
    window : Window
        Window of the layout's extent.
    """
    return int(np.prod(layout.cells(plane, window))) * np.dtype(plane.dtype).itemsize
