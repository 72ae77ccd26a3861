"""Readers: one module a format, found by the entry-point group ``hsifeat.readers``, ours and third parties' alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.types import Cube


@dataclass(frozen=True)
class Raster:
    """What a reader finds in a file.

    Attributes
    ----------
    array : array-like
        ``(rows, cols, bands)`` or ``(rows, cols)``, lazy where the format allows.
    variable : str
        Name of the variable within the file, or an empty string.
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths, if the file has them.
    notes : tuple of str
        What was guessed.
    """

    array: Cube
    variable: str = ""
    wavelengths_nm: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


# A reader takes a path, the wanted number of dimensions (3: a cube, 2: labels) and a variable name or None.
# It raises `SceneError` when there is no candidate, or more than one and none is named.
Reader = Callable[[Path, int, str | None], Raster]


def read_raster(path: Path, ndim: int, variable: str | None = None) -> Raster:
    """Read a file by the reader of its suffix.

    Raises
    ------
    SceneError
        No such file, no reader for it, a damaged file, or no single candidate in it.
    """
    if not path.exists():
        raise SceneError(f"no such file: {path}")
    readers = {entry.name: entry for entry in entry_points(group="hsifeat.readers")}
    suffix = path.suffix.lower().lstrip(".")
    if path.is_file() and suffix not in readers and "hdr" in readers:
        from hsifeat.scenes.readers.envi import has_header

        # Data files of ENVI often have no suffix, or one of their sensor's own.
        suffix = "hdr" if has_header(path) else suffix
    if path.is_dir() or suffix not in readers:
        found = "a folder" if path.is_dir() else f"a file ending in {path.suffix or 'nothing'}"
        raise SceneError(
            f"{path} is {found}; files ending in {', '.join('.' + n for n in sorted(readers))} can be read"
        )
    reader: Reader = readers[suffix].load()
    try:
        raster = reader(path, ndim, variable)
    except (SceneError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes the format's library raise anything at all
        kind = " ".join(str(error).split()) or type(error).__name__
        raise SceneError(f"{path} can't be read, it may be truncated or not a .{suffix} file: {kind}") from error
    if len(raster.array.shape) != ndim:
        wanted = "a scene (rows, cols, bands)" if ndim == 3 else "a label map (rows, cols)"
        raise SceneError(f"{path} holds an array of shape {tuple(raster.array.shape)}; wanted {wanted}")
    return raster
