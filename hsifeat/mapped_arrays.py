"""Arrays that are mapped from files. The disk space of a file is reserved before it is used."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Zeros that `create_array` writes at a time.
_ZERO_BYTES = 2**24
# Larger masks are mapped from temporary files.
_MAX_MASK_BYTES = 2**21


def base_array(part: Any) -> NDArray[Any] | None:
    """Return the array that owns the memory of a slice.

    For a slice of a memory map, it is a `numpy.memmap` of the same file. For a slice that was read from a file, it is the slice
    itself. None if the slice is not in memory. The slice has any shape and dtype, and may be an `xarray.DataArray`.

    >>> cube = np.ones((2, 3))
    >>> base_array(cube[:1].T) is cube
    True
    """
    base = part if isinstance(part, np.ndarray) else getattr(part, "data", None)
    if not isinstance(base, np.ndarray):
        return None
    while isinstance(base.base, np.ndarray) and not is_file_map(base):
        base = base.base
    return base


def is_file_map(array: NDArray[Any]) -> bool:
    """Return whether an array of any shape and dtype is a `numpy.memmap` with a file.

    The result of a calculation with a memory map is a `numpy.memmap` without a file.
    """
    return isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None


def own_copy(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only copy of an array of any shape and dtype.

    An array that can't be changed is returned unchanged, and so is a `scratch_array`, whose file has no name.

    >>> mask = np.ones((2, 3), bool)
    >>> own_copy(mask) is mask, own_copy(own_copy(mask)).flags.writeable
    (False, False)
    """
    base = base_array(array)
    if base is None or not base.flags.writeable or (is_file_map(base) and getattr(base, "filename", None) is None):
        return array
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def scratch_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of undefined values that is mapped from a temporary file.

    The operating system can move the values to the file when memory is short. The file has no name. It disappears with the
    array, also if the process is killed. ``TMPDIR`` sets the folder whose disk holds the file.

    Raises
    ------
    OSError
        If the file can't be written, for example because the disk is full.

    Examples
    --------
    >>> scratch_array((2, 3), "float32").shape
    (2, 3)
    """
    size_bytes = prod(shape) * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(prefix="hsifeat-") as file:
        file.truncate(size_bytes)
        # Writing to a memory map on a full disk kills the process, so the disk space is reserved first.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size_bytes)
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def create_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Create a ``.npy`` file of zeros and map it into memory.

    The disk space is reserved first. A full disk therefore raises an error here. Without reserved space, a full disk
    would kill the process at a later write to the memory map.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        Shape of the array.
    dtype : dtype or str
        Data type, such as ``<f4`` for little-endian float32.

    Returns
    -------
    array of this shape and dtype
        Memory map of the file.

    Raises
    ------
    OSError
        If the disk is full.
    """
    array: NDArray[Any] = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - array.nbytes)
        for start in range(0, array.nbytes, _ZERO_BYTES):
            file.write(bytes(min(_ZERO_BYTES, array.nbytes - start)))
    return array


def empty_mask(rows: int, cols: int) -> NDArray[np.bool_]:
    """Return a (rows, cols) bool array with undefined values.

    A mask of more than 2**21 pixels is a `scratch_array`. If the file of the scratch array can't be written, for example
    because the disk is full, the mask is an ordinary array.

    >>> empty_mask(2, 3).shape
    (2, 3)
    """
    if rows * cols > _MAX_MASK_BYTES:
        with suppress(OSError):
            return scratch_array((rows, cols), bool)
    return np.empty((rows, cols), bool)
