"""The sample cache: values of planes at labelled pixels, kept in files, so that they are read again in milliseconds.

The name of a file is the digest of all that determines its values (the digests of the plane's units, the pixels, how
they were read), so that it is never out of date; a checksum tells whether it is intact. Files are in the cache folder of
this machine, below the key of their store, and are deleted with it.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, cache_folder

_CHECKSUM = struct.Struct("<I")
# Raised whenever the same pixels of the same planes would be read with other values than before: part of each digest.
READ_VERSION = 1


def samples_folder(key: str) -> Path:
    """Return the folder of the cached samples of stores with this key."""
    return cache_folder() / "samples" / key[:32]


def delete_orphans(keys: set[str]) -> int:
    """Delete the samples of all stores but those with these keys; return the bytes freed."""
    kept = {samples_folder(key) for key in keys}
    freed = 0
    for folder in (cache_folder() / "samples").glob("*"):
        if folder not in kept:
            freed += sum(file.stat().st_size for file in folder.glob("*"))
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def cached_samples(
    key: str, facts: tuple[bytes | str, ...], shape: tuple[int, int], read: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return samples from their file, or read them from the store and write the file.

    Parameters
    ----------
    key : str
        Key of the store.
    facts : tuple of bytes or str
        All that determines the values.
    shape : tuple of int
        Shape of the result, (n, D).
    read : callable
        Reads the samples from the store.

    Returns
    -------
    (n, D) float32 array
    """
    digest = hashlib.sha256(str(READ_VERSION).encode())
    for fact in facts:
        content = fact.encode() if isinstance(fact, str) else fact
        digest.update(len(content).to_bytes(8, "little") + content)
    file = samples_folder(key) / f"{digest.hexdigest()[:32]}.f4"
    cached = _load(file, shape)
    if cached is not None:
        return cached
    values = np.ascontiguousarray(read(), dtype="<f4")
    try:
        with atomic_write(file) as part, part.open("wb") as out:
            out.write(values.data)
            out.write(_CHECKSUM.pack(_crc32c(values)))
    except (OSError, StoreError):  # A full disk or a read-only cache folder: the next read takes as long as this one.
        pass
    return values


def _load(file: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return the samples in a file; None if it is missing or damaged."""
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
