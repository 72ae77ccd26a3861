"""Sample cache: files with the values of planes at labelled pixels.

A plane is the feature map of one timestep and one layer. Reading a file of the cache takes milliseconds. The name of a
file is a digest of everything that determines its content: the values of the plane, the pixels, and the window over
which values are averaged. If any of these change, the samples go to a file with another name, so no file is ever out of
date. Each file has a checksum of its name and values, which detects damaged and swapped files. The files are in the
cache folder of this machine, and are deleted together with their store.
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
from hsifeat.files import atomic_write, cache_folder, open_regular
from hsifeat.store.read_cache import samples_folder

_CHECKSUM = struct.Struct("<I")
# Increase this number when a change of the code changes the values that are read. The number is part of each digest.
READ_VERSION = 1


def delete_orphans(keys: set[str]) -> int:
    """Delete the cached samples of all stores whose keys are not in `keys`, and return the number of bytes freed."""
    folders_of_keys = {samples_folder(key) for key in keys}
    freed_bytes = 0
    for folder in (cache_folder() / "samples").glob("*"):
        if folder not in folders_of_keys:
            freed_bytes += sum(file.stat().st_size for file in folder.rglob("*"))
            shutil.rmtree(folder, ignore_errors=True)
    return freed_bytes


def cached_samples(
    key: str, facts: tuple[bytes | str, ...], shape: tuple[int, int], read: Callable[[], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the samples of a store from the cache. If the cache lacks them, read them from the store, and add them to the cache.

    Parameters
    ----------
    key : str
        Key of the store.
    facts : tuple of bytes or str
        Everything that determines the values, such as digests of planes and pixels.
    shape : tuple of int
        Number of pixels n and number of features D.
    read : callable
        Function without arguments that reads the samples from the store.

    Returns
    -------
    (n, D) float32 array
        Values of the planes at the pixels.
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
            out.write(_CHECKSUM.pack(_crc32c(file, values)))
    except (OSError, StoreError):  # The disk is full or the cache folder is read-only: the samples are not cached.
        pass
    return values


def _load(file: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return the samples in a file, or None if the file is missing or damaged."""
    count = shape[0] * shape[1]
    try:
        with open_regular(file) as source:
            values = np.fromfile(source, "<f4", count)
            checksum = source.read()
    except OSError:
        return None
    if (
        len(values) != count
        or len(checksum) != _CHECKSUM.size
        or _CHECKSUM.unpack(checksum)[0] != _crc32c(file, values)
    ):
        return None
    return values.reshape(shape)


def _crc32c(file: Path, values: NDArray[np.float32]) -> int:
    """Return the CRC-32C of the name of `file` and of `values`. Including the name detects swapped files."""
    import google_crc32c

    return int(google_crc32c.extend(google_crc32c.value(file.name.encode()), values.tobytes()))
