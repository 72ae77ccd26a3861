"""Layout of a store: the shapes of planes, units, shards and chunks, and the Zarr codecs.

A plane has the features of one timestep and one layer. The planes of a store either cover the whole scene (`SceneLayout`),
or have features of a list of pixels (`PixelListLayout`). Both classes implement the interface `PlaneLayout`. A unit is a
block of the scene, or consecutive pixels of the list. Every plane stores each unit as one shard.

This module defines the default sizes. The manifest of a store has the sizes of this store. If a default changes, existing
stores do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Literal, Protocol

import numpy as np

from hsifeat.formatting import format_count
from hsifeat.store.shard_tags import TAG_BYTES
from hsifeat.types import PlaneId, Window, windows

UNIT_PX = 128
"""Minimum side of a unit in scene pixels. Shards of this size have a few MB, and an interruption loses little work."""

BLENDED_UNIT_PX = 512
"""Minimum side of a unit in scene pixels when tiles are blended.

A tile across the border of two units is computed once for each unit. Larger units repeat fewer tiles.
"""

UNIT_PIXELS = 512
"""Number of pixels in a unit of a pixel list. Each pixel needs its own tile, so such a unit takes about as long as a
square unit of side `UNIT_PX`."""

SCENE_SHARD_PX = 128
"""Side in pixels of the shards of ``scene/cube`` in a store whose planes list pixels."""

CHUNK_CELLS = 32
"""Side of an inner chunk in cells of a plane, or in pixels of the cube. A reader decompresses at least one chunk."""

CHUNK_PIXELS = 64
"""Number of pixels in an inner chunk of a pixel list."""

CHUNK_VALUES = 2**20
"""Maximum number of values in a chunk of a mask, label map, projection or pixel list.

A chunk of a mask or a label map has at most 1024 x 1024 pixels.
"""

MAX_UNITS = 2**22
"""Maximum number of units of a store, enough for a scene of 250,000 x 250,000 pixels."""

MAX_STRIDE = 2**16
"""Largest accepted stride of a plane, in scene pixels."""

STORED_DTYPES = ("float16", "float32")
"""Data types that planes can have."""

DIGEST_BYTES = 32
"""Number of bytes of the sha256 at the beginning of a progress record."""


def codec() -> list[Any]:
    """Return the Zarr codecs of all arrays except progress records.

    The values are compressed by bit-shuffling and zstd at level 1. Level 1 is fast enough for the output of a GPU. Higher
    levels hardly reduce the size of float16 features. The last codec appends a CRC-32C to every inner chunk. If a chunk is
    damaged, reading it raises an error.
    """
    from zarr.codecs import BloscCodec, Crc32cCodec

    return [BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec()]


def small_array_options(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the chunks and codecs for a small array: a mask, a label map, a fitted projection or a list of pixels."""
    side = int(CHUNK_VALUES ** (1 / len(shape)))
    return {"chunks": tuple(min(side, max(size, 1)) for size in shape), "compressors": codec()}


def cube_options(layout: PlaneLayout, bands: int) -> dict[str, Any]:
    """Return the shards, chunks and codecs of the scene's cube."""
    side = layout.cube_shard_px
    chunk = _inner_side(side, CHUNK_CELLS)
    return {"shards": (side, side, bands), "chunks": (chunk, chunk, bands), "compressors": codec()}


def plane_options(layout: PlaneLayout, plane: PlaneSpec) -> dict[str, Any]:
    """Return the shape, shards, chunks, codecs and axis names of a plane."""
    return {
        "shape": layout.cells(plane, layout.extent),
        "shards": layout.shard(plane),
        "chunks": layout.chunk(plane),
        "compressors": codec(),
        "dimension_names": layout.dimension_names(plane),
    }


def progress_options(layout: PlaneLayout, plane: PlaneSpec) -> dict[str, Any]:
    """Return the shape and chunks of the Zarr array with the progress records of `plane`.

    Each record is one uncompressed file.
    """
    size = record_bytes(layout, plane)
    return {"shape": (*layout.unit_grid, size), "chunks": (1, 1, size), "compressors": None}


def record_bytes(layout: PlaneLayout, plane: PlaneSpec) -> int:
    """Return the size of a progress record in bytes.

    A record has the sha256 of the values of a unit, and then the tags of the unit's shard (see `hsifeat.store.shard_tags`).
    """
    return DIGEST_BYTES + TAG_BYTES * (1 + inner_chunks(layout, plane))


