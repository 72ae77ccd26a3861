"""The catalogue: which stores this machine knows, one small file each, when they were completed and last used.

It holds nothing that the stores don't: `rebuild` makes it anew from folders of stores.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.errors import HsifeatError, StoreError, nearest
from hsifeat.files import cache_folder, write_whole
from hsifeat.store.location import LocalLocation, Location, as_location

if TYPE_CHECKING:
    from hsifeat.store.store import Store

__all__ = [
    "DAMAGE", "CatalogueEntry", "cache_folder", "enter", "entries", "find_store", "forget", "knows", "rebuild", "touch",
]  # fmt: skip

# What zarr and JSON raise on metadata and records that were damaged: one such store must not hide all others.
DAMAGE = (HsifeatError, OSError, ValueError, TypeError, KeyError, RuntimeError)


@dataclass(frozen=True)
class CatalogueEntry:
    """A store that was completed: its key, where it lies, and when (seconds since 1970) it was completed and last used."""

    key: str
    path: str
    completed: float
    used: float = 0.0

    @property
    def location(self) -> Location:
        """Where it lies."""
        return as_location(self.path)

    @property
    def name(self) -> str:
        """The store's name: its folder without ``.zarr``."""
        return self.location.name


def enter(key: str, location: Location | Path | str, *, completed: float | None = None) -> None:
    """Note that a store is complete, now or since a time given; 0 for one that is not yet."""
    identity = as_location(location).identity
    entry = CatalogueEntry(key, identity, time.time() if completed is None else completed)
    facts = {name: value for name, value in asdict(entry).items() if name != "used"}
    write_whole(_file(identity), json.dumps(facts))


def touch(location: Location) -> None:
    """Note that a store was used just now, if it is in the catalogue."""
    try:
        os.utime(_file(location.identity))
    except OSError:
        # Not in the catalogue, or a cache folder that can't be written: reading works all the same.
        return


def knows(location: Location) -> bool:
    """Tell whether a store is in the catalogue."""
    return _file(location.identity).exists()


def forget(location: Location) -> None:
    """Take a store out of the catalogue."""
    _file(location.identity).unlink(missing_ok=True)


def entries() -> list[CatalogueEntry]:
    """List the stores that are still where they were entered, the last completed first."""
    found = []
    for file in (cache_folder() / "catalogue").glob("*.json"):
        try:
            # A file's time is that of the last use.
            entry = CatalogueEntry(**json.loads(file.read_text(encoding="utf-8")), used=file.stat().st_mtime)
        except (OSError, ValueError, TypeError):
            continue
        location = entry.location
        if not isinstance(location, LocalLocation) or location.path.is_dir():
            found.append(entry)
    return sorted(found, key=lambda entry: -entry.completed)


def rebuild(folders: Iterable[Path]) -> list[CatalogueEntry]:
    """Enter every store that lies in the cache folder or one of `folders`, and is not in the catalogue.

    Returns
    -------
    list of CatalogueEntry
        The whole catalogue.
    """
    from hsifeat.store.store import Store

    known = {entry.path for entry in entries()}
    for folder in (cache_folder(), *folders):
        if not folder.is_dir() and folder != cache_folder():
            raise StoreError(f"no such folder: {folder}")
        for root in sorted(folder.glob("*/zarr.json")):
            # A name with a dot is what a killed `hsifeat cache rm` left.
            if root.parent.name.startswith(".") or str(root.parent.resolve()) in known:
                continue
            try:
                store = Store.open(root.parent)
                completed = root.stat().st_mtime
            except DAMAGE:
                continue
            enter(store.key, root.parent, completed=completed if _is_complete(store) else 0.0)
    return entries()


def find_store(source: str | Path | Location | None) -> Location:
    """Find a store by path, address, catalogue name or unique key prefix; None takes the one completed last.

    Raises
    ------
    StoreError
        There is none, or a key prefix fits several.
    """
    known = entries()
    if source is None:
        if not known or not known[0].completed:
            raise StoreError("no store yet: hsifeat extract SCENE makes one, or name a store's path")
        return known[0].location
    if not isinstance(source, str | Path):
        return source
    if "://" in str(source) or Path(source).exists():
        return as_location(source)
    text = str(source)
    named = [e for e in known if e.name == text] or [e for e in known if len(text) >= 4 and e.key.startswith(text)]
    if len({e.path for e in named}) > 1:
        raise StoreError(f"{text!r} fits {len(named)} stores: " + ", ".join(e.path for e in named))
    if not named:
        raise StoreError(f"no store at or named {text!r}; {nearest(text, [e.name for e in known])}")
    return named[0].location


def _is_complete(store: Store) -> bool:
    """Tell whether all that a store begun is done; a damaged one is entered, so that it is shown what is wrong with it."""
    try:
        return all(store.done(plane.id).all() for plane in store.planes)
    except DAMAGE:
        return False


def _file(identity: str) -> Path:
    # One file a place: a store that was made anew there takes the entry of the old one.
    return cache_folder() / "catalogue" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
