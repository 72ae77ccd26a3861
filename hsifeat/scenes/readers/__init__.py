"""Readers: one module a format, found by the entry-point group ``hsifeat.readers``, ours and third parties' alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.readers.reading_errors import told
from hsifeat.types import Cube

if TYPE_CHECKING:
    from hsifeat.scenes.readers.conventions import Named


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
        Of a label map: names (of 0 too, which is unlabelled), and colours as ``#rrggbb``, if the file has them.
    beside : dict of str to Named
        Where `ordered` is False: vectors of the file that are called wavelengths or widths, not yet known to be the bands'.
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
    beside: dict[str, Named] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# A reader takes a path, the wanted number of dimensions (3: a cube, 2: labels, or a cube with its pixels in one axis) and
# a variable name or None. It raises `SceneError` when there is no candidate, or more than one and none is named.
Reader = Callable[[Path, int, str | None], Raster]


def read_raster(path: Path, ndim: int, variable: str | None = None) -> Raster:
    """Read a file by the reader of its suffix, or a folder: a Zarr one, or one of single-band files.

    Raises
    ------
    SceneError
        No such file, no reader for it, a damaged file, or no single candidate in it.
    """
    check_exists(path)
    readers = {entry.name: entry for entry in entry_points(group="hsifeat.readers")}
    suffix = kind_of(path)
    with told(path):
        if suffix in readers:
            reader: Reader = readers[suffix].load()
        elif path.is_dir():
            from hsifeat.scenes.readers.band_files import read_folder as reader
        else:
            from hsifeat.scenes.readers.gdal import read_unknown as reader
        raster = reader(path, ndim, variable)
    if len(raster.array.shape) != ndim:
        wanted = "a scene (rows, cols, bands)" if ndim == 3 else "a single band (rows, cols)"
        flat = len(raster.array.shape) == 2 and not raster.ordered
        hint = "; where its pixels are in one axis, say so: --axes bands,pixels --rows N" if flat else ""
        raise SceneError(f"{path} holds an array of shape {tuple(raster.array.shape)}; wanted {wanted}{hint}")
    return raster


def kind_of(path: Path) -> str:
    """Return the suffix by which a reader is found, in lower case and without its dot."""
    if path.is_dir():
        return "zarr" if is_zarr(path) or path.suffix.lower() == ".zarr" else ""
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in suffixes():
        from hsifeat.scenes.readers.envi import has_header

        # Data files of ENVI often have no suffix, or one of their sensor's own.
        return "hdr" if has_header(path) else suffix
    return suffix


def is_zarr(folder: Path) -> bool:
    """Tell whether a folder is an array or a group of Zarr, version 2 or 3."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zmetadata"))


def suffixes() -> list[str]:
    """Return the suffixes that have a reader, without their dots."""
    return sorted({entry.name for entry in entry_points(group="hsifeat.readers")})


def check_exists(path: Path) -> None:
    """Raise `SceneError` unless there is such a file or folder on this machine."""
    if is_address(path):
        raise SceneError(
            f"{path} is an address, and scenes are read from this machine: download the file and name that"
        )
    if not path.exists():
        raise SceneError(f"no such file: {path}")


def is_address(source: str | Path) -> bool:
    """Tell whether a source is an address such as ``https://…`` or ``s3://…``, of whose slashes a path keeps only one."""
    return re.match(r"[a-z][a-z0-9+.-]+:/", str(source), re.IGNORECASE) is not None and not Path(source).exists()


def split_variable(source: str | Path) -> tuple[Path, str | None]:
    """Read ``FILE`` or ``FILE:VARIABLE``; a file that has the colon in its name is taken as it is."""
    path = Path(source)
    if not path.exists() and ":" in str(source) and not is_address(source):
        head, _, variable = str(source).rpartition(":")
        return Path(head), variable
    return path, None
