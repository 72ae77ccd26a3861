"""Writers of maps as NumPy and MATLAB files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.files import atomic_write
from hsifeat.scenes.maps.legend import Legend
from hsifeat.types import Window

# Length of the header of a map in bytes. NumPy pads the header of an array of numbers with blanks to 128 bytes, so this length says that hsifeat wrote the
# file. Some readers in C++ accept at most 256 bytes.
_HEADER_BYTES = 256
_START = np.lib.format.magic(1, 0) + (_HEADER_BYTES - 10).to_bytes(2, "little")


def write_npy(path: Path, values: NDArray[Any]) -> None:
    """Write a (rows, cols) or (rows, cols, channels) array of any numeric dtype as a ``.npy`` file with the header of a map."""
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(_header(values.shape, values.dtype))
        for row in values:
            file.write(row.tobytes())


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
        file.write(_header(shape, np.dtype("<f4")))
        for window, values in blocks:
            for row, line in enumerate(values.astype("<f4", copy=False), window.row):
                file.seek(_HEADER_BYTES + 4 * channels * (row * cols + window.col))
                file.write(line.tobytes())


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of a ``.npy`` file of version 1.0, padded to `_HEADER_BYTES`."""
    plain = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(map(int, shape))}
    np.lib.format.write_array_header_1_0(plain, facts)
    return (_START + plain.getvalue()[len(_START) :].rstrip()).ljust(_HEADER_BYTES - 1) + b"\n"


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
    """Return whether a file is a ``.npy`` file of classes or probabilities that hsifeat wrote."""
    start = _START + b"{'descr': '"  # other than that of a structured array, whose header may be as long
    with path.open("rb") as file:
        return file.read(len(start)) == start


def is_map_mat(path: Path) -> bool:
    """Return whether a file is a ``.mat`` file of classes or probabilities that `write_mat` wrote."""
    from scipy.io import whosmat

    names = {name for name, _, _ in whosmat(path)}
    return {"class_numbers", "class_names", "class_colours"} <= names and bool({"map", "probabilities"} & names)
