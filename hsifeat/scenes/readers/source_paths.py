"""Checks of the paths of scenes and label maps, and parsing of ``FILE:VARIABLE``."""

from __future__ import annotations

import re
from pathlib import Path

from hsifeat.errors import SceneError


def is_url(source: str | Path) -> bool:
    """Return whether a source is a URL such as ``https://…`` or ``s3://…``.

    One slash after the colon is enough, because `Path` removes the second slash.
    """
    return re.match(r"[a-z][a-z0-9+.-]+:/", str(source), re.IGNORECASE) is not None and not path_exists(Path(source))


def path_exists(path: Path) -> bool:
    """Return whether a file or folder exists.

    Raises
    ------
    SceneError
        If the name is too long for the file system.
    """
    try:
        return path.exists()
    except OSError as error:
        raise SceneError(f"{path!s:.60}… can't be looked up: {error.strerror}: name an existing file") from error


def check_exists(path: Path) -> None:
    """Raise `SceneError` if `path` is not a file or folder on this machine."""
    if is_url(path):
        raise SceneError(f"{path} is a URL, and scenes are read from local files: download it and give the local path")
    if not path_exists(path):
        raise SceneError(f"no such file: {path}")


def is_zarr_folder(folder: Path) -> bool:
    """Return whether a folder is a Zarr array or group, of format 2 or 3."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zmetadata"))


def split_variable(source: str | Path) -> tuple[Path, str | None]:
    """Split ``FILE:VARIABLE`` into file and variable; the variable is None for ``FILE``.

    The path of an existing file is not split, even if it contains a colon.
    """
    path = Path(source)
    if not path_exists(path) and ":" in str(source) and not is_url(source):
        head, _, variable = str(source).rpartition(":")
        return Path(head), variable
    return path, None
