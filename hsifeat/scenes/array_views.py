"""Lazy views that permute the axes, select bands or split an axis of an array on disk. Indexing a view reads values."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hsifeat.errors import SceneError
from hsifeat.mapped_arrays import base_array, is_file_map
from hsifeat.types import Cube, plain_values

_READ_FIRST = "np.asarray(array) has all kinds of indices, but reads the whole array"
# Index of one axis after the bounds check: a range of indices, or a non-negative integer.
AxisIndex = range | int


class ArrayView(ABC):
    """Base class of arrays whose values are read when they are indexed.

    Indexing accepts integers, slices with a positive step and an ellipsis, as in NumPy. Masks and lists are not accepted, because
    they would read the whole array: ``numpy.asarray(view)`` reads it.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    dtype : dtype-like
        Data type of the values.
    chunks : sequence of int, optional
        Shape of the chunks. A chunk is unpacked or computed as a whole, even to read a single value. None if the array has
        no chunks.
    """

    def __init__(self, shape: Sequence[int], dtype: DTypeLike, chunks: Sequence[int] | None = None) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.chunks = None if chunks is None else tuple(int(size) for size in chunks)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read the values that the integers and slices in `key` select.

        Raises
        ------
        SceneError
            If an index is a mask, a list or a slice with a negative step.
        IndexError
            If an integer is out of bounds. If there are more indices than axes, or two ellipses.
        """
        parts = tuple(_check_index(index, size) for index, size in zip(self._expand(key), self.shape, strict=True))
        sizes = [len(part) for part in parts if isinstance(part, range)]
        return self._read(parts) if all(sizes) else np.empty(sizes, self.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float | np.generic | np.ndarray):
            raise SceneError(
                "the values of a lazy array are not compared with `==` and `!=`: read them first, as in array[:] == 0"
            )
        return self is other

    __hash__ = object.__hash__

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the whole array."""
        return np.asarray(self[...], dtype=dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @abstractmethod
    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        """Read a non-empty block. `parts` has one entry per axis: a range, or an integer that drops the axis."""

    def _expand(self, key: Any) -> list[Any]:
        """Expand an ellipsis and missing indices, so that each axis has one index."""
        indices = list(key) if isinstance(key, tuple) else [key]
        ellipses = sum(index is Ellipsis for index in indices)
        if ellipses > 1 or len(indices) - ellipses > self.ndim:
            raise IndexError(
                f"an array of {self.ndim} axes takes at most {self.ndim} indices and one ellipsis; found {key!r:.60}"
            )
        for place in [place for place, index in enumerate(indices) if index is Ellipsis]:
            indices[place : place + 1] = [slice(None)] * (len(self.shape) - len(indices) + 1)
        return indices + [slice(None)] * (len(self.shape) - len(indices))


def _check_index(index: Any, size: int) -> AxisIndex:
    if isinstance(index, slice):
        steps = range(*index.indices(size))
        if steps.step < 1:
            raise SceneError(f"a lazy array takes only slices with a positive step; found {steps.step}: {_READ_FIRST}")
        return steps
    if isinstance(index, bool | np.bool_) or not hasattr(index, "__index__") or np.ndim(index):
        raise SceneError(
            f"an index of a lazy array is an integer, a slice or an ellipsis; found {type(index).__name__}: {_READ_FIRST}"
        )
    number = operator.index(index)
    if not -size <= number < size:
        raise IndexError(f"{number} is out of bounds for an axis of {size}")
    return number % size


def as_slices(parts: Sequence[AxisIndex]) -> tuple[slice | int, ...]:
    """Convert ranges and integers, one per axis, to slices and integers.

    >>> as_slices((range(2, 8, 3), 5))
    (slice(2, 8, 3), 5)
    """
    return tuple(part if isinstance(part, int) else slice(part.start, part.stop, part.step) for part in parts)


class TransposedView(ArrayView):
    """View that permutes the axes of an array.

    Parameters
    ----------
    source : array-like
        Array that supports indexing by slices and integers, such as an h5py dataset or a Zarr array.
    axes : sequence of int
        Axis i of the view is axis ``axes[i]`` of the source, as in ``np.transpose``. A source axis that is not listed is
        indexed at 0.
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
        # An integer index drops an axis. The remaining axes of `values` are in the order of the source.
        range_axes = [axis for axis, part in zip(self._axes, parts, strict=True) if isinstance(part, range)]
        in_source_order = sorted(range_axes)
        return values.transpose([in_source_order.index(axis) for axis in range_axes])


