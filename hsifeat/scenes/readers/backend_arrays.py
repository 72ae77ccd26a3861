"""Lazy arrays of files that xarray or zarr reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.quiet_warnings import ignored_warnings
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.readers.raster import FileVariable
from hsifeat.scenes.readers.reading_errors import reading_errors


class BackendArray(ArrayView):
    """Lazy array that xarray or zarr reads. Error messages name the file.

    Parameters
    ----------
    path : Path
        The file or folder.
    source : array-like
        xarray variable or Zarr array, which supports indexing by slices and integers.
    chunks : sequence of int or None
        Chunk shape, or None if the array is not stored in chunks.
    """

    def __init__(self, path: Path, source: Any, chunks: Sequence[int] | None = None) -> None:
        super().__init__(source.shape, source.dtype, chunks)
        self._path, self._source = path, source

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        with reading_errors(self._path), ignore_library_warnings():
            return np.asarray(self._source[as_slices(parts)])


class SignCastView(ArrayView):
    """A view of signed integers as unsigned integers, or of unsigned integers as signed integers.

    Parameters
    ----------
    source : ArrayView
        The integers as stored.
    """

    def __init__(self, source: ArrayView) -> None:
        super().__init__(source.shape, _opposite_sign(source.dtype), source.chunks)
        self._source = source

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        return self._source[as_slices(parts)].astype(self.dtype)


def apply_sign(dims: tuple[str, ...], array: ArrayView, attrs: dict[str, Any]) -> FileVariable:
    """Return a variable with signed or unsigned integers, according to the attribute ``_Unsigned`` in `attrs`.

    Classic NetCDF stores unsigned integers as signed integers of the same width, and marks such variables with
    ``_Unsigned``. Attributes that contain values of the array, such as ``_FillValue``, are converted as well.

    Parameters
    ----------
    dims : tuple of str
        Dimensions of the variable.
    array : ArrayView
        Values as stored.
    attrs : dict
        Attributes as stored.
    """
    unsigned = str(attrs.get("_Unsigned", "")).lower()
    if {"true": "i", "false": "u"}.get(unsigned) != array.dtype.kind:
        return FileVariable(dims, array, attrs)
    dtype = _opposite_sign(array.dtype)
    values: dict[str, Any] = {
        key: np.asarray(attrs[key]).astype(dtype)
        for key in ("_FillValue", "missing_value", "flag_values")
        if key in attrs and np.asarray(attrs[key]).dtype.kind in "iu"
    }
    return FileVariable(dims, SignCastView(array), {**attrs, **values})


def _opposite_sign(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"{dtype.byteorder}{'u' if dtype.kind == 'i' else 'i'}{dtype.itemsize}")


@contextmanager
def ignore_library_warnings() -> Iterator[None]:
    """Within the ``with`` block, suppress warnings that users can't act on, such as those on experimental codecs of zarr."""
    with ignored_warnings():
        yield
