"""Checks that keep all file access inside the folder of a store.

The key of a file is its path in the store. Keys are read from the store, which a stranger may have made. Therefore, every
key is checked before a file is read, written or deleted. A key must be a relative path without ``..``. Links must not lead
out of the store.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from hsifeat.errors import StoreError

# Maximum number of folders that are remembered as checked, with about 100 bytes each.
_MAX_CHECKED = 1024


def check_key(key: str) -> str:
    """Return `key` unchanged if it is a relative path inside a store. The file need not exist.

    Raises
    ------
    StoreError
        If `key` is an absolute path, or contains ``..``, an empty part, a backslash or a control character.

    Examples
    --------
    >>> check_key("planes/t0050/mid_block/zarr.json")
    'planes/t0050/mid_block/zarr.json'
    >>> check_key("../notes.txt")
    Traceback (most recent call last):
    hsifeat.errors.StoreError: '../notes.txt' is no key of a store: allowed are relative paths without '..'
    """
    if not {"", ".", ".."}.isdisjoint(key.split("/")) or "\\" in key or not key.isprintable():
        raise StoreError(f"{key!r} is no key of a store: allowed are relative paths without '..'")
    return key


class ConfinedFolder:
    """Folder of a store on this machine. A key or a link that leads out of the folder raises an error.

    Parameters
    ----------
    root : Path
        Folder of the store. The folder itself may be a link.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._checked: set[str] = set()

    def path(self, key: str) -> Path:
        """Return the path of the file with the key `key`. The file need not exist.

        Raises
        ------
        StoreError
            If `check_key` refuses `key`. If a link leads out of the store. If the file is a device or a pipe.
        """
        path = self.entry(key)
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return path
        if stat.S_ISLNK(mode):
            self._check_inside(path)
            mode = path.stat().st_mode if path.exists() else stat.S_IFREG
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise StoreError(f"{path} is no regular file: delete it")
        return path

    def entry(self, key: str) -> Path:
        """Return the path of a file in order to replace or delete it. A link at this path is not followed.

        Raises
        ------
        StoreError
            If `check_key` refuses `key`. If a folder in `key` is a link that leads out of the store.
        """
        path, folder = self.root / check_key(key), key.rpartition("/")[0]
        # The folders of a store do not change while it is open, so the last ones are not resolved again. Each shard has its
        # own folder.
        if folder not in self._checked:
            self._check_inside(path.parent)
            if path.parent.is_dir():
                if len(self._checked) >= _MAX_CHECKED:
                    self._checked.clear()
                self._checked.add(folder)
        return path

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield the key and the size in bytes of each file.

        Links and pipes are included. Folders behind links are not searched, and pipes are not opened.

        Raises
        ------
        StoreError
            If a link leads out of the store.
        """
        for folder, folders, names in os.walk(self.root, onerror=_raise_denied):
            for path in (Path(folder, name) for name in (*folders, *names)):
                try:
                    status = path.lstat()
                except FileNotFoundError:  # A writer has renamed a temporary file since it was listed.
                    continue
                if stat.S_ISLNK(status.st_mode):
                    self._check_inside(path)
                if not stat.S_ISDIR(status.st_mode):
                    yield path.relative_to(self.root).as_posix(), status.st_size

    def _check_inside(self, path: Path) -> None:
        real, root = (Path(os.path.realpath(place)) for place in (path, self.root))
        if not real.is_relative_to(root):
            raise StoreError(
                f"{path} is or contains a link that leads out of the store, to {real}: replace the link by the files it refers to, "
                "or delete it"
            )


def _raise_denied(error: OSError) -> None:
    """Raise `error`, unless it says that the folder does not exist."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
