"""Cubes whose chunks lie across the walk over a scene: copied once into a temporary file, instead of unpacked again and again."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Part, View, as_slices
from hsifeat.scenes.blocks import blocks
from hsifeat.types import Cube

# A copy costs about as much as unpacking all chunks twice.
_MOST_TIMES = 4
# Of the room on the disk, that a copy may take.
_SHARE = 0.8


class Copied(View):
    """A cube (rows, cols, bands) that goes band by band into a temporary file when it is sliced first.

    Parameters
    ----------
    source : View
        Has `chunks`.
    """

    def __init__(self, source: View) -> None:
        super().__init__(source.shape, source.dtype)
        self._source, self._lock = source, threading.Lock()
        self._copy: NDArray[Any] | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[View]]:
        return type(self), (self._source,)

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        with self._lock:
            if self._copy is None:
                self._copy = self._copied()
        return np.array(self._copy[as_slices(parts)])

    def _copied(self) -> NDArray[Any]:
        folder = Path(tempfile.mkdtemp(prefix="hsifeat-"))
        gone = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        rows, cols, bands = self.shape
        path = folder / "cube"
        try:
            with path.open("wb") as file:
                size = prod(self.shape) * self.dtype.itemsize
                file.truncate(size)
                # What is mapped and finds no room on the disk ends the whole program.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            gone()
            raise SceneError(
                f"a copy of the scene can't be written to {folder.parent}: {error.strerror}; free some space there, or name "
                "another folder by TMPDIR"
            ) from error
        copy = np.memmap(path, self.dtype, "r+", shape=(bands, rows, cols)).transpose(1, 2, 0)
        steps = self._source.chunks or self.shape
        starts = [range(0, size, step) for size, step in zip(self.shape, steps, strict=True)]
        # Bands go outermost, so that the file is written about as it lies.
        for band, row, col in product(starts[2], starts[0], starts[1]):
            part = tuple(slice(first, first + step) for first, step in zip((row, col, band), steps, strict=True))
            copy[part] = self._source[part]
        return copy


def walkable(array: Cube, name: str) -> tuple[Cube, tuple[str, ...]]:
    """Return a cube (rows, cols, bands) that can be walked over in blocks, and a note where its chunks are in the way.

    Parameters
    ----------
    array : array-like of shape (rows, cols, bands)
        Where it has `chunks`, each is unpacked whole for whatever is read of it.
    name : str
        The file's name, for notes.
    """
    chunks = getattr(array, "chunks", None)
    if not isinstance(array, View) or chunks is None or min(array.shape) < 1:
        return array, ()
    first = next(blocks(*array.shape))
    times = prod(
        max(min(c, n) / side, 1) for c, n, side in zip(chunks, array.shape, (first.rows, first.cols), strict=False)
    )
    if times <= _MOST_TIMES:
        return array, ()
    size = prod(array.shape) * array.dtype.itemsize
    shape = " x ".join(map(str, chunks))
    told = f"{name}: each of its chunks of {shape} values would be unpacked {times:.0f} times for a pass over the scene"
    if size > _SHARE * shutil.disk_usage(tempfile.gettempdir()).free:
        where = f"{size / 2**30:.1f} GiB do not fit into {tempfile.gettempdir()}"
        return array, (f"{told}, and a copy of {where}: it is slow; TMPDIR names another folder",)
    return Copied(array), (f"{told}: a copy of {size / 2**30:.2g} GiB goes into a temporary file",)
