"""Reader of gzip-compressed files, which are unpacked into temporary files.

A temporary file is deleted with the array that is read from it. If the process is killed before, the next reading of a
compressed file on this machine deletes the temporary file.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import weakref
from dataclasses import replace
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.files import delete_leftovers_once, temporary_path
from hsifeat.scenes.readers.raster import Raster
from hsifeat.scenes.readers.single_file import read_file

# Suffixes of formats that consist of a single file. Other formats need further files in the same folder.
_SUFFIXES = (".mat", ".npy", ".npz", ".tif", ".tiff", ".nc", ".h5")


def read_gzip(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a gzip-compressed file such as ``scene.mat.gz`` with the reader for the unpacked file.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        Number of dimensions: 2 for a label map, 2 for a cube with all pixels on one axis, 3 for other cubes.
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
    # The libraries open the file by its name, also when the array is unpickled in another process.
    folder = temporary_path(Path(tempfile.gettempdir(), "hsifeat"), "new")
    delete_leftovers_once(folder.parent)
    folder.mkdir(mode=0o700)
    unpacked_file = folder / content.name
    try:
        with gzip.open(path) as stream, unpacked_file.open("wb") as file:
            shutil.copyfileobj(stream, file)
        raster = read_file(unpacked_file, ndim, variable)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, SceneError):
            raise SceneError(str(error).replace(str(unpacked_file), str(path))) from error
        raise
    weakref.finalize(raster.array, shutil.rmtree, folder, ignore_errors=True)
    notes, scale_notes = (
        tuple(note.replace(content.name, path.name) for note in found) for found in (raster.notes, raster.scale_notes)
    )
    return replace(raster, notes=(*notes, *_unread_notes(path, content)), scale_notes=scale_notes)


def _unread_notes(path: Path, content: Path) -> tuple[str, ...]:
    """Name files beside a compressed GeoTIFF from which GDAL would take metadata."""
    if content.suffix.lower() not in {".tif", ".tiff"}:
        return ()
    names = [
        f"{path.name}.aux.xml",
        f"{content.name}.aux.xml",
        *(content.stem + one for one in (".tfw", ".tifw", ".wld")),
    ]
    found = [name for name in names if path.with_name(name).is_file()]
    return (
        (f"{path.name}: {' and '.join(found)} beside it not read, because the file is compressed: unpack it",)
        if found
        else ()
    )
