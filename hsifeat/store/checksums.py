"""Checksums of the files of a store.

The file ``checksums.json`` has the sha256 of most files of a store, but not of shards and progress records. A shard
contains its own CRC-32C sums. A progress record contains the sha256 of the values of one shard.

A plain web server cannot list files. Readers of a store on such a server take the names of files from ``checksums.json``.
No store can be read without ``checksums.json`` and the manifest. Therefore, a store has a copy of each of these two files.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from zarr.core.buffer import default_buffer_prototype
from zarr.storage import WrapperStore

from hsifeat.errors import StoreError
from hsifeat.store import replacement, timings, write_token
from hsifeat.store.keys import (
    PROGRESS,
    is_checksum_key,
    is_unit_file,
    label_map_of,
    plane_of,
    record_of_shard,
    records_key,
)
from hsifeat.store.location import Location, repair_advice
from hsifeat.store.plane_layout import DIGEST_BYTES
from hsifeat.store.shard_tags import TAG_BYTES, shard_tags, split_tags

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.abc.store import Store as ZarrStore
    from zarr.core.buffer import Buffer, BufferPrototype


ROOT, FILE = replacement.ROOT, "checksums.json"
COPY_OF = {ROOT: replacement.ROOT_COPY, FILE: "checksums.copy.json"}


def has_checksum(key: str) -> bool:
    """Return whether ``checksums.json`` lists a file.

    All files of a store are listed, with these exceptions: shards, progress records, the timings, the write token,
    ``checksums.json``, the copy of ``checksums.json``, and the copy of the manifest.

    >>> has_checksum("planes/t0050/mid_block/zarr.json"), has_checksum("planes/t0050/mid_block/c/0/1/0")
    (True, False)
    """
    return key not in {FILE, *COPY_OF.values(), timings.FILE, write_token.FILE} and not is_unit_file(key)


def checksum(content: bytes) -> str:
    """Return the sha256 of a file's content as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def encode(checksums: dict[str, str]) -> bytes:
    """Return the content of ``checksums.json`` for the given checksums.

    The last field, ``checksum``, is the sha256 of the list of all checksums.
    """
    files = json.dumps(checksums, sort_keys=True, indent=0)
    document = {"files": dict(sorted(checksums.items())), "checksum": checksum(files.encode())}
    return json.dumps(document, indent=0).encode()


def decode(content: bytes | None) -> dict[str, str] | None:
    """Return the checksums in the content of ``checksums.json``.

    Return None if the content is None, is damaged, or lists a file that a store cannot have, such as ``../notes.txt``.
    """
    try:
        checksums: dict[str, str] = json.loads(content or b"")["files"]
        return checksums if encode(checksums) == content and all(map(is_checksum_key, checksums)) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write(location: Location, checksums: dict[str, str]) -> bytes:
    """Write ``checksums.json`` and its copy, and return their content."""
    content = encode(checksums)
    location.put(FILE, content)
    location.put(COPY_OF[FILE], content)
    return content


def read(location: Location) -> dict[str, str]:
    """Read the checksums of a store from ``checksums.json``. If this file is damaged or missing, read its copy.

    Raises
    ------
    StoreError
        If both ``checksums.json`` and its copy are damaged or missing.
    """
    content = location.get(FILE)
    checksums = decode(content) or decode(location.get(COPY_OF[FILE]))
    if checksums is None:
        fault = "is missing" if content is None else _fault(content)
        raise StoreError(
            f"{location}: {FILE} {fault}, and its copy is unusable too: restore {FILE} from a backup, or extract to "
            "another place"
        )
    return checksums


def _fault(content: bytes) -> str:
    """Describe why the content of ``checksums.json`` can't be used."""
    try:
        files = json.loads(content)["files"]
        foreign = [key for key in files if not is_checksum_key(key)] if encode(files) == content else []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        foreign = []
    return f"lists {foreign[0]!r}, which no store contains" if foreign else "was changed"


