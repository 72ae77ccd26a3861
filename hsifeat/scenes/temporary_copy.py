"""Temporary copies of cubes whose chunks are slow to read in blocks of rows.

A scene is read in blocks of whole rows. If a chunk has rows in several blocks, it is decompressed again for each of these
blocks. If there are many such blocks, it is faster to decompress every chunk once, into a temporary file.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from itertools import product
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import format_bytes
from hsifeat.mapped_arrays import scratch_array
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.types import Cube

# A copy costs about as much as unpacking all chunks twice.
_MAX_UNPACKINGS = 4
# Share of the free disk space that a copy may use.
_MAX_DISK_SHARE = 0.8


class TemporaryCopy(ArrayView):
    """A (rows, cols, bands) cube that is copied to a temporary file when it is read for the first time.

    Parameters
    ----------
    source : ArrayView of shape (rows, cols, bands)
        The cube to copy.
    """

    def __init__(self, source: ArrayView) -> None:
        super().__init__(source.shape, source.dtype)
        self._source, self._lock = source, threading.Lock()
        self._copy: NDArray[Any] | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[ArrayView]]:
        return type(self), (self._source,)

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        with self._lock:
            if self._copy is None:
                self._copy = self._write_copy()
        return np.array(self._copy[as_slices(parts)])

    def _write_copy(self) -> NDArray[Any]:
        rows, cols, bands = self.shape
        try:
            copy = scratch_array((bands, rows, cols), self.dtype).transpose(1, 2, 0)
        except OSError as error:
            raise SceneError(
                f"a copy of the scene can't be written to {tempfile.gettempdir()}: {error.strerror}; free some space there, or "
                "set TMPDIR to another folder"
            ) from error
        steps = self._source.chunks or self.shape
        starts = [range(0, size, step) for size, step in zip(self.shape, steps, strict=True)]
        # The outermost loop runs over bands, so that the file is written roughly from start to end.
        for band, row, col in product(starts[2], starts[0], starts[1]):
            part = tuple(slice(first, first + step) for first, step in zip((row, col, band), steps, strict=True))
            copy[part] = self._source[part]
        return copy


def rechunk_for_blocks(array: Cube, name: str) -> tuple[Cube, tuple[str, ...]]:
    """Return a cube that can be read quickly in blocks of rows.

    Parameters
    ----------
    array : array-like of shape (rows, cols, bands)
        The cube. Only an `ArrayView` with chunks can be replaced by a copy. Any other array is returned unchanged.
    name : str
        Name of the file in notes.

    Returns
    -------
    array : array-like of shape (rows, cols, bands)
        A `TemporaryCopy` if reading all blocks of rows would decompress each chunk more than four times, and the disk has
        room for the copy. Otherwise `array` itself.
    notes : tuple of str
        A note that the cube is copied, or that the disk has no room for a copy; otherwise empty.
    """
    chunks = getattr(array, "chunks", None)
    if not isinstance(array, ArrayView) or chunks is None or min(array.shape) < 1:
        return array, ()
    block = next(blocks(*array.shape))
    unpackings = prod(
        max(min(c, n) / side, 1) for c, n, side in zip(chunks, array.shape, (block.rows, block.cols), strict=False)
    )
    if unpackings <= _MAX_UNPACKINGS:
        return array, ()
    size_bytes = prod(array.shape) * array.dtype.itemsize
    shape = " x ".join(map(str, chunks))
    reason = f"{name}: each of its chunks of {shape} values would be unpacked {unpackings:.0f} times in a pass over the scene"
    if size_bytes > _MAX_DISK_SHARE * shutil.disk_usage(tempfile.gettempdir()).free:
        problem = f"a copy of {format_bytes(size_bytes)} does not fit into {tempfile.gettempdir()}"
        return array, (f"{reason}, and {problem}: reading is slow; set TMPDIR to a folder on a larger disk",)
    return TemporaryCopy(array), (f"{reason}: the scene is copied to a temporary file of {format_bytes(size_bytes)}",)
