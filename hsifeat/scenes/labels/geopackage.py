"""GeoPackage files with a write-ahead log, read from a copy.

Programs such as QGIS keep their last changes in a log (``-wal``) beside the file. When SQLite reads the file, SQLite merges
the log into the file. In a read-only folder, SQLite ignores the log. Reading from a copy includes the changes and leaves
the original files unchanged.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsifeat.errors import SceneError
from hsifeat.files import change_stamp

_TRIES = 3
# Bytes of the SQLite header that state the format of the journal, and the value that means a write-ahead log.
_JOURNAL, _WAL = slice(18, 20), b"\2\2"


@contextmanager
def without_log(path: Path) -> Iterator[Path]:
    """Yield the path from which a vector file is read.

    For a GeoPackage with a write-ahead log, this is the path of a temporary copy. A reader of the copy also gets the
    changes in the log. For any other file, the path is `path`.

    Raises
    ------
    SceneError
        If another program changes the GeoPackage while it is copied. If the disk has no room for the copy.
    """
    with path.open("rb") as file:
        if path.suffix.lower() != ".gpkg" or file.read(20)[_JOURNAL] != _WAL:
            yield path
            return
    with tempfile.TemporaryDirectory(prefix="hsifeat-") as folder:
        copy = Path(folder) / path.name
        try:
            _copy(path, copy)
        except OSError as error:
            if error.filename and Path(error.filename).is_relative_to(path.parent):
                raise
            raise SceneError(
                f"a copy of {path}, which has a write-ahead log, can't be written to {folder}: {error.strerror}; free some space "
                "there, or set TMPDIR to another folder"
            ) from error
        yield copy


def _copy(path: Path, copy: Path) -> None:
    """Copy a file and its log. If one of the two files changes during the copy, copy both files again."""
    files = [(path, copy), (path.with_name(f"{path.name}-wal"), copy.with_name(f"{copy.name}-wal"))]
    for _ in range(_TRIES):
        before = [_stamp(file) for file, _ in files]
        for file, target in files:
            target.unlink(missing_ok=True)
            if file.exists():
                shutil.copyfile(file, target)
        if before == [_stamp(file) for file, _ in files]:
            return
    raise SceneError(f"{path} is being changed by another program: close it there, or save a copy")


def _stamp(file: Path) -> tuple[int, ...] | None:
    """Return the `change_stamp` of a file, or None if it does not exist."""
    return change_stamp(file) if file.exists() else None
