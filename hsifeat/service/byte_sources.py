"""Files in a local folder or a bucket, read in blocks and never as a whole."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.errors import StoreError
from hsifeat.service.file_sending import read_part
from hsifeat.store.confinement import ConfinedFolder, check_key

if TYPE_CHECKING:
    from hsifeat.store.remote_location import RemoteLocation

_BLOCK_BYTES = 2**19


class ByteSource(Protocol):
    """Interface of an open file of a store.

    If the file is replaced while it is open, the bytes of the old file are read.

    Attributes
    ----------
    size_bytes : int
        Size of the file.
    etag : str
        Strong entity tag: different contents have different tags.
    """

    size_bytes: int
    etag: str

    @property
    def descriptor(self) -> int | None:
        """File descriptor of a file on this machine; None for any other file."""
        ...

    def blocks(self, part: range) -> AsyncIterator[bytes | bytearray]:
        """Yield the bytes of the file at the positions `part`, in blocks."""
        ...

    async def first(self, length: int) -> bytes | bytearray:
        """Return at most `length` bytes from the start of the file."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class LocalFile:
    """An open file below a folder.

    Parameters
    ----------
    folder : Path
        Folder that contains the file, directly or in a subfolder. A link that leads out of this folder is treated as a
        missing file. If the path of the folder contains no links, files are opened faster.
    key : str
        Path of the file, relative to the folder.

    Raises
    ------
    FileNotFoundError
        If the folder does not contain this file.
    """

    def __init__(self, folder: Path, key: str) -> None:
        try:
            file = _open_without_links(f"{folder}/{check_key(key)}")
            self.descriptor = os.open(ConfinedFolder(folder).path(key), os.O_RDONLY) if file is None else file
        except (StoreError, OSError, ValueError) as error:
            raise FileNotFoundError(key) from error
        status = os.fstat(self.descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(self.descriptor)
            raise FileNotFoundError(key)
        self.size_bytes = status.st_size
        # Files of a store are replaced by renaming, so a new content has a new inode or modification time.
        self.etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'

    async def blocks(self, part: range) -> AsyncIterator[bytes | bytearray]:
        """Yield the bytes of the file at the positions `part`, in blocks."""
        position = part.start
        while position < part.stop:
            block = await read_part(self.descriptor, position, min(part.stop - position, _BLOCK_BYTES))
            if not block:  # The file was truncated; the missing bytes make the client notice.
                return
            yield block
            position += len(block)

    async def first(self, length: int) -> bytes | bytearray:
        """Return at most `length` bytes from the start of the file."""
        return await read_part(self.descriptor, 0, min(length, self.size_bytes))

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _open_without_links(path: str) -> int | None:
    """Open a file and return its descriptor, or None if a part of `path` may be a link.

    Linux reports the path of an open file, which is much faster than a check of each part. On other systems, the result is
    always None.
    """
    if sys.platform != "linux":
        return None
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with suppress(OSError):
        if os.readlink(f"/proc/self/fd/{file}") == path:  # noqa: PTH115  # a Path takes longer
            return file
    os.close(file)
    return None


class MadeFile:
    """A small document in memory, with the interface of an open file.

    Parameters
    ----------
    content : bytes
        The document.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self.size_bytes = content, len(content)
        self.descriptor = None
        self.etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def blocks(self, part: range) -> AsyncIterator[bytes | bytearray]:
        """Yield the bytes of the document at the positions `part`."""
        yield self._content[part.start : part.stop]

    async def first(self, length: int) -> bytes:
        """Return at most `length` bytes from the start of the document."""
        return self._content[:length]

    def close(self) -> None:
        """Do nothing."""


class ObjectFile:
    """A file of a store in a bucket.

    Parameters
    ----------
    objects : obstore.store.ObjectStore
        Access to the objects of the bucket whose keys begin with the prefix of the store.
    key : str
        Path of the file, relative to the prefix of the store.
    meta : dict
        Size and entity tag of the file, as obstore returns them.
    """

    def __init__(self, objects: Any, key: str, meta: Any) -> None:
        self._objects, self._key, self._version = objects, key, meta["e_tag"]
        self.size_bytes: int = meta["size"]
        self.descriptor = None
        self.etag = f'"{str(meta["e_tag"]).removeprefix("W/").strip(chr(34))}"'

    @classmethod
    async def open(cls, location: RemoteLocation, key: str) -> ObjectFile:
        """Look up a file in a bucket.

        Raises
        ------
        FileNotFoundError
            If the bucket does not contain this file.
        """
        import obstore

        try:
            check_key(key)
        except StoreError as error:
            raise FileNotFoundError(key) from error
        with location.error_context():
            return cls(location.objects, key, await obstore.head_async(location.objects, key))

    async def blocks(self, part: range) -> AsyncIterator[bytes]:
        """Yield the bytes of the file at the positions `part`, in blocks."""
        import obstore

        options: Any = {"range": (part.start, part.stop), "if_match": self._version}
        result = await obstore.get_async(self._objects, self._key, options=options)
        async for block in result.stream(min_chunk_size=_BLOCK_BYTES):
            yield bytes(block)

    async def first(self, length: int) -> bytes:
        """Return at most `length` bytes from the start of the file."""
        return b"".join([block async for block in self.blocks(range(min(length, self.size_bytes)))])

    def close(self) -> None:
        """Do nothing, because no connection to the bucket stays open."""
