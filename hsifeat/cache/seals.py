"""Seals: the sha256 of every file of a store besides shards and progress records, which have digests of their own.

They lie in ``seals.json`` and are taken from the bytes as they are written. They are also the list of what a store
holds, so that one can be opened where nothing can be listed, behind a plain web server.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from zarr.storage import WrapperStore

from hsifeat.errors import StoreError

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore
    from zarr.core.buffer import Buffer

    from hsifeat.cache.place import Place

FILE = "seals.json"


def is_sealed(key: str) -> bool:
    """Tell whether a key has a seal: all but the seals themselves, the shards of planes and the records of progress.

    >>> is_sealed("planes/t0050/mid_block/zarr.json"), is_sealed("planes/t0050/mid_block/c/0/1/0")
    (True, False)
    """
    return key != FILE and not (key.startswith(("planes/", "progress/")) and "/c/" in key)


def seal(content: bytes) -> str:
    """Return the seal of a file's content."""
    return hashlib.sha256(content).hexdigest()


def encode(seals: dict[str, str]) -> bytes:
    """Return the content of ``seals.json``: the seals by key, and a seal over them."""
    files = json.dumps(seals, sort_keys=True, indent=0)
    return json.dumps({"files": dict(sorted(seals.items())), "seal": seal(files.encode())}, indent=0).encode()


def read(place: Place, root: bytes) -> dict[str, str]:
    """Return a store's seals; those of a store from before there were any are taken from its files.

    Parameters
    ----------
    place : Place
        Where the store lies.
    root : bytes
        The metadata of its root group.

    Raises
    ------
    StoreError
        The seals were changed, or are missing.
    """
    content = place.get(FILE)
    if content is None and not _has_seals(root):
        return {key: seal(place.get(key) or b"") for key in place.files() if is_sealed(key)}
    if content is None:
        raise StoreError(f"{place}: {FILE} is missing: bring it back from a copy, or extract to another place")
    try:
        seals: dict[str, str] = json.loads(content)["files"]
        if encode(seals) == content:
            return seals
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise StoreError(
        f"{place}: {FILE} was changed; what the store holds can't be told from it: extract to another place"
    )


def _has_seals(root: bytes) -> bool:
    """Tell whether a store was made by a version that seals: since layout 2."""
    try:
        return int(json.loads(root)["attributes"]["hsifeat"]["schema_version"]) >= 2
    except (ValueError, KeyError, TypeError):
        return False


class SealingStore(WrapperStore[Any]):
    """A Zarr store that seals what passes through it.

    Parameters
    ----------
    store : zarr Store
        Where things are written.
    seals : dict of str to str
        Kept up to date.
    """

    def __init__(self, store: ZarrStore, seals: dict[str, str]) -> None:
        super().__init__(store)
        self.seals = seals

    def _with_store(self, store: ZarrStore) -> SealingStore:
        return type(self)(store, self.seals)

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
