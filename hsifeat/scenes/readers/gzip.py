"""Packed files, unpacked piece by piece into temporary files that live as long as the arrays mapped from them."""

from __future__ import annotations

import errno
import gzip
import shutil
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from hsifeat.errors import SceneError
from hsifeat.scenes.readers import Raster, read_raster

# Formats of one file, which can be packed without what lies beside it.
_INNER = (".mat", ".npy", ".npz", ".tif", ".tiff", ".nc", ".h5")
_PIECE_BYTES = 2**20


def read(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a file packed by gzip, such as ``scene.mat.gz``, by the reader of what is in it."""
    inner = Path(path.stem)
    if inner.suffix.lower() not in _INNER:
        allowed = ", ".join(f"{suffix}.gz" for suffix in _INNER)
        raise SceneError(f"{path} can't be read packed: unpack it, or give one of {allowed}")
    with gzip.open(path) as stream:
        part = unpacked(stream, path, inner.name)
    try:
        raster = read_raster(part, ndim, variable)
    except SceneError as error:
        shutil.rmtree(part.parent, ignore_errors=True)
        raise SceneError(str(error).replace(str(part), str(path))) from error
    keep_with(raster.array, part)
    return replace(raster, notes=tuple(note.replace(inner.name, path.name) for note in raster.notes))


def unpacked(stream: IO[bytes] | Any, path: Path, name: str) -> Path:
    """Write a stream to a file of that name in a temporary folder of its own; `SceneError` where it does not fit there."""
    folder = Path(tempfile.mkdtemp(prefix="hsifeat-"))
    try:
        with (folder / name).open("wb") as file:
            shutil.copyfileobj(stream, file, _PIECE_BYTES)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise SceneError(
                f"{path} unpacks to more than there is room for in {folder.parent}: unpack it elsewhere, or name another "
                "folder by TMPDIR"
            ) from error
        raise
    return folder / name


def keep_with(array: Any, part: Path) -> None:
    """Remove an unpacked file and its folder once the array made from it is gone, or the program ends."""
    weakref.finalize(array, shutil.rmtree, part.parent, ignore_errors=True)
