"""Readers of NumPy files.

Arrays are memory-mapped. An array of an ``.npz`` archive is first unpacked to a temporary file, which has no name and
disappears with the array. Objects are never unpickled.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from math import prod
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.spectral_vectors import is_spectral_vector
from hsifeat.scenes.readers.variable_choice import choose_variable


def read_npy(path: Path, ndim: int, variable: str | None) -> Raster:  # noqa: ARG001  # the signature of every reader
    """Memory-map the array of an ``.npy`` file.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        Not used, because the file contains a single array.
    variable : str or None
        Must be None.

    Raises
    ------
    SceneError
        If `variable` is not None. If the size of the file differs from the size that the header states.
    """
    if variable is not None:
        raise SceneError(f"{path}: a .npy file holds one array without a name; leave out {variable!r}")
    array = np.lib.format.open_memmap(path, mode="r")
    size, expected = path.stat().st_size, array.offset + array.nbytes
    if size != expected:
        raise SceneError(
            f"{path} has {size} bytes, but its header says {expected}, for {' x '.join(map(str, array.shape))} values of "
            f"{array.dtype}: it is damaged"
        )
    return Raster(array=array, ordered=False)


def read_npz(path: Path, ndim: int, variable: str | None) -> Raster:
    """Unpack one array of an ``.npz`` archive into a temporary file and memory-map it.

    Parameters
    ----------
    path : Path
        The archive.
    ndim : int
        Number of dimensions: 2 for a label map, 2 for a cube with all pixels on one axis, 3 for other cubes.
    variable : str or None
        Name of the array. It is required if several arrays have `ndim` dimensions.

    Raises
    ------
    SceneError
        If the array does not exist. If `variable` is None, and the archive does not have exactly one array of `ndim`
        dimensions. If the disk has no room for the unpacked array.
    """
    with zipfile.ZipFile(path) as archive:
        shapes = {}
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as member:
                    shape, _, dtype = read_array_header(member)
                if dtype.kind in "biufc":
                    shapes[name.removesuffix(".npy")] = shape
        array_name, notes = choose_variable(path, shapes, ndim, variable)
        spectral_vectors = {}
        for name, shape in shapes.items():
            if is_spectral_vector(name, shape, shapes[array_name]):
                with archive.open(f"{name}.npy") as member:
                    values = np.lib.format.read_array(member, allow_pickle=False)
                spectral_vectors[name] = FileVariable((), values, {})
        _check_member(archive, f"{array_name}.npy", path)
        with archive.open(f"{array_name}.npy") as member, tempfile.TemporaryFile(prefix="hsifeat-") as unpacked:
            shutil.copyfileobj(member, unpacked)
            unpacked.seek(0)
            shape, order, dtype = read_array_header(unpacked)
            array: NDArray[np.generic] = np.memmap(unpacked, dtype, "r", unpacked.tell(), shape, order)
    return Raster(array=array, ordered=False, variable=array_name, spectral_vectors=spectral_vectors, notes=notes)


def _check_member(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Raise `SceneError` unless the unpacked size of a member equals the size that its array header implies."""
    with archive.open(name) as member:
        shape, _, dtype = read_array_header(member)
        expected = member.tell() + prod(shape) * dtype.itemsize
    size = archive.getinfo(name).file_size
    if size != expected or min(shape, default=0) < 0:
        raise SceneError(
            f"{path}: {name} has {size} bytes when unpacked, but its header says {expected}, for "
            f"{' x '.join(map(str, shape))} values of {dtype}: it is damaged"
        )


def read_array_header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[np.generic]]:
    """Read the shape, the memory order and the data type of an array from the header of a ``.npy`` file."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    return shape, "F" if is_fortran else "C", dtype
