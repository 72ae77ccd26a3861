"""Lazy views of arrays on disk: transposed axes, band subsets and split axes; values are read on indexing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hsifeat.types import Cube

# The checked index of one axis: a range within bounds, or an integer from 0.
AxisIndex = range | int


class ArrayView(ABC):
    """Base of arrays that are read on indexing, with NumPy's basic indexing by integers and slices of positive step.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    dtype : dtype-like
        Data type of the values.
    chunks : sequence of int, optional
        Chunk shape, if reading any value means reading and unpacking a whole chunk.
    """

    def __init__(self, shape: Sequence[int], dtype: DTypeLike, chunks: Sequence[int] | None = None) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.chunks = None if chunks is None else tuple(int(size) for size in chunks)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block by slices and integers."""
        parts = tuple(_check_index(index, size) for index, size in zip(self._expand(key), self.shape, strict=True))
        sizes = [len(part) for part in parts if isinstance(part, range)]
        return self._read(parts) if all(sizes) else np.empty(sizes, self.dtype)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the whole array."""
        return np.asarray(self[...], dtype=dtype)

    @abstractmethod
    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        """Read a non-empty block: a range for each axis that is kept, an integer for each that is dropped."""

    def _expand(self, key: Any) -> list[Any]:
        """Return one index per axis."""
        indices = list(key) if isinstance(key, tuple) else [key]
        for place in [place for place, index in enumerate(indices) if index is Ellipsis]:
            indices[place : place + 1] = [slice(None)] * (len(self.shape) - len(indices) + 1)
        return indices + [slice(None)] * (len(self.shape) - len(indices))


def _check_index(index: Any, size: int) -> AxisIndex:
    if isinstance(index, slice):
        steps = range(*index.indices(size))
        if steps.step < 1:
            raise IndexError(f"arrays on disk support only positive slice steps; found {steps.step}")
        return steps
    number = int(index)
    if not -size <= number < size:
        raise IndexError(f"{number} is out of bounds for an axis of {size}")
    return number % size


def as_slices(parts: Sequence[AxisIndex]) -> tuple[slice | int, ...]:
    """Convert checked indices to slices and integers.

    >>> as_slices((range(2, 8, 3), 5))
    (slice(2, 8, 3), 5)
    """
    return tuple(part if isinstance(part, int) else slice(part.start, part.stop, part.step) for part in parts)


class TransposedView(ArrayView):
    """An array with permuted axes.

    Parameters
    ----------
    source : array-like
        Indexed by slices and integers, such as an array of h5py or zarr.
    axes : sequence of int
        As in ``np.transpose``: axis i of the view is axis ``axes[i]`` of the source. Axes that are not listed are indexed
        with 0.
    """

    def __init__(self, source: Cube, axes: Sequence[int]) -> None:
        chunks = getattr(source, "chunks", None)
        super().__init__(
            [source.shape[axis] for axis in axes], source.dtype, chunks and [chunks[axis] for axis in axes]
        )
        self._source, self._axes = source, tuple(axes)

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        source_key: list[slice | int] = [0] * len(self._source.shape)
        for axis, part in zip(self._axes, as_slices(parts), strict=True):
            source_key[axis] = part
        values = np.asarray(self._source[tuple(source_key)])
        # Axes indexed by an integer are dropped from the values; the others keep their order.
        kept = [axis for axis, part in zip(self._axes, parts, strict=True) if isinstance(part, range)]
        in_source_order = sorted(kept)
        return values.transpose([in_source_order.index(axis) for axis in kept])


class BandSubset(ArrayView):
    """Selected bands of a cube.

    Parameters
    ----------
    source : array-like of shape (rows, cols, bands)
        The cube.
    bands : sequence of int
        Band indices, in the order of the view.
    """

    def __init__(self, source: Cube, bands: Sequence[int]) -> None:
        super().__init__((*source.shape[:2], len(bands)), source.dtype)
        self._source, self._bands = source, np.asarray(bands, np.intp)

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        rows, cols, bands = as_slices(parts)
        selection = self._bands[bands]
        if isinstance(bands, int):
            return np.asarray(self._source[rows, cols, int(selection)])
        return np.asarray(self._source[rows, cols, :])[..., selection]


class SplitAxisView(ArrayView):
    """An array (bands, pixels) with its pixel axis split in two.

    Parameters
    ----------
    source : array-like of shape (bands, slow * fast)
        The array.
    slow, fast : int
        Lengths of the new axes: pixel ``i * fast + j`` of the source is ``[:, i, j]`` of the view.
    """

    def __init__(self, source: Cube, slow: int, fast: int) -> None:
        chunks = getattr(source, "chunks", None)
        # A chunk may start and end in the middle of runs of `fast` pixels.
        runs = chunks and (chunks[0], max(chunks[1] // fast, 1), min(chunks[1], fast))
        super().__init__((source.shape[0], slow, fast), source.dtype, runs)
        self._source = source

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
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
