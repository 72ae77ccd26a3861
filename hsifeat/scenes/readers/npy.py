"""NumPy files, mapped into memory and never unpickled: one array, or several with names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.readers import Raster
from hsifeat.scenes.readers.conventions import Named, is_spectral
from hsifeat.scenes.readers.gzip import keep_with, unpacked
from hsifeat.scenes.readers.variable_choice import choose


def read(path: Path, ndim: int, variable: str | None) -> Raster:  # noqa: ARG001  # every reader takes the same three
    """Map the file's only array; `SceneError` if a variable is named, since there is none to name."""
    if variable is not None:
        raise SceneError(f"{path}: a .npy file holds one array without a name; leave out {variable!r}")
    return Raster(array=_mapped(path, path), ordered=False)


def read_npz(path: Path, ndim: int, variable: str | None) -> Raster:
    """Unpack one of the archive's arrays into a temporary file and map that; nothing is guessed where there are several."""
    with zipfile.ZipFile(path) as archive:
        shapes = {}
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as member:
                    shape, dtype = _header(member)
                if dtype.kind in "biufc":
                    shapes[name.removesuffix(".npy")] = shape
        chosen, notes = choose(path, shapes, ndim, variable)
        beside = {}
        for name, shape in shapes.items():
            if is_spectral(name, shape, shapes[chosen]):
                with archive.open(f"{name}.npy") as member:
                    beside[name] = Named((), np.lib.format.read_array(member, allow_pickle=False), {})
        with archive.open(f"{chosen}.npy") as member:
            part = unpacked(member, path, "array.npy")
    array = _mapped(part, path)
    keep_with(array, part)
    return Raster(array=array, ordered=False, variable=chosen, beside=beside, notes=notes)


def _mapped(path: Path, shown: Path) -> NDArray[np.generic]:
    array = np.lib.format.open_memmap(path, mode="r")
    found, wanted = path.stat().st_size, array.offset + array.nbytes
    if found != wanted:
        raise SceneError(
            f"{shown} has {found} bytes, but its header says {wanted}, for {' x '.join(map(str, array.shape))} values of "
            f"{array.dtype}: it is damaged"
        )
    return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    read_it = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_it(file)
    return shape, dtype