class BandSubset(ArrayView):
    """A view of selected bands of a cube.

    Parameters
    ----------
    source : array-like of shape (rows, cols, bands)
        The cube.
    bands : sequence of int
        Indices of the selected bands, in the order of the view.
    """

    def __init__(self, source: Cube, bands: Sequence[int]) -> None:
        super().__init__((*source.shape[:2], len(bands)), source.dtype)
        self.source, self.bands = source, np.asarray(bands, np.intp)

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        rows, cols, bands = as_slices(parts)
        selection = self.bands[bands]
        if isinstance(bands, int):
            return plain_values(self.source[rows, cols, int(selection)])
        return plain_values(self.source[rows, cols, :])[..., selection]


class SelectedBands(BandSubset):
    """A view of bands that were selected from an opened scene, unlike those that remain when a file is opened."""


def opened_bands(cube: Cube) -> NDArray[np.intp]:
    """Return the index of each band of a cube in the scene as it was opened, before bands were selected: (bands,) intp array.

    >>> opened_bands(SelectedBands(SelectedBands(np.ones((2, 3, 9)), [8, 6, 4]), [2, 0])).tolist()
    [4, 8]
    """
    bands = np.arange(cube.shape[2])
    source: Any = cube
    while isinstance(source, SelectedBands):
        source, bands = source.source, source.bands[bands]
    return bands


class SplitAxisView(ArrayView):
    """A view of a (bands, pixels) array as a (bands, slow, fast) array.

    Parameters
    ----------
    source : array-like of shape (bands, slow * fast)
        The array whose pixel axis is split.
    slow, fast : int
        Lengths of the two new axes. Pixel ``i * fast + j`` of the source is ``[:, i, j]`` of the view.
    """

    def __init__(self, source: Cube, slow: int, fast: int) -> None:
        chunks = getattr(source, "chunks", None)
        # This shape is approximate: a source chunk may start or end within a run of `fast` pixels.
        runs = chunks and (chunks[0], max(chunks[1] // fast, 1), min(chunks[1], fast))
        super().__init__((source.shape[0], slow, fast), source.dtype, runs)
        self._source = source

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        bands, slow, fast = parts
        runs = [slow] if isinstance(slow, int) else slow
        inner = range(fast, fast + 1) if isinstance(fast, int) else fast
        band_range = range(bands, bands + 1) if isinstance(bands, int) else bands
        values = np.empty((len(band_range), len(runs), len(inner)), self.dtype)
        for place, run in enumerate(runs):
            first = run * self.shape[2]
            pixels = slice(first + inner.start, first + inner.stop, inner.step)
            values[:, place] = self._source[as_slices([band_range])[0], pixels]
        return values[tuple(slice(None) if isinstance(part, range) else 0 for part in parts)]


def is_in_memory(cube: Cube) -> bool:
    """Return whether a cube is an array in memory, an `xarray.DataArray` of one, or a view of selected bands of these.

    >>> is_in_memory(BandSubset(np.ones((2, 3, 4)), [0, 2]))
    True
    """
    source: Any = cube
    while isinstance(source, BandSubset):
        source = source.source
    if isinstance(source, ArrayView):
        return False
    first, second = (base_array(source[:1, :1, :1]) for _ in range(2))
    # Each slice of a lazy array is read into an array of its own.
    if first is not None and is_file_map(first):
        return getattr(first, "mode", "") == "c"  # changes of such a map stay in memory
    return first is not None and first is second
