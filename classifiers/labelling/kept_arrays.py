"""Folders of arrays in the cache. Arrays are written atomically, checked when they are opened, and mapped into memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.files import delete_leftovers, disk_errors, temporary_path
from hsifeat.seals import SealError, open_json, seal_json

_LIST = "arrays.json"
_CHUNK_BYTES = 2**24

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class KeptArrays:
    """A folder of ``.npy`` files with a sealed list of their checksums.

    Attributes
    ----------
    folder : Path
        The folder. Its name must contain a digest of everything that determines the arrays. Other arrays therefore have
        another folder, and the arrays in a folder are never out of date.
    """

    folder: Path

    def get(self, make: Callable[[Path], None]) -> Arrays:
        """Return a dict of memory-mapped arrays. Create them if they are missing or damaged.

        Parameters
        ----------
        make : callable
            Function that takes a folder, and writes one ``.npy`` file per array into this folder. If several processes
            need the arrays at the same time, only one of them calls the function.

        Raises
        ------
        StoreError
            If the folder can't be written.
        SealError
            If another program changes the new files before this method has read them.
        """
        with self._lock():
            arrays = self._load()
            if arrays is None:
                self._write(make)
                arrays = self._load()
        if arrays is None:
            raise SealError(f"{self.folder} changed while it was read: repeat the command")
        return arrays

    def sibling(self, suffix: str) -> KeptArrays:
        """Return the folder for arrays that are computed from the arrays in this folder. `suffix` names the computation."""
        return KeptArrays(self.folder.with_name(f"{self.folder.name}-{suffix}"))

    def _load(self) -> Arrays | None:
        """Return the arrays, or None if an array is missing or damaged."""
        try:
            checksums = open_json(self.folder / _LIST, self.folder.name)["checksums"]
            files = {name: self.folder / f"{name}.npy" for name in checksums}
            if any(_checksum(files[name]) != checksum for name, checksum in checksums.items()):
                return None
            return {name: np.load(file, mmap_mode="r", allow_pickle=False) for name, file in files.items()}
        except (SealError, OSError, ValueError, KeyError):
            return None

    def _write(self, make: Callable[[Path], None]) -> None:
        with disk_errors(self.folder):
            delete_leftovers(self.folder.parent)
            part = temporary_path(self.folder, "new")
            part.mkdir()
            try:
                make(part)
                checksums = {file.stem: _checksum(file) for file in sorted(part.glob("*.npy"))}
                text = seal_json({"checksums": checksums}, self.folder.name)
                (part / _LIST).write_text(text)
                if self.folder.exists():
                    self.folder.rename(removed := temporary_path(self.folder, "removed"))
                    shutil.rmtree(removed)
                part.rename(self.folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock

        with disk_errors(self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_name(f"{self.folder.name}.lock")):
            yield


def _checksum(path: Path) -> int:
    """Return the CRC-32C of the name and the content of a file."""
    import google_crc32c

    checksum = google_crc32c.value(path.name.encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum = google_crc32c.extend(checksum, chunk)
    return int(checksum)