def inner_chunks(layout: PlaneLayout, plane: PlaneSpec) -> int:
    """Return the number of inner chunks in one shard of `plane`."""
    return prod(side // chunk for side, chunk in zip(layout.shard(plane), layout.chunk(plane), strict=True))


def _inner_side(shard: int, chunk: int) -> int:
    """Return the side of an inner chunk: `chunk` if it divides the side `shard` of the shard, else `shard`."""
    return chunk if shard % chunk == 0 else shard


@dataclass(frozen=True)
class PlaneSpec:
    """Metadata of a plane: timestep and layer, stride in scene pixels, number of channels, and dtype in the store."""

    id: PlaneId
    stride: int
    channels: int
    dtype: str

    def cells(self, rows: int, cols: int) -> tuple[int, int, int]:
        """Return the shape of the plane, including its channels, for a scene of `rows` x `cols` pixels."""
        return -(-rows // self.stride), -(-cols // self.stride), self.channels


@dataclass(frozen=True)
class Unit:
    """A block of the scene, or consecutive pixels of the pixel list. Each plane stores a unit as one shard.

    Attributes
    ----------
    index : tuple of int
        Row and column of the unit in the grid of units.
    window : Window
        Block of the scene in pixels, or range of positions in the pixel list.
    """

    index: tuple[int, int]
    window: Window


class PlaneLayout(Protocol):
    """Interface of layouts, which give the shapes of the planes of a store and divide planes into units."""

    @property
    def extent(self) -> Window:
        """The window that contains all units."""
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

    def describe(self) -> str:
        """Describe in a few words which pixels the planes contain."""
        ...

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Return the array shape of the part of `plane` in `window`. The window must start where a unit starts."""
        ...

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:
        """Return the two slices that select a unit along the first two axes of a plane."""
        ...

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the shape of a full shard of a plane."""
        ...

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the shape of the inner chunks of a shard."""
        ...

    def dimension_names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Return the names of the three axes of a plane. Axes with equal names have equal coordinates in all planes."""
        ...


@dataclass(frozen=True)
class SceneLayout:
    """Layout of planes that cover the whole scene.

    A plane has the shape (ceil(rows / stride), ceil(cols / stride), channels).

    Attributes
    ----------
    rows, cols : int
        Shape of the scene in pixels.
    unit_px : int
        Side of a unit in pixels of the scene, a multiple of every stride. Units at the lower and right edges of the scene
        can be smaller.
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
        """Side in pixels of the shards of the scene's cube, which equals `unit_px`."""
        return self.unit_px

    def describe(self) -> str:
        """Describe in a few words which pixels the planes contain."""
        return "the whole scene"

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Return the array shape of the part of `plane` in a window of the scene."""
        return plane.cells(window.rows, window.cols)

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:
        """Return the slices of rows and columns that select `unit` in a plane with the stride `stride`."""
        return unit.window.coarsen(stride).slices

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the shape of a full shard, which contains all cells of a unit."""
        side = self.unit_px // plane.stride
        return side, side, plane.channels

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the shape of an inner chunk, a square whose side divides the side of the shard."""
        side = _inner_side(self.unit_px // plane.stride, CHUNK_CELLS)
        return side, side, plane.channels

    def dimension_names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Return the names of a plane's axes, such as ``y_s4``, ``x_s4`` and ``channel_mid_block`` for stride 4."""
        return f"y_s{plane.stride}", f"x_s{plane.stride}", f"channel_{plane.id.layer}"


@dataclass(frozen=True)
class PixelListLayout:
    """Layout of planes with features of a list of pixels. A plane has the shape (pixels, 2, channels).

    The second axis has the value at a pixel, and the mean over the window around the pixel. A unit has consecutive pixels
    of the list. The rows of `Unit.window` are the positions of these pixels in the list.

    Attributes
    ----------
    pixels : int
        Number of pixels in the list.
    window_px : int
        Side of the window around each pixel, in pixels of the scene.
    unit_pixels : int
        Number of pixels in a unit. The last unit may have fewer.
    """

    pixels: int
    window_px: int
    unit_pixels: int = UNIT_PIXELS
    kind: Literal["pixels"] = "pixels"

    @property
    def extent(self) -> Window:
        """The window of all units: one row for each pixel, one column for the values, and one for the window means."""
        return Window(0, 0, self.pixels, 2)

    @property
    def units(self) -> list[Unit]:
        """All units in the order of the pixel list."""
        size = self.unit_pixels
        return [
            Unit((start // size, 0), Window(start, 0, min(size, self.pixels - start), 2))
            for start in range(0, self.pixels, size)
        ]

    @property
    def unit_grid(self) -> tuple[int, int]:
        """Shape of the grid of units. The grid has one column."""
        return -(-self.pixels // self.unit_pixels), 1

    @property
    def cube_shard_px(self) -> int:
        """Side in pixels of the shards of the scene's cube."""
        return SCENE_SHARD_PX

    def describe(self) -> str:
        """Describe in a few words which pixels the planes contain."""
        return f"{format_count(self.pixels, 'pixel')}, each the centre of a window of {self.window_px} px"

    def cells(self, plane: PlaneSpec, window: Window) -> tuple[int, int, int]:
        """Return the array shape of the part of `plane` in `window`. The window is a part of `extent`."""
        return window.rows, window.cols, plane.channels

    def slices(self, unit: Unit, stride: int) -> tuple[slice, slice]:  # noqa: ARG002  # a pixel is a row at every stride
        """Return the slices that select `unit`: one along the pixel list, one along the axis of values and window means."""
        return unit.window.slices

    def shard(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the shape of a full shard: (pixels of a unit, 2, channels). For the second axis, see `PixelListLayout`."""
        return self.unit_pixels, 2, plane.channels

    def chunk(self, plane: PlaneSpec) -> tuple[int, int, int]:
        """Return the shape of an inner chunk.

        A chunk contains either values at pixels or means over windows. Values can therefore be read without means.
        """
        return _inner_side(self.unit_pixels, CHUNK_PIXELS), 1, plane.channels

    def dimension_names(self, plane: PlaneSpec) -> tuple[str, str, str]:
        """Return the names of a plane's axes, such as ``pixel``, ``part`` and ``channel_mid_block``."""
        return "pixel", "part", f"channel_{plane.id.layer}"


def size_bytes(layout: PlaneLayout, plane: PlaneSpec, window: Window) -> int:
    """Return the uncompressed size in bytes of `plane` within `window`.

    Parameters
    ----------
    layout : PlaneLayout
        Layout of the plane.
    plane : PlaneSpec
        Metadata of the plane.
    window : Window
        Block of the scene in pixels, or range of positions in the pixel list. The window must start at the corner of a unit.
    """
    return int(np.prod(layout.cells(plane, window))) * np.dtype(plane.dtype).itemsize
