"""Cache of reads from a store at a web address. Repeated reads of shards need no network.

Only an address that ends with the key of the store has a cache. Shards at this address never change. Cached shards are
therefore read without a request to the service. Other files, such as progress records and label maps, can change. If the
service can't be reached, these files are read from the cache. If the service answers with an error, the error is raised.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zarr.storage import WrapperStore

from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, cache_folder
from hsifeat.store.keys import record_of_shard

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.abc.store import Store as ZarrStore
    from zarr.core.buffer import Buffer, BufferPrototype

# Larger reads, such as maps of whole scenes, are not cached.
_MAX_BYTES = 4 * 2**20
_DIGEST_BYTES = 32
_EXISTS = "exists"
# After a failed connection, all reads come from the cache for this time. Then the service is asked again.
_OFFLINE_S = 60.0
# The messages of obstore's errors say whether the service has answered.
_ANSWERED = "Server returned"
_log = logging.getLogger(__name__)
_SIGNATURE = re.compile(r"/signed/[^/]+(?=/)")
_ADDRESS = re.compile(r"https?://.*/([0-9a-f]{64})\.zarr")


def samples_folder(key: str) -> Path:
    """Return the folder for cached samples and cached reads of stores with the key `key`."""
    return cache_folder() / "samples" / key[:32]


@dataclass(frozen=True)
class CachedRead:
    """Result of an earlier read, from the cache.

    Attributes
    ----------
    value : bytes or None
        Bytes that were read, or None if the store has no such file.
    """

    value: bytes | None


class ReadCache:
    """Cached reads of one store at a web address.

    Parameters
    ----------
    folder : Path
        Folder of the cache.
    url : str
        Address of the store. Reads from other addresses are not found, because stores of one key can have different label
        maps. All signed addresses of a store count as one address.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url, self._place = folder, url, _SIGNATURE.sub("", url)
        self._offline_until_s = 0.0

    @classmethod
    def of_address(cls, url: str) -> ReadCache | None:
        """Return the cache for an address that ends with the key of a store; None for other addresses."""
        match = _ADDRESS.fullmatch(url)
        return None if match is None else cls(samples_folder(match[1]), url)

    def before_network(self, key: str, part: str = "") -> CachedRead | None:
        """Return the cached result of a read, or None if the read needs a request to the service.

        `key` is the path of the file in the store. `part` describes the range of bytes; it is empty for the whole file.
        """
        cached = self._load(key, part)
        # A shard that is missing may be written later.
        is_constant = cached is not None and cached.value is not None and record_of_shard(key) is not None
        return cached if is_constant or time.monotonic() < self._offline_until_s else None

    def after_error(self, error: Exception, key: str, part: str = "") -> CachedRead:
        """Return the cached result of a read that failed because the service can't be reached.

        During the next minute, reads whose results are in the cache send no requests to the service.

        Parameters
        ----------
        error : Exception
            Error of the read.
        key : str
            Path of the file in the store.
        part : str
            Description of the range of bytes; empty for the whole file.

        Raises
        ------
        Exception
            `error` itself, if the service answered with an error, or if the cache does not have the result of the read.
        """
        cached = None if _ANSWERED in str(error) else self._load(key, part)
        if cached is None:
            raise error
        self._offline_until_s = time.monotonic() + _OFFLINE_S
        _log.warning("%s can't be reached: its files are read from the cache, as they were read last", self._url)
        return cached

    def keep(self, key: str, part: str, value: bytes | None) -> None:
        """Add the result of a read to the cache. If the result has more than 4 MiB, or if the disk is full, do nothing.

        Parameters
        ----------
        key : str
            Path of the file in the store.
        part : str
            Description of the range of bytes; empty for the whole file.
        value : bytes or None
            Bytes that were read, or None if the file does not exist.
        """
        if value is None or len(value) <= _MAX_BYTES:
            content = b"-" if value is None else b"+" + value
            with suppress(OSError, StoreError), atomic_write(self._file(key, part)) as file:
                file.write_bytes(hashlib.sha256(content).digest() + content)

    def _load(self, key: str, part: str) -> CachedRead | None:
        try:
            file = self._file(key, part).read_bytes()
        except OSError:
            return None
        digest, content = file[:_DIGEST_BYTES], file[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            return None
        return CachedRead(content[1:] if content.startswith(b"+") else None)

    def _file(self, key: str, part: str) -> Path:
        return self._folder / f"{hashlib.sha256(f'{self._place}/{key}?{part}'.encode()).hexdigest()[:32]}.read"


class CachedReads(WrapperStore[Any]):
    """A Zarr store at a web address whose reads are kept in a cache.

    Parameters
    ----------
    store : zarr.abc.store.Store
        The Zarr store at the address.
    cache : ReadCache
        Cache for the reads of this store.
    """

    def __init__(self, store: ZarrStore, cache: ReadCache) -> None:
        super().__init__(store)
        self.cache = cache

    def _with_store(self, store: ZarrStore) -> CachedReads:
        return type(self)(store, self.cache)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read a file of the store, or a range of its bytes."""
        part = "" if byte_range is None else repr(byte_range)
        cached = self.cache.before_network(key, part)
        if cached is None:
            try:
                content: Buffer | None = await super().get(key, prototype, byte_range)
            except Exception as error:  # noqa: BLE001  # the errors of networks have no common type
                cached = self.cache.after_error(error, key, part)
            else:
                self.cache.keep(key, part, None if content is None else content.to_bytes())
                return content
        return None if cached.value is None else prototype.buffer.from_bytes(cached.value)

    async def exists(self, key: str) -> bool:
        """Return whether a file of the store exists."""
        cached = self.cache.before_network(key, _EXISTS)
        if cached is None:
            try:
                found = bool(await super().exists(key))
            except Exception as error:  # noqa: BLE001  # the errors of networks have no common type
                cached = self.cache.after_error(error, key, _EXISTS)
            else:
                self.cache.keep(key, _EXISTS, b"" if found else None)
                return found
        return cached.value is not None
