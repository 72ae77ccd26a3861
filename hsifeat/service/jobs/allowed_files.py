"""Check of the paths that clients send. After links are resolved, a path must lie below one of the allowed folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.files import change_stamp


def resolve_below(folders: Iterable[Path], name: str, what: str) -> Path:
    """Return the path of a file or folder below one of the allowed folders.

    Parameters
    ----------
    folders : iterable of Path
        Allowed folders.
    name : str
        Path of the file. A relative path is looked up in each allowed folder.
    what : str
        Kind of the file for the error message, such as ``scene``.

    Raises
    ------
    SceneError
        If the file is missing, or lies outside of the allowed folders. The message is the same in both cases.
    """
    path = _find_below(folders, name)
    if path is None:
        raise _refusal(name, what)
    return path


def resolve_source(folders: Iterable[Path], name: str, what: str) -> str:
    """Replace the path FILE at the start of a text by the path that `resolve_below` returns for FILE.

    The text `name` is ``FILE``, ``FILE:VARIABLE`` or ``FILE:LAYER:COLUMN``. See `resolve_below` for the other
    parameters.
    """
    file, colon, variable = name.partition(":")
    path = _find_below(folders, file)
    if path is None:
        raise _refusal(name, what)
    return f"{path}{colon}{variable}"


def _find_below(folders: Iterable[Path], name: str) -> Path | None:
    if name.strip() and "\0" not in name and ":" not in name:
        for folder in folders:
            root = Path(os.path.realpath(folder))
            path = Path(os.path.realpath(root / name))
            if path.is_relative_to(root) and path.exists():
                return path
    return None


def _refusal(name: str, what: str) -> SceneError:
    return SceneError(
        f"no {what} {name!r} in the folders of this service: give a path below one of its folders, without colons, or upload the file"
    )


def file_facts(path: Path) -> list[list[str | int]]:
    """Return the path and the `hsifeat.files.change_stamp` of a file and of each of its companions.

    The companions of ``scene.img`` are the files ``scene`` and ``scene.*`` in the same folder, such as ``scene.hdr``. The
    companions of a VRT are all files in its folder. If `path` is a folder, the result describes all files below the folder.
    """
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
    else:
        all_files = path.suffix.lower() == ".vrt"
        files = (
            file
            for file in path.parent.iterdir()
            if (all_files or f"{file.name}.".startswith(f"{path.stem}.")) and file.is_file()
        )
    return sorted(([str(file), *change_stamp(file)] for file in files), key=str)