class ChecksumReader(WrapperStore[Any]):
    """A Zarr store for reading. If a file was changed or is missing, an error is raised.

    A file that is read as a whole is compared with its checksum. Shards are read in parts, for which Zarr checks CRC-32C
    sums. Zarr treats a missing shard as empty. This class raises an error if the missing shard has a progress record or
    belongs to a complete plane.

    Parameters
    ----------
    store : zarr.abc.store.Store
        The Zarr store to read from.
    location : Location
        Location of the store, for error messages.
    checksums : dict of str to str
        The sha256 of each file, by the path of the file in the store.
    check : ReplacementCheck, optional
        Raises an error after each read if another store has replaced the store. [default: no check]
    """

    def __init__(
        self,
        store: ZarrStore,
        location: Location,
        checksums: dict[str, str],
        check: replacement.ReplacementCheck | None = None,
    ) -> None:
        super().__init__(store)
        self.location, self.checksums, self.replacement_check = location, checksums, check
        # Joined tags of shards by key of the progress record. They are kept when a record is read.
        self._tags: dict[str, bytes] = {}
        # Label maps of which values were read, and newer checksums for label maps that were replaced before they were read.
        self._read_maps: set[str] = set()
        self._replaced_maps: dict[str, dict[str, str]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tags": {}}

    def _with_store(self, store: ZarrStore) -> ChecksumReader:
        return type(self)(store, self.location, self.checksums, self.replacement_check)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read a file, or a range of its bytes.

        Raises
        ------
        StoreError
            If a file that is read as a whole does not match its checksum. If a shard is truncated or belongs to another
            unit. If a file that ``checksums.json`` lists is missing. If another store has replaced the store. If a
            label map was replaced after a part of it was read.
        """
        content = await self._get(key, prototype, byte_range)
        if not has_checksum(key):
            if record := record_of_shard(key):
                tags = self._tags.get(record)
                if not (tags and content is not None and byte_range is not None and _has_tag(content, tags)):
                    await self._check_shard(key, record, content, whole=byte_range is None)
            elif is_unit_file(key):
                self._keep_tags(key, content)
            return content
        if label_map := label_map_of(key):
            await self._check_label_file(label_map, key, content)
            return content
        if _matches(content, self.checksums.get(key), whole=byte_range is None):
            return content
        current = await self._current_checksums()
        if _matches(content, current.get(key), whole=byte_range is None):
            return content
        if key in COPY_OF:
            copy: Buffer | None = await super().get(COPY_OF[key], prototype, byte_range)
            if copy is not None and _matches(copy, current.get(key), whole=byte_range is None):
                return copy
        raise self._damage_error(key, "is missing" if content is None else "was changed")

    async def _get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None) -> Buffer | None:
        """Read a file, or a range of its bytes, and check that it belongs to the store that was opened."""
        content: Buffer | None = await super().get(key, prototype, byte_range)
        if self.replacement_check is not None:
            self.replacement_check.check()
        return content

    async def _current_checksums(self) -> dict[str, str]:
        """Read the checksums again, as another process may have replaced a file since they were read."""
        newest: Buffer | None = await super().get(FILE, default_buffer_prototype())
        return (decode(newest.to_bytes()) if newest is not None else None) or self.checksums

    async def _check_label_file(self, name: str, key: str, content: Buffer | None) -> None:
        """Raise `StoreError` if a file of the label map `name` is damaged, or belongs to a newer map than files read before.

        If nothing of a replaced map was read before, the new map is read. `content` is the whole file `key`, or None if there is
        no such file, as for a chunk without labels.
        """
        metadata = f"scene/labels/{name}/zarr.json"
        listed = self._replaced_maps.get(name, self.checksums)
        if not (_matches(content, listed.get(key), whole=True) and (content is None or key in listed)):
            current = await self._current_checksums()
            if not _matches(content, current.get(key), whole=True):
                raise self._damage_error(key, "is missing" if content is None else "was changed")
            has_old_metadata = key != metadata and listed.get(metadata) != current.get(metadata)
            if name in self._read_maps or has_old_metadata or metadata not in current:
                raise StoreError(
                    f"{self.location}: the label map {name!r} was replaced since it was read: open the store again to use the new map"
                )
            self._replaced_maps[name] = current
        if key != metadata:
            self._read_maps.add(name)

    async def _check_shard(self, key: str, record: str, content: Buffer | None, *, whole: bool) -> None:
        """Raise `StoreError` if the shard `key` is damaged or missing.

        `record` is the key of the progress record of the shard. `content` has the bytes that were read from the shard, or is None if the file does not exist. `whole` is True if
        `content` is the whole file. A shard without a progress record may be missing.
        """
        if content is None:
            plane = plane_of(key)
            if (plane and records_key(plane) in self.checksums) or await self.exists(record):
                raise self._damage_error(key, "is missing")
            return
        if whole and _has_tags(content, self._tags.get(record, b"")):
            return
        # The record is not known yet, or another process has written the unit again.
        tags = self._keep_tags(record, await super().get(record, default_buffer_prototype()))
        intact = _has_tags(content, tags) if whole else _has_tag(content, tags)
        if tags and not intact:
            raise self._damage_error(key, "is truncated or belongs to another unit" if len(content) else "is empty")

    def _keep_tags(self, record: str, content: Buffer | None) -> bytes:
        """Keep and return the joined tags of a progress record. The tags of a record that does not exist are empty."""
        tags = b"" if content is None else content.to_bytes()[DIGEST_BYTES:]
        if tags:
            self._tags[record] = tags
        else:
            self._tags.pop(record, None)
        return tags

    def _damage_error(self, key: str, fault: str) -> StoreError:
        return StoreError(f"{self.location}: {key} {fault}: {repair_advice(self.location)}")


def _has_tag(content: Buffer, tags: bytes) -> bool:
    """Return whether the index or inner chunk `content` of a shard ends with one of the joined `tags`."""
    return content.as_numpy_array()[-TAG_BYTES:].tobytes() in split_tags(tags)


def _has_tags(shard: Buffer, tags: bytes) -> bool:
    """Return whether a whole shard has exactly the joined `tags`."""
    return shard_tags(shard.to_bytes(), len(tags) // TAG_BYTES - 1) == split_tags(tags)


def _matches(content: Buffer | None, expected: str | None, *, whole: bool) -> bool:
    """Return whether `content` matches the checksum `expected`.

    A byte range (`whole` is False) of an existing file always matches. Any content matches if no checksum is recorded.
    """
    if not expected:
        return True
    return content is not None and (not whole or checksum(content.to_bytes()) == expected)


class ChecksumWriter(ChecksumReader):
    """A `ChecksumReader` that can also write. It records the checksum of each file that it writes."""

    async def set(self, key: str, value: Buffer, *arguments: Any) -> None:
        """Write a file and record its checksum."""
        await super().set(key, value, *arguments)
        if has_checksum(key):
            self.checksums[key] = checksum(value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file. If the file exists and has a checksum, do nothing.

        If the file exists but has no checksum, a process that was killed wrote it. Such a file is overwritten. The metadata
        of groups with progress records is not written, because Zarr readers should not find these groups.
        """
        if key.startswith("progress/") and PROGRESS.fullmatch(key) is None:
            return
        if key not in self.checksums or not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """Delete a file and its checksum."""
        await super().delete(key)
        self.checksums.pop(key, None)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all files of the folder `prefix`, and their checksums."""
        await super().delete_dir(prefix)
        for key in [key for key in self.checksums if key.startswith(f"{prefix.rstrip('/')}/")]:
            del self.checksums[key]
