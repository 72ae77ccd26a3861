"""Reader of gzip-compressed files, which are unpacked into temporary files."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.single_file import read_file
from hsifeat.scenes.readers.temporary_files import delete_with_array, write_temporary_file

# Suffixes of formats that consist of a single file. Other formats need further files in the same folder.
_SUFFIXES = (".mat", ".npy", ".npz", ".tif", ".tiff", ".nc", ".h5")


def read_gzip(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a gzip-compressed file such as ``scene.mat.gz`` with the reader for the unpacked file.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        Number of dimensions: 3 for a cube, 2 for a label map. If one axis holds all pixels of a cube, the cube has 2
        dimensions.
    variable : str or None
        Name of the variable in the unpacked file. It is required if several variables have `ndim` dimensions.

    Raises
    ------
    SceneError
        If the format of the unpacked file is not supported in compressed form. If the file is damaged. If the disk has
        no room for the unpacked file.
    """
    content = Path(path.stem)
    if content.suffix.lower() not in _SUFFIXES:
        allowed = ", ".join(f"{suffix}.gz" for suffix in _SUFFIXES)
        raise SceneError(f"{path} can't be read while compressed: unpack it, or give one of {allowed}")
    with gzip.open(path) as stream:
        unpacked_file = write_temporary_file(stream, path, content.name)
    try:
        raster = read_file(unpacked_file, ndim, variable)
    except SceneError as error:
        shutil.rmtree(unpacked_file.parent, ignore_errors=True)
        raise SceneError(str(error).replace(str(unpacked_file), str(path))) from error
    delete_with_array(raster.array, unpacked_file)
    return replace(raster, notes=tuple(note.replace(content.name, path.name) for note in raster.notes))
