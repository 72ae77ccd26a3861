"""Reading of a scene or label map from a file, a Zarr folder, or a folder of single-band files."""

from __future__ import annotations

from pathlib import Path

from hsifeat.scenes.readers.band_files import read_band_folder
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.reading_errors import reading_errors
from hsifeat.scenes.readers.single_file import read_file
from hsifeat.scenes.readers.suffixes import reader_suffix


def read_raster(path: Path, ndim: int, variable: str | None = None) -> Raster:
    """Read an array and its metadata from a file or folder.

    Parameters
    ----------
    path : Path
        A file that has a reader or that GDAL can open, a Zarr folder, or a folder of single-band files.
    ndim : int
        Number of dimensions: 2 for a label map, 2 for a cube with all pixels on one axis, 3 for other cubes.
    variable : str, optional
        Name of the variable to read. It is required if several variables have `ndim` dimensions.

    Returns
    -------
    Raster
        Array of `ndim` dimensions with its metadata.

    Raises
    ------
    SceneError
        If the source is missing or damaged. If the format of the source is unknown. If no array or several arrays match
        `ndim` and `variable`.
    """
    if path.is_dir() and not reader_suffix(path):
        with reading_errors(path):
            return read_band_folder(path, ndim, variable)
    return read_file(path, ndim, variable)
