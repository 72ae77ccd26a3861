"""Files that belong to a local scene or label map, with the names that they get in an upload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsifeat.runtime.events import Listener, Note

_ENVI_SUFFIXES = {"hdr", "dat", "bil", "bip", "bsq", "raw", "bin", "img", "hyspex"}
# A service takes data files of ENVI under these suffixes.
_DATA_SUFFIXES = {".dat", ".bil", ".bip", ".bsq", ".raw", ".bin"}
_GDAL_SUFFIXES = {"tif", "tiff", "png"}
_COMPANION_SUFFIXES = (".aux.xml", ".tfw", ".pgw", ".wld")
# Reduced copies and masks, which are never read.
_UNUSED_SUFFIXES = (".ovr", ".msk")


def named_files(path: Path, listen: Listener) -> list[tuple[str, Path]]:
    """Return a scene or label map and all files from which its values and metadata are read.

    Parameters
    ----------
    path : Path
        File of the scene or label map.
    listen : callable
        Callback that receives a note on companion files that a service does not take.

    Returns
    -------
    list of (str, Path)
        The name in the upload and the path of each file. The first file is the one to open. A data file of ENVI with a
        suffix that a service does not take, such as ``.img``, is renamed to ``.dat``.

    Raises
    ------
    SceneError
        If a raster can't be read. If a header or data file of ENVI is missing.
    """
    from hsifeat.scenes.readers.envi import find_files, is_erdas
    from hsifeat.scenes.readers.gdal import raster_parts
    from hsifeat.scenes.readers.suffixes import reader_suffix

    suffix = reader_suffix(path)
    if not path.is_file():
        return [(path.name, path)]
    if suffix in _ENVI_SUFFIXES and not (suffix == "img" and is_erdas(path)):
        header, data, _ = find_files(path)
        files = [(header.path.name, header.path), (data.name, data)]
        if data.suffix.lower() not in _DATA_SUFFIXES:
            files[1] = (f"{header.path.stem}.dat", data)
        elif path == data:
            files.reverse()
        return files
    if suffix not in _GDAL_SUFFIXES:
        return [(path.name, path)]
    parts = [part for part in raster_parts(path) if part.name != path.name]
    taken = [part for part in parts if part.name.lower().endswith(_COMPANION_SUFFIXES)]
    others = [part.name for part in parts if part not in taken and not part.name.lower().endswith(_UNUSED_SUFFIXES)]
    if others:
        listen(Note(f"{path.name}: {', '.join(others)} beside it can't be uploaded, and metadata in it are not used"))
    return [(path.name, path), *((part.name, part) for part in taken)]


def rename_files(files: Sequence[tuple[str, Path]], stem: str) -> list[tuple[str, Path]]:
    """Rename the files of one raster: `stem` replaces the stem that all their names begin with.

    >>> rename_files([("a.dat", Path("x/a.dat")), ("a.dat.hdr", Path("x/a.dat.hdr"))], "labels")
    [('labels.dat', PosixPath('x/a.dat')), ('labels.dat.hdr', PosixPath('x/a.dat.hdr'))]
    """
    old = min((Path(name).stem for name, _ in files), key=len)
    return [(f"{stem}{name.removeprefix(old)}", path) for name, path in files]
