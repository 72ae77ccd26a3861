"""A Zarr store that refuses keys and links that lead out of a feature store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.storage import WrapperStore

from hsifeat.store.confinement import ConfinedFolder, check_key

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.abc.store import Store as ZarrStore
    from zarr.core.buffer import Buffer, BufferPrototype


class ConfinedStore(WrapperStore[Any]):
    """A Zarr store that reads, writes and deletes only files inside a feature store.

    All methods raise a `StoreError` if a key or a link leads out of the feature store.

    Parameters
    ----------
    store : zarr.abc.store.Store
        The Zarr store to read from and to write to.
    folder : ConfinedFolder or None
        Folder of a feature store on this machine. None for a feature store in a bucket or at a web address, where there are
        no symbolic links.
    """

    def __init__(self, store: ZarrStore, folder: ConfinedFolder | None) -> None:
        super().__init__(store)
        self.folder = folder

    def _with_store(self, store: ZarrStore) -> ConfinedStore:
        return type(self)(store, self.folder)

    def _check(self, key: str) -> None:
        if self.folder is None:
            check_key(key)
        else:
            self.folder.path(key)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read a file of the store, or a range of its bytes."""
        self._check(key)
        content: Buffer | None = await super().get(key, prototype, byte_range)
        return content

    async def exists(self, key: str) -> bool:
        """Return whether a file of the store exists."""
        self._check(key)
        return bool(await super().exists(key))

    async def set(self, key: str, value: Buffer, *arguments: Any) -> None:
        """Write a file of the store."""
        self._check(key)
        await super().set(key, value, *arguments)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file of the store. If the file exists, do nothing."""
        self._check(key)
        await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        """Delete a file of the store."""
        self._check(key)
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all files of a folder of the store."""
        self._check(prefix.rstrip("/"))
        await super().delete_dir(prefix)

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names in a folder of the store."""
        if prefix:
            self._check(prefix.rstrip("/"))
        return super().list_dir(prefix)

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the files of a folder of the store."""
        if prefix:
            self._check(prefix.rstrip("/"))
        return super().list_prefix(prefix)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read ranges of bytes of several files."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for key, prototype, byte_range in requests:
            yield key, await self.get(key, prototype, byte_range)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        for key, value in values:
            await self.set(key, value)
