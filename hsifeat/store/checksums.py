"""Checksums: the sha256 of every file of a store except shards and progress records, which carry their own.

They are kept in ``checksums.json`` and are computed from the bytes as they are written. The same file is the list of
a store's contents, so that a store can be opened where files cannot be listed, such as behind a plain web server. A
single flipped byte in it or in the manifest would make a whole store unreadable, so both have a copy.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import default_buffer_prototype
from zarr.storage import WrapperStore

from hsifeat.errors import StoreError
from hsifeat.store import timings

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.abc.store import Store as ZarrStore
    from zarr.core.buffer import Buffer, BufferPrototype

    from hsifeat.store.location import Location

ROOT, FILE = "zarr.json", "checksums.json"
COPY_OF = {ROOT: "zarr.copy.json", FILE: "checksums.copy.json"}
# Suffix of the key under which the checksum of all progress records of a complete plane is kept.
RECORDS = "/c"


def has_checksum(key: str) -> bool:
    """Tell whether a file is listed: all but the checksums, the copies, the timings, shards and progress records.

    >>> has_checksum("planes/t0050/mid_block/zarr.json"), has_checksum("planes/t0050/mid_block/c/0/1/0")
    (True, False)
    """
    return key not in {FILE, *COPY_OF.values(), timings.FILE} and not (
        key.startswith(("planes/", "progress/")) and "/c/" in key
    )


def checksum(content: bytes) -> str:
    """Return the sha256 of a file's content as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def encode(checksums: dict[str, str]) -> bytes:
    """Return the content of ``checksums.json``: the checksums by key, and one over all of them."""
    files = json.dumps(checksums, sort_keys=True, indent=0)
    document = {"files": dict(sorted(checksums.items())), "checksum": checksum(files.encode())}
    return json.dumps(document, indent=0).encode()


def decode(content: bytes | None) -> dict[str, str] | None:
    """Parse a ``checksums.json``; None if it is damaged or missing."""
    try:
        checksums: dict[str, str] = json.loads(content or b"")["files"]
        return checksums if encode(checksums) == content else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write(location: Location, checksums: dict[str, str]) -> bytes:
    """Write the checksums and their copy; return the bytes written."""
    content = encode(checksums)
    location.put(FILE, content)
    location.put(COPY_OF[FILE], content)
    return content


def read(location: Location) -> dict[str, str]:
    """Read the checksums of a store, from the copy if the original is damaged.

    Raises
    ------
    StoreError
        Both are damaged or missing.
    """
    content = location.get(FILE)
    checksums = decode(content) or decode(location.get(COPY_OF[FILE]))
    if checksums is None:
        fault = "is missing" if content is None else "was changed"
        raise StoreError(
            f"{location}: {FILE} {fault}, and so is its copy: restore one from a backup, or extract to another place"
        )
    return checksums


class ChecksumReader(WrapperStore[Any]):
    """A Zarr store that raises an error instead of returning a changed or missing file.

    A file that is read whole is compared with its checksum. Shards are read in part; their inner chunks end with a
    CRC-32C. Zarr takes a missing shard for an empty one, so a shard must exist if its progress record does or if its
    plane is complete.

    Parameters
    ----------
    store : zarr.abc.store.Store
        The store to read from.
    location : Location
        Names the store in messages.
    checksums : dict of str to str
        sha256 by key.
    """

    def __init__(self, store: ZarrStore, location: Location, checksums: dict[str, str]) -> None:
        super().__init__(store)
        self.location, self.checksums = location, checksums

    def _with_store(self, store: ZarrStore) -> ChecksumReader:
        return type(self)(store, self.location, self.checksums)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read a file, or a range of its bytes, and compare it with its checksum.

        Raises
        ------
        StoreError
            The file is changed, or is missing although it was written.
        """
        content: Buffer | None = await super().get(key, prototype, byte_range)
        if not has_checksum(key):
            if content is None and key.startswith("planes/"):
                record = "progress/" + key.removeprefix("planes/")
                complete = record.partition("/c/")[0] + RECORDS in self.checksums
                if complete or await self.exists(record):
                    raise self._damage_error(key, "is missing")
            return content
        if _matches(content, self.checksums.get(key), whole=byte_range is None):
            return content
        # Another process may have replaced the file since the checksums were read.
        newest = await super().get(FILE, default_buffer_prototype())
        current = (decode(newest.to_bytes()) if newest is not None else None) or self.checksums
        if _matches(content, current.get(key), whole=byte_range is None):
            return content
        if key in COPY_OF:
            copy: Buffer | None = await super().get(COPY_OF[key], prototype, byte_range)
            if copy is not None and _matches(copy, current.get(key), whole=byte_range is None):
                return copy
        raise self._damage_error(key, "is missing" if content is None else "was changed")

    def _damage_error(self, key: str, fault: str) -> StoreError:
        return StoreError(
            f"{self.location}: {key} {fault}: hsifeat cache verify {self.location} --repair shows what can be restored"
        )


def _matches(content: Buffer | None, expected: str | None, *, whole: bool) -> bool:
    """Tell whether content agrees with its checksum, as far as a range of bytes can show it."""
    if not expected:
        return True
    return content is not None and (not whole or checksum(content.to_bytes()) == expected)


class ChecksumWriter(ChecksumReader):
    """A `ChecksumReader` that can be written to, and adds the checksum of each file as it is written."""

    async def set(self, key: str, value: Buffer, *arguments: Any) -> None:
        """Write a file and note its checksum."""
        await super().set(key, value, *arguments)
        if has_checksum(key):
            self.checksums[key] = checksum(value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it exists and has a checksum; one left behind by a killed process has none."""
        if key not in self.checksums or not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Delete a file and its checksum."""
        await super().delete(key)
        self.checksums.pop(key, None)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all files below a prefix and their checksums."""
        await super().delete_dir(prefix)
        for key in [key for key in self.checksums if key.startswith(f"{prefix.rstrip('/')}/")]:
            del self.checksums[key]
