"""Reading of a file or Zarr folder with the reader that is registered for its suffix."""

from __future__ import annotations

import shlex
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.readers.gdal import read_gdal
from hsifeat.scenes.readers.gdal_headers import left_out_format
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.reading_errors import reading_errors
from hsifeat.scenes.readers.source_paths import check_exists
from hsifeat.scenes.readers.suffixes import find_reader, reader_suffix, reader_suffixes


def read_file(path: Path, ndim: int, variable: str | None = None) -> Raster:
    """Read a file with the reader that is registered for its suffix.

    GDAL reads files whose suffix has no reader.

    Parameters
    ----------
    path : Path
        The file or Zarr folder.
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
        If the file is missing or damaged. If the format of the file is unknown. If no array or several arrays match
        `ndim` and `variable`.
    """
    check_exists(path)
    path = path.absolute()  # arrays are read later, maybe in another working directory
    if not path.is_dir() and not path.is_file():
        raise SceneError(f"{path} is not a regular file: copy its content to a file")
    with reading_errors(path):
        reader = find_reader(reader_suffix(path)) or _read_unknown
        raster = reader(path, ndim, variable)
    if len(raster.array.shape) != ndim:
        expected = "a scene (rows, cols, bands)" if ndim == 3 else "a single band (rows, cols)"
        flat = len(raster.array.shape) == 2 and not raster.ordered
        hint = "; if its pixels share one axis, add `axes='bands,pixels'` and `rows=N`" if flat else ""
        raise SceneError(f"{path} holds an array of shape {tuple(raster.array.shape)}; expected {expected}{hint}")
    return raster


def _read_unknown(path: Path, ndim: int, variable: str | None) -> Raster:
    from rasterio.errors import RasterioIOError

    try:
        return read_gdal(path, ndim, variable)
    except RasterioIOError as error:
        if left_out := left_out_format(path):
            raise SceneError(
                f"{path} is a {left_out} header, which names other files, so that it is not opened: convert it once by "
                f"gdal_translate {shlex.quote(str(path))} {shlex.quote(str(path.with_suffix('.tif')))}"
            ) from error
        known = ", ".join(f".{suffix}" for suffix in reader_suffixes())
        raise SceneError(
            f"{path} has {f'the suffix {path.suffix}' if path.suffix else 'no suffix'}, for which there is no reader, and "
            f"GDAL can't open it; files ending in {known} can be read"
        ) from error
