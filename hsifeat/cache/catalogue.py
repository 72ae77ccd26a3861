"""The catalogue: the stores that this machine knows, in one small file each, and when they were completed and last used.

It holds nothing that the stores do not: `rebuild` creates it again from folders of stores.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hsifeat.errors import HsifeatError, StoreError, suggest_names
from hsifeat.files import cache_folder, write_file
from hsifeat.store.location import LocalLocation, Location, as_location
from hsifeat.store.store import Store

# Errors that zarr and JSON raise on damaged metadata and records: one damaged store must not hide all others.
DAMAGE_ERRORS = (HsifeatError, OSError, ValueError, TypeError, KeyError, RuntimeError)
_MIN_PREFIX = 4


@dataclass(frozen=True)
class CatalogueEntry:
    """A store in the catalogue.

    Attributes
    ----------
    key : str
        Key of the store.
    path : str
        Resolved path or address.
    completed : float
        When it was completed, in seconds since 1970; 0 if it is unfinished.
    used : float
        When it was last used, in seconds since 1970.
    """

    key: str
    path: str
    completed: float
    used: float = 0.0

    @property
    def location(self) -> Location:
        """Location of the store."""
        return as_location(self.path)

    @property
    def name(self) -> str:
        """Name of the store: its folder without ``.zarr``."""
        return self.location.name


def add_entry(key: str, location: Location | Path | str, *, completed: float | None = None) -> None:
    """Add a store to the catalogue, or replace its entry.

    Parameters
    ----------
    key : str
        Key of the store.
    location : Location, Path or str
        Location of the store.
    completed : float, optional
        When it was completed, in seconds since 1970; now by default, 0 if it is unfinished.
    """
    identity = as_location(location).identity
    entry = CatalogueEntry(key, identity, time.time() if completed is None else completed)
    content = {name: value for name, value in asdict(entry).items() if name != "used"}
    write_file(_entry_file(identity), json.dumps(content))


def mark_used(location: Location) -> None:
    """Note that a store was used just now, if it is in the catalogue."""
    try:
        os.utime(_entry_file(location.identity))
    except OSError:
        # Not in the catalogue, or a read-only cache folder: reading works all the same.
        return


def remove_entry(location: Location) -> None:
    """Remove a store from the catalogue."""
    _entry_file(location.identity).unlink(missing_ok=True)


def entries() -> list[CatalogueEntry]:
    """List the stores of the catalogue that still exist, the last completed first."""
    existing = []
    for file in (cache_folder() / "catalogue").glob("*.json"):
        try:
            # The modification time of the file is the time of the last use.
            entry = CatalogueEntry(**json.loads(file.read_text(encoding="utf-8")), used=file.stat().st_mtime)
        except (OSError, ValueError, TypeError):
            continue
        location = entry.location
        if not isinstance(location, LocalLocation) or location.path.is_dir():
            existing.append(entry)
    return sorted(existing, key=lambda entry: -entry.completed)


def rebuild(folders: Iterable[Path]) -> list[CatalogueEntry]:
    """Add every store in the cache folder or in one of `folders` that is not in the catalogue.

    Returns
    -------
    list of CatalogueEntry
        The whole catalogue.

    Raises
    ------
    StoreError
        A folder does not exist.
    """
    known = {entry.path for entry in entries()}
    for folder in (cache_folder(), *folders):
        if not folder.is_dir() and folder != cache_folder():
            raise StoreError(f"no such folder: {folder}")
        for root in sorted(folder.glob("*/zarr.json")):
            # A name that starts with a dot belongs to an interrupted deletion.
            if root.parent.name.startswith(".") or str(root.parent.resolve()) in known:
                continue
            try:
                store = Store.open(root.parent)
                completed = root.stat().st_mtime if _is_complete(store) else 0.0
            except DAMAGE_ERRORS:
                continue
            add_entry(store.key, root.parent, completed=completed)
    return entries()


def find_store(source: str | Path | Location | None) -> Location:
    """Find a store.

    Parameters
    ----------
    source : str, Path, Location or None
        A path, an address, a name in the catalogue or a unique prefix of a key; None takes the store completed last.

    Raises
    ------
    StoreError
        There is none, or a key prefix matches several.
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
    matches = [entry for entry in known if entry.name == text]
    if not matches and len(text) >= _MIN_PREFIX:
        matches = [entry for entry in known if entry.key.startswith(text)]
    if len({entry.path for entry in matches}) > 1:
        paths = ", ".join(entry.path for entry in matches)
        raise StoreError(f"{text!r} matches {len(matches)} stores: {paths}: give more digits of the key, or a path")
    if not matches:
        raise StoreError(f"no store at or named {text!r}; {suggest_names(text, [entry.name for entry in known])}")
    return matches[0].location


def _is_complete(store: Store) -> bool:
    """Tell whether all planes are complete; a damaged store is added as unfinished, so that its damage is shown."""
    try:
        return all(store.is_complete(plane.id) for plane in store.planes)
    except DAMAGE_ERRORS:
        return False


def _entry_file(identity: str) -> Path:
    # One file per location: a store that is created again there takes the entry of the old one.
    return cache_folder() / "catalogue" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
