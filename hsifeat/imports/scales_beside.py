"""Find the file of factors beside a file of quantised features, or beside the file that a `numpy.memmap` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.mapped_arrays import base_array
from hsifeat.types import Cube


def scales_beside(path: Path | None, array: Cube, name: str) -> Path | None:
    """Return ``X_scales.npy`` beside ``X.npy`` or ``X.npy.gz``; None if there is no such file.

    Parameters
    ----------
    path : Path or None
        The file; None for an array, which may be mapped from a file.
    array : array-like of shape (rows, cols, channels)
        Integers.
    name : str
        Name of the features, for messages.

    Raises
    ------
    SceneError
        If there is such a file, but the array is only a part of ``X.npy``, or has its rows or columns in another order, so that
        the factors are those of other cells.
    """
    mapped = None if path is not None else _mapped_corner(array)
    if mapped is not None:
        path = Path(mapped[0])
    unpacked = None if path is None else Path(path.name.removesuffix(".gz"))
    if path is None or unpacked is None or unpacked.suffix.lower() != ".npy":
        return None
    beside = path.with_name(f"{unpacked.stem}_scales.npy")
    if not beside.is_file():
        return None
    if mapped is not None and not _is_whole(array, mapped[1], path):
        raise SceneError(
            f"{name}: is a part of {path.name}, or has its rows or columns in another order, so the factors in {beside.name} do not "
            "fit its values: save the factors of its values to a file, and name this file with `dequantise`"
        )
    return beside


def _mapped_corner(array: Cube) -> tuple[str, NDArray[Any]] | None:
    """Return the file and the first value of a memory-mapped array, of a view of one or of an `xarray.DataArray` of one; else None."""
    # A slice, because `data` of an `xarray.DataArray` reads all values of a lazy array.
    corner: Any = array[:1, :1, :1]
    base = base_array(corner)
    if not isinstance(base, np.memmap) or base.filename is None:
        return None
    return str(base.filename), corner if isinstance(corner, np.ndarray) else corner.data


def _is_whole(array: Cube, corner: NDArray[Any], path: Path) -> bool:
    """Return whether an array has all values of a file in the same order of rows and columns."""
    try:
        stored = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    if stored.ndim == 4 and len(stored) == 1:
        stored = stored[0]
    layouts = [np.moveaxis(stored, axis, -1) for axis in range(stored.ndim)]
    return np.dtype(array.dtype) == stored.dtype and any(
        (one.shape, one.strides) == (tuple(array.shape), corner.strides) for one in layouts
    )
