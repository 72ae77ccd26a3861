"""Files compressed by gzip, unpacked into temporary files."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.single_file import read_file
from hsifeat.scenes.readers.temporary_files import delete_with_array, write_temporary_file

# Formats that consist of one file: the others are useless without the files beside them.
_SUFFIXES = (".mat", ".npy", ".npz", ".tif", ".tiff", ".nc", ".h5")


def read_gzip(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a gzip-compressed file such as ``scene.mat.gz`` with the reader of its content.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a label map, or a cube whose pixels share one axis.
    variable : str or None
        The variable to read, if the content holds several.

    Raises
    ------
    SceneError
        The content has a format of several files, is damaged, or does not fit on the disk.
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
