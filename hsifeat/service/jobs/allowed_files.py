"""Check the paths that clients send. After all links are resolved, each path must be below an allowed folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hsifeat.errors import SceneError


def resolve_below(folders: Iterable[Path], name: str, what: str) -> Path:
    """Return the path of a file or folder below one of the allowed folders.

    Parameters
    ----------
    folders : iterable of Path
        Allowed folders.
    name : str
        Path relative to an allowed folder, or absolute.
    what : str
        Kind of the file for the error message, such as ``scene``.

    Raises
    ------
    SceneError
        If no allowed folder has such a file. The message does not say whether the file exists elsewhere.
    """
    path = _find_below(folders, name)
    if path is None:
        raise _refusal(name, what)
    return path


def resolve_source(folders: Iterable[Path], name: str, what: str) -> str:
    """Resolve the FILE in `name`, which is ``FILE``, ``FILE:VARIABLE`` or ``FILE:LAYER:COLUMN``; see `resolve_below`."""
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
    """Return, as JSON values, the path, size in bytes and modification time in ns of a file and of its companions.

    Companions of ``scene.img`` are ``scene`` and all ``scene.*`` in the same folder, such as ``scene.hdr``,
    ``scene.img.aux.xml`` and ``scene.tfw``. Companions of a VRT are all files in its folder. If `path` is a
    folder, the result describes all files below the folder.
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
    facts: list[list[str | int]] = [[str(f), (status := f.stat()).st_size, status.st_mtime_ns] for f in files]
    return sorted(facts, key=str)
