"""Tables of pixels kept beside the stores: what was read once at the same pixels is read again in milliseconds.

A table's name is the digest of all that decides it (the digests of the plane's units, the pixels, how they were read), so
that one is never stale; a checksum tells whether the file is whole. They lie in this machine's cache folder, below the
key of their store, and go with it.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.cache.catalogue import cache_folder
from hsifeat.errors import StoreError
from hsifeat.files import whole

_CHECKSUM = struct.Struct("<I")
# Raised whenever pixels would be read from the same planes with other values than before: kept tables are then read anew.
READING = 1


def tables_folder(key: str) -> Path:
    """Return where the tables of stores with this key are kept."""
    return cache_folder() / "tables" / key[:32]


def clear_orphans(keys: set[str]) -> int:
    """Delete the tables of stores that are no more; return the bytes that this freed."""
    wanted = {tables_folder(key) for key in keys}
    freed = 0
    for folder in (cache_folder() / "tables").glob("*"):
        if folder not in wanted:
            freed += sum(file.stat().st_size for file in folder.glob("*"))
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def kept(
    key: str, facts: tuple[bytes | str, ...], shape: tuple[int, int], read: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return a table, from its file if there is one, or by reading it and keeping it.

    Parameters
    ----------
    key : str
        Key of the store.
    facts : tuple of bytes or str
        All that decides the values.
    shape : tuple of int
        Rows and columns that the table has.
    read : callable
        Reads it from the store.

    Returns
    -------
    (n, D) float32 array
    """
    digest = hashlib.sha256(str(READING).encode())
    for fact in facts:
        content = fact.encode() if isinstance(fact, str) else fact
        digest.update(len(content).to_bytes(8, "little") + content)
    file = tables_folder(key) / f"{digest.hexdigest()[:32]}.f4"
    found = _load(file, shape)
    if found is not None:
        return found
    values = np.ascontiguousarray(read(), dtype="<f4")
    try:
        with whole(file) as part, part.open("wb") as out:
            out.write(values.data)
            out.write(_CHECKSUM.pack(_crc32c(values)))
    except (OSError, StoreError):  # A full disk, or a cache folder that can't be written: the next read takes as long.
        pass
    return values


def _load(file: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return the table in a file; None if there is none, or not a whole one."""
    count = shape[0] * shape[1]
    try:
        with file.open("rb") as source:
            values = np.fromfile(source, "<f4", count)
            checksum = source.read()
    except OSError:
        return None
    if len(values) != count or len(checksum) != _CHECKSUM.size or _CHECKSUM.unpack(checksum)[0] != _crc32c(values):
        return None
    return values.reshape(shape)


def _crc32c(values: NDArray[np.float32]) -> int:
    import google_crc32c

    return int(google_crc32c.value(values.tobytes()))
