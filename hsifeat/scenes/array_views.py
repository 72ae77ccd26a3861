"""Views of arrays on disk that turn their axes round or leave out bands; nothing is read until they are sliced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hsifeat.types import Cube

# What is left of a key once it is checked: for each dimension a range within bounds, or a whole number from 0.
Part = range | int


class View(ABC):
    """An array that is read when it is sliced, as NumPy slices: by slices with steps from 1 up and by whole numbers.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    dtype : dtype-like
        Of its values.
    chunks : sequence of int, optional
        Shape of what is read, and unpacked, whole for whatever is wanted of it.
    """

    def __init__(self, shape: Sequence[int], dtype: DTypeLike, chunks: Sequence[int] | None = None) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.chunks = None if chunks is None else tuple(int(size) for size in chunks)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block by slices and whole numbers."""
        parts = tuple(_part(part, size) for part, size in zip(self._whole(key), self.shape, strict=True))
        sizes = [len(part) for part in parts if isinstance(part, range)]
        return self._read(parts) if all(sizes) else np.empty(sizes, self.dtype)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        return np.asarray(self[...], dtype=dtype)

    @abstractmethod
    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        """Read a block that is not empty: a range for each dimension that stays, a whole number for each that goes."""

    def _whole(self, key: Any) -> list[Any]:
        given = list(key) if isinstance(key, tuple) else [key]
        for place in [place for place, part in enumerate(given) if part is Ellipsis]:
            given[place : place + 1] = [slice(None)] * (len(self.shape) - len(given) + 1)
        return given + [slice(None)] * (len(self.shape) - len(given))


def _part(part: Any, size: int) -> Part:
    if isinstance(part, slice):
        steps = range(*part.indices(size))
        if steps.step < 1:
            raise IndexError(f"an array on disk is sliced forwards, by steps from 1 up; found {steps.step}")
        return steps
    number = int(part)
    if not -size <= number < size:
        raise IndexError(f"{number} is out of bounds for an axis of {size}")
    return number % size


def as_slices(parts: Sequence[Part]) -> tuple[slice | int, ...]:
    """Return a checked key in the words of libraries that take slices."""
    return tuple(part if isinstance(part, int) else slice(part.start, part.stop, part.step) for part in parts)


class Turned(View):
    """An array with its axes in another order, for those on disk that can't be transposed without reading them.

    Parameters
    ----------
    source : array-like
        Takes slices and whole numbers, as h5py's and zarr's arrays do.
    axes : sequence of int
        ``np.transpose``'s: axis i of the view is axis ``axes[i]`` of the source. Of an axis that is left out the first
        entry is seen.
    """

    def __init__(self, source: Cube, axes: Sequence[int]) -> None:
        chunks = getattr(source, "chunks", None)
        super().__init__(
            [source.shape[axis] for axis in axes], source.dtype, chunks and [chunks[axis] for axis in axes]
        )
        self._source, self._axes = source, tuple(axes)

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        turned: list[slice | int] = [0] * len(self._source.shape)
        for axis, part in zip(self._axes, as_slices(parts), strict=True):
            turned[axis] = part
        values = np.asarray(self._source[tuple(turned)])
        # An axis taken by number is gone from what was read: the others keep their order.
        kept = [axis for axis, part in zip(self._axes, parts, strict=True) if isinstance(part, range)]
        there = sorted(kept)
        return values.transpose([there.index(axis) for axis in kept])


class Bands(View):
    """A cube (rows, cols, bands) with only some of its bands.

    Parameters
    ----------
    source : array-like of shape (rows, cols, all bands)
        What is seen.
    bands : sequence of int
        Which bands, from 0, in the order wanted.
    """

    def __init__(self, source: Cube, bands: Sequence[int]) -> None:
        super().__init__((*source.shape[:2], len(bands)), source.dtype)
        self._source, self._bands = source, np.asarray(bands, np.intp)

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        rows, cols, bands = as_slices(parts)
        chosen = self._bands[bands]
        if isinstance(bands, int):
            return np.asarray(self._source[rows, cols, int(chosen)])
        return np.asarray(self._source[rows, cols, :])[..., chosen]


class Unflattened(View):
    """A cube with one axis split in two, for arrays on disk that can't be reshaped without reading them.

    Parameters
    ----------
    source : array-like of shape (bands, pixels)
        What is seen.
    slow, fast : int
        How often, and how many of the pixels follow one another: pixel ``i * fast + j`` is ``[:, i, j]`` of the view.
    """

    def __init__(self, source: Cube, slow: int, fast: int) -> None:
        chunks = getattr(source, "chunks", None)
        # A chunk that begins within a run ends within another.
        runs = chunks and (chunks[0], max(chunks[1] // fast, 1), min(chunks[1], fast))
        super().__init__((source.shape[0], slow, fast), source.dtype, runs)
        self._source = source

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        bands, slow, fast = parts
        runs = [slow] if isinstance(slow, int) else slow
        inner = range(fast, fast + 1) if isinstance(fast, int) else fast
        kept = range(bands, bands + 1) if isinstance(bands, int) else bands
        values = np.empty((len(kept), len(runs), len(inner)), self.dtype)
        for place, run in enumerate(runs):
            first = run * self.shape[2]
            pixels = slice(first + inner.start, first + inner.stop, inner.step)
            values[:, place] = self._source[as_slices([kept])[0], pixels]
        return values[tuple(slice(None) if isinstance(part, range) else 0 for part in parts)]
