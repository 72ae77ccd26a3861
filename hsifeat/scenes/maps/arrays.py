"""Writers of maps as NumPy and MATLAB files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.files import atomic_write
from hsifeat.scenes.maps.legend import Legend
from hsifeat.types import Window

_CHECKED_ROWS, _SUM_TOLERANCE = 64, 1e-3


def write_npy(path: Path, values: NDArray[Any]) -> None:
    """Write an array of any shape and dtype as a ``.npy`` file."""
    with atomic_write(path) as part, part.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def write_npy_blocks(
    path: Path, blocks: Iterable[tuple[Window, NDArray[np.float32]]], shape: tuple[int, int, int]
) -> None:
    """Write a float32 array block by block as a ``.npy`` file.

    Parameters
    ----------
    path : Path
        The file.
    blocks : iterable of (Window, (rows, cols, channels) float32 array)
        Windows that cover the array, in any order, and the values in each window.
    shape : tuple of int
        Rows, columns and channels of the whole array.
    """
    _, cols, channels = shape
    # On a full disk, a plain write raises an error, while writing to a memory map would kill the process.
    with atomic_write(path) as part, part.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        start = file.tell()
        for window, values in blocks:
            for row, line in enumerate(values.astype("<f4", copy=False), window.row):
                file.seek(start + 4 * channels * (row * cols + window.col))
                file.write(line.tobytes())


def write_mat(path: Path, name: str, values: NDArray[Any], legend: Legend) -> None:
    """Write an array and a legend as variables of a MATLAB file.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the variable that contains `values`.
    values : (rows, cols) or (rows, cols, classes) array
        The array, of any numeric dtype.
    legend : Legend
        Legend of the map, written as the variables ``class_numbers``, ``class_names`` and ``class_colours``. Each
        variable has one row per class. The red, green and blue of a colour range from 0 to 1.
    """
    from scipy.io import savemat

    content = {
        name: values,
        "class_numbers": np.array(legend.numbers, np.int32),
        "class_names": np.array(legend.names, object),
        "class_colours": legend.rgb / 255,
    }
    with atomic_write(path) as part, part.open("wb") as file:
        savemat(file, content, oned_as="column", do_compression=True)


def is_map_npy(path: Path) -> bool:
    """Return whether a file may be a map of classes or probabilities: a ``.npy`` file has no mark of the program that wrote it."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    is_probabilities = array.ndim == 3 and array.dtype == np.float32  # axes
    if not is_probabilities:
        return array.ndim == 2 and array.dtype.kind in "iu"  # axes
    values = array[:: max(len(array) // _CHECKED_ROWS, 1)]
    sums = values.sum(axis=2, dtype=np.float64)
    return bool((np.isnan(sums) | (np.abs(sums - 1) < _SUM_TOLERANCE)).all())


def is_map_mat(path: Path) -> bool:
    """Return whether a file is a ``.mat`` file of classes or probabilities that `write_mat` wrote."""
    from scipy.io import whosmat

    try:
        names = {name for name, _, _ in whosmat(path)}
    except Exception:  # noqa: BLE001  # damaged files raise errors of many classes
        return False
    return {"class_numbers", "class_names", "class_colours"} <= names and bool({"map", "probabilities"} & names)
