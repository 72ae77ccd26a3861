"""Check that a folder still has the store that was opened there, and not another store that has replaced it."""

from __future__ import annotations

import json
import os

from hsifeat.errors import StoreError
from hsifeat.store.location import LocalLocation

ROOT, ROOT_COPY = "zarr.json", "zarr.copy.json"


class ReplacementCheck:
    """Check that the key of the store in a folder has not changed since the check was created.

    A check costs one call of `os.stat`. Only if the file ``zarr.json`` of the store was written again, its key is read again.
    Additional planes and label maps do not change this file.

    Parameters
    ----------
    location : LocalLocation
        Folder of an existing store.
    """

    def __init__(self, location: LocalLocation) -> None:
        self._location, self._root = location, str(location.path / ROOT)
        self._version = self._read_version()
        self._key = self._read_key()

    def check(self) -> None:
        """Raise `StoreError` if another store has replaced the store, or if the store was deleted.

        Call this method after values were read, so that a replacement during the reading is noticed.
        """
        version = self._read_version()
        if version == self._version:
            return
        key = self._read_key()
        if key is None:
            raise StoreError(
                f"{self._location}: {ROOT} is missing or unfinished: the store was deleted since it was opened, or is being extracted "
                "again: open it again"
            )
        if key != self._key:
            raise StoreError(
                f"{self._location}: another store has replaced the store that was opened: open it again to use the new store"
            )
        self._version = version

    def _read_version(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self._root)  # noqa: PTH116  # faster than Path.stat, and each read of a chunk needs it
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _read_key(self) -> str | None:
        """Return the key of the store. The copy of ``zarr.json`` is read only if this file is missing or damaged."""
        for file in (ROOT, ROOT_COPY):
            try:
                return str(json.loads(self._location.get(file) or b"")["attributes"]["hsifeat"]["key"])
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
        return None
