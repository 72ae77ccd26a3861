"""Readers: one module a format, found by the entry-point group ``hsifeat.readers``, ours and third parties' alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference
from hsifeat.types import Cube


@dataclass(frozen=True)
class Raster:
    """What a reader finds in a file.

    Attributes
    ----------
    array : array-like
        Lazy where the format allows; of as many dimensions as were asked for.
    ordered : bool
        True where the format tells its axes: the array is then (rows, cols, bands) or (rows, cols). False where it may
        be in any order, as in MATLAB's and NumPy's files.
    variable : str
        Name of the variable within the file, or an empty string.
    wavelengths_nm, fwhm_nm : (bands,) float64 array or None
        Centre wavelengths and full widths at half maximum in nm, if the file has them.
    band_names : tuple of str
        Names of the bands, or nothing.
    bad_bands : tuple of int
        Bands (from 0) that the file marks as bad; they are still in `array`.
    nodata : tuple of float
        Values that stand for no data.
    scale : float
        What a value has to be divided by to give reflectance; 1 where the file says nothing.
    georeference : Georeference or None
        Where the grid lies.
    class_names, class_colours : dict of int to str
        Of a label map: names, and colours as ``#rrggbb``, if the file has them.
    notes : tuple of str
        What was guessed.
    """

    array: Cube
    ordered: bool = True
    variable: str = ""
    wavelengths_nm: NDArray[np.float64] | None = None
    fwhm_nm: NDArray[np.float64] | None = None
    band_names: tuple[str, ...] = ()
    bad_bands: tuple[int, ...] = ()
    nodata: tuple[float, ...] = ()
    scale: float = 1.0
    georeference: Georeference | None = None
    class_names: dict[int, str] = field(default_factory=dict)
    class_colours: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# A reader takes a path, the wanted number of dimensions (3: a cube, 2: labels, or a cube with its pixels in one axis) and
# a variable name or None. It raises `SceneError` when there is no candidate, or more than one and none is named.
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


def split_variable(source: str | Path) -> tuple[Path, str | None]:
    """Read ``FILE`` or ``FILE:VARIABLE``; a file that has the colon in its name is taken as it is."""
    path = Path(source)
    if not path.exists() and ":" in str(source):
        head, _, variable = str(source).rpartition(":")
        return Path(head), variable
    return path, None
