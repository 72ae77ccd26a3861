"""Checks of uploaded files before any reader opens them.

Only a few formats are accepted. Formats such as VRT are refused, because their files can refer to other files or services.
Formats that can run code are refused as well. A file of an accepted format is refused if it contains pickled objects, or if
it is an archive that expands beyond a limit.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from hsifeat.errors import SceneError

CUBE_SUFFIXES = (
    "bil", "bin", "bip", "bsq", "dat", "h5", "hdf5", "hdr", "he5", "mat", "nc", "nc4", "npy", "npz", "raw", "tif", "tiff",
)  # fmt: skip
"""Suffixes of scenes that may be uploaded."""

LABEL_SUFFIXES = ("csv", "geojson", "png")
"""Suffixes of files that may be uploaded besides scenes."""

COMPANION_SUFFIXES = ("aux.xml", "pgw", "tfw", "wld")
"""Suffixes of files from which GDAL reads metadata of a GeoTIFF or PNG file of the same upload."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_HDF5 = rb"\x89HDF\r\n\x1a\n"
# Six numbers.
_WORLD_FILE = rb"\s*[-+0-9.eE]+(\s+[-+0-9.eE]+){5}\s*\Z"
_NUMPY_KINDS = "biufc"
# First bytes of each format. Raw data files of ENVI can begin with anything, and are never parsed.
_SIGNATURES = {
    "h5": _HDF5, "hdf5": _HDF5, "he5": _HDF5, "nc": _HDF5, "nc4": _HDF5,
    "hdr": rb"ENVI", "mat": rb"MATLAB 5\.0|\x89HDF\r\n\x1a\n|MATLAB 7\.3", "npy": rb"\x93NUMPY", "npz": rb"PK\x03\x04",
    "png": rb"\x89PNG\r\n\x1a\n", "tif": rb"II[*+]\0|MM\0[*+]", "tiff": rb"II[*+]\0|MM\0[*+]", "geojson": rb"(\xef\xbb\xbf)?\s*\{",
    "pgw": _WORLD_FILE, "tfw": _WORLD_FILE, "wld": _WORLD_FILE,
}  # fmt: skip
_HEADER_BYTES = 2**16
_MAX_MEMBERS = 100
_MAX_AUXILIARY_BYTES = 2**24


class RefusedFileError(SceneError):
    """Raised if an uploaded file is not accepted."""


def check_name(name: str) -> None:
    """Check the name of a file before it is uploaded.

    Raises
    ------
    RefusedFileError
        If the name has more than 100 characters. If the name contains characters other than letters, digits, dots,
        underscores and hyphens. If the name contains two dots in a row. If the suffix of the name is not accepted.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise RefusedFileError(
            f"the file name {name!r} is not accepted: use at most 100 letters, digits, single dots, underscores and hyphens"
        )
    suffix = _suffix(Path(name))
    accepted = sorted((*CUBE_SUFFIXES, *LABEL_SUFFIXES, *COMPANION_SUFFIXES))
    if suffix not in accepted:
        allowed = ", ".join(f".{suffix}" for suffix in accepted)
        raise RefusedFileError(
            f"{name}: files of this format are not accepted, because they may name other files, run code or expand; accepted: "
            f"{allowed}"
        )


def check_content(path: Path, max_bytes: int) -> None:
    """Check the content of an uploaded file, before a reader opens the file.

    Parameters
    ----------
    path : Path
        The file. Its suffix states its format.
    max_bytes : int
        Maximum size in bytes of all values of the file after decompression.

    Raises
    ------
    RefusedFileError
        If the content does not have the format that the suffix states. If it contains pickled objects. If its values need
        more than `max_bytes`.
    """
    suffix = _suffix(path)
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    signature = _SIGNATURES.get(suffix)
    # MATLAB 7.3 files are HDF5 files that begin with a block of text.
    if signature is not None and not re.match(signature, header):
        raise RefusedFileError(f"{path.name}: its content is not that of a .{suffix} file, so it is not accepted")
    try:
        if suffix == "npy":
            with path.open("rb") as file:
                _check_array(path.name, file, max_bytes)
        elif suffix == "npz":
            _check_archive(path, max_bytes)
        elif suffix == "mat" and header.startswith(b"MATLAB 5.0"):
            _check_matlab(path, max_bytes)
        elif suffix == "geojson":
            _check_geojson(path)
        elif suffix == "aux.xml":
            _check_auxiliary(path)
    except RefusedFileError:
        raise
    except SceneError as error:
        raise RefusedFileError(str(error).replace(str(path), path.name)) from error
    except Exception as error:  # a hostile file can make a parser raise anything
        raise RefusedFileError(f"{path.name} can't be read: {error}") from error


def _suffix(path: Path) -> str:
    if path.name.lower().endswith(".aux.xml"):
        return "aux.xml"
    return path.suffix.lower().lstrip(".")


def _check_array(name: str, file: IO[bytes], max_bytes: int) -> None:
    version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
    if version not in {(1, 0), (2, 0)}:
        raise RefusedFileError(f"{name} has version {version} of the NumPy format; accepted: 1.0 and 2.0")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)  # type: ignore[arg-type]
    if dtype.kind not in _NUMPY_KINDS:
        raise RefusedFileError(
            f"{name} has values of {dtype}, and only numbers are accepted: pickled objects can run code"
        )
    size = dtype.itemsize
    for side in shape:
        size *= side
    _check_size(name, size, max_bytes)


def _check_archive(path: Path, max_bytes: int) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MAX_MEMBERS:
            raise RefusedFileError(f"{path.name} has {len(members)} members; accepted: at most {_MAX_MEMBERS}")
        _check_size(path.name, sum(member.file_size for member in members), max_bytes)
        for member in members:
            if not member.filename.endswith(".npy") or "/" in member.filename or "\\" in member.filename:
                raise RefusedFileError(
                    f"{path.name} has the member {member.filename!r}; accepted: arrays in .npy format"
                )
            with archive.open(member) as file:
                _check_array(f"{path.name}, {member.filename}", file, max_bytes)


def _check_matlab(path: Path, max_bytes: int) -> None:
    from scipy.io import whosmat

    for name, shape, _ in whosmat(path):
        size = 8
        for side in shape:
            size *= max(int(side), 0)
        _check_size(f"{path.name}, {name}", size, max_bytes)


def _check_geojson(path: Path) -> None:
    from hsifeat.scenes.readers.gdal_sources import check_vector_file

    check_vector_file(path)


def _check_auxiliary(path: Path) -> None:
    from hsifeat.scenes.readers.gdal_sources import check_auxiliary_file

    _check_size(path.name, path.stat().st_size, _MAX_AUXILIARY_BYTES)
    check_auxiliary_file(path)


def _check_size(name: str, size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise RefusedFileError(f"{name} unpacks to {size_bytes:,} bytes; accepted: at most {max_bytes:,} bytes")
