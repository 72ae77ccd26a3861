"""Seals: the sha256 of every file of a store besides shards and progress records, which have digests of their own.

They lie in ``seals.json`` and are taken from the bytes as they are written. They are also the list of what a store
holds, so that one can be opened where nothing can be listed, behind a plain web server. Without them and the manifest
weeks of work would be lost to one flipped byte, so there is a copy of both.
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

ROOT, FILE = "zarr.json", "seals.json"
COPY_OF = {ROOT: "zarr.copy.json", FILE: "seals.copy.json"}
# Ends the key below which a complete plane's records lie; its seal is that of all of them together.
RECORDS = "/c"


def is_sealed(key: str) -> bool:
    """Tell whether a file has a seal: all but the seals, the copies, the timings, the shards of planes and their records.

    >>> is_sealed("planes/t0050/mid_block/zarr.json"), is_sealed("planes/t0050/mid_block/c/0/1/0")
    (True, False)
    """
    return key not in {FILE, *COPY_OF.values(), timings.FILE} and not (
        key.startswith(("planes/", "progress/")) and "/c/" in key
    )


def seal(content: bytes) -> str:
    """Return the seal of a file's content."""
    return hashlib.sha256(content).hexdigest()


def encode(seals: dict[str, str]) -> bytes:
    """Return the content of ``seals.json``: the seals by key, and a seal over them."""
    files = json.dumps(seals, sort_keys=True, indent=0)
    return json.dumps({"files": dict(sorted(seals.items())), "seal": seal(files.encode())}, indent=0).encode()


def decode(content: bytes | None) -> dict[str, str] | None:
    """Return the seals in a ``seals.json``; None if it was changed, or is not there."""
    try:
        seals: dict[str, str] = json.loads(content or b"")["files"]
        return seals if encode(seals) == content else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def save(location: Location, seals: dict[str, str]) -> bytes:
    """Write the seals and their copy; return what was written."""
    content = encode(seals)
    location.put(FILE, content)
    location.put(COPY_OF[FILE], content)
    return content


def read(location: Location, root: bytes, *, writable: bool = False) -> dict[str, str]:
    """Return a store's seals, from the copy if need be.

    Parameters
    ----------
    place : Place
        Where the store lies.
    root : bytes
        The metadata of its root group.
    writable : bool
        Whether it will be written to: a store from before there were seals is then sealed as it is. Otherwise its files
        are listed with an empty seal, which nothing is compared with.

    Raises
    ------
    StoreError
        The seals were changed or are missing, and so is their copy.
    """
    content = location.get(FILE)
    if content is None and not _has_seals(root):
        return {key: seal(location.get(key) or b"") if writable else "" for key in location.files() if is_sealed(key)}
    seals = decode(content)
    if seals is None:
        seals = decode(location.get(COPY_OF[FILE]))
    if seals is None:
        fault = "is missing" if content is None else "was changed"
        raise StoreError(
            f"{location}: {FILE} {fault}, and so is its copy: bring one back from a backup, or extract to another place"
        )
    return seals


def _has_seals(root: bytes) -> bool:
    """Tell whether a store was made by a version that seals, since layout 2, or can't say: then it is taken to."""
    try:
        return int(json.loads(root)["attributes"]["hsifeat"]["schema_version"]) >= 2
    except (KeyError, TypeError):
        return False
    except ValueError:
        return True


class ChecksumReader(WrapperStore[Any]):
    """A Zarr store that gives nothing which was changed or is missing.

    A file that is read whole is compared with its seal. Of shards, parts of which are read, the inner chunks end with a
    checksum; here it is seen to that one is there if its record is, or if its plane is complete, since Zarr takes a missing
    one for empty.

    Parameters
    ----------
    store : zarr Store
        What is read.
    place : Place
        Where it lies.
    seals : dict of str to str
        What is known of its files.
    """

    def __init__(self, store: ZarrStore, location: Location, seals: dict[str, str]) -> None:
        super().__init__(store)
        self.location, self.seals = location, seals

    def _with_store(self, store: ZarrStore) -> ChecksumReader:
        return type(self)(store, self.location, self.seals)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read and check.

        Raises
        ------
        StoreError
            The file was changed, or is not there though it should be.
        """
        found: Buffer | None = await super().get(key, prototype, byte_range)
        if not is_sealed(key):
            if found is None and key.startswith("planes/"):
                record = "progress/" + key.removeprefix("planes/")
                complete = record.partition("/c/")[0] + RECORDS in self.seals
                if complete or await self.exists(record):
                    raise self._lost(key, "is missing")
            return found
        if _fits(found, self.seals.get(key), whole=byte_range is None):
            return found
        # Another process may have replaced the file since the seals were read.
        content = await super().get(FILE, default_buffer_prototype())
        now = (decode(content.to_bytes()) if content is not None else None) or self.seals
        if _fits(found, now.get(key), whole=byte_range is None):
            return found
        if key in COPY_OF:
            copy: Buffer | None = await super().get(COPY_OF[key], prototype, byte_range)
            if copy is not None and _fits(copy, now.get(key), whole=byte_range is None):
                return copy
        raise self._lost(key, "is missing" if found is None else "was changed")

    def _lost(self, key: str, fault: str) -> StoreError:
        return StoreError(
            f"{self.location}: {key} {fault}: hsifeat cache verify {self.location} --repair tells what can be done"
        )


def _fits(found: Buffer | None, wanted: str | None, *, whole: bool) -> bool:
    """Tell whether what was read is what was sealed, as far as that can be told."""
    if not wanted:
        return True
    return found is not None and (not whole or seal(found.to_bytes()) == wanted)


class ChecksumWriter(ChecksumReader):
    """A checking store that seals what is written through it: the seals are kept up to date."""

    def _note(self, key: str, value: Buffer) -> None:
        if is_sealed(key):
            self.seals[key] = seal(value.to_bytes())

    async def set(self, key: str, value: Buffer, *arguments: Any) -> None:
        """Write and seal."""
        await super().set(key, value, *arguments)
        self._note(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write and seal, unless it is there and sealed; what a killed process left has no seal."""
        if key not in self.seals or not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Delete, with the seal."""
        await super().delete(key)
        self.seals.pop(key, None)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all below a prefix, with the seals."""
        await super().delete_dir(prefix)
        for key in [key for key in self.seals if key.startswith(f"{prefix.rstrip('/')}/")]:
            del self.seals[key]
