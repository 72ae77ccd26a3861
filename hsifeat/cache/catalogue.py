"""Catalogue of the stores of this machine, with the times of their completion and last use.

Each store has one small file in the cache folder. If these files are lost, `rebuild` searches
the given folders for stores and writes the files again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hsifeat.errors import HsifeatError, StoreError, suggest_names
from hsifeat.files import cache_folder, write_file
from hsifeat.store.location import LocalLocation, Location, as_location
from hsifeat.store.store import Store

# Errors that Zarr and JSON raise for damaged metadata and records. They are caught so that one damaged store does not
# prevent the others from being listed.
DAMAGE_ERRORS = (
    HsifeatError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)
_MIN_PREFIX = 4


# The fields of an entry name folders that `cache rm` and `cache gc` delete, so they are validated on reading.
@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class CatalogueEntry:
    """A store in the catalogue.

    Attributes
    ----------
    key : str
        Key of the store.
    path : str
        Resolved path or address of the store.
    completed : float
        Time of completion in seconds since 1970; 0 for an unfinished store.
    used : float
        Time of the last use in seconds since 1970.
    """

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
    path: str
    completed: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    used: float = 0.0

    @property
    def location(self) -> Location:
        """Location of the store."""
        return as_location(self.path)

    @property
    def name(self) -> str:
        """Name of the store: the name of its folder without ``.zarr``."""
        return self.location.name


def add_entry(key: str, location: Location | Path | str, *, completed: float | None = None) -> None:
    """Add a store to the catalogue, or update its entry.

    Parameters
    ----------
    key : str
        Key of the store.
    location : Location, Path or str
        Location of the store.
    completed : float, optional
        Time of completion in seconds since 1970. The default is now; 0 stands for an unfinished store.
    """
    identity = as_location(location).identity
    entry = CatalogueEntry(key, identity, time.time() if completed is None else completed)
    content = {name: value for name, value in asdict(entry).items() if name != "used"}
    write_file(_entry_file(identity), json.dumps(content))


def mark_used(location: Location) -> None:
    """Set the time of the last use of a store to now, if the store is in the catalogue."""
    try:
        os.utime(_entry_file(location.identity))
    except OSError:
        # The store is not in the catalogue, or the cache folder is read-only. Both are harmless for reading.
        return


def remove_entry(location: Location) -> None:
    """Remove a store from the catalogue."""
    _entry_file(location.identity).unlink(missing_ok=True)


def entries() -> list[CatalogueEntry]:
    """List the existing stores of the catalogue. The store that was completed last comes first."""
    existing = []
    for file in (cache_folder() / "catalogue").glob("*.json"):
        try:
            # The modification time of the file is the time of the last use.
            entry = CatalogueEntry(**json.loads(file.read_text(encoding="utf-8")), used=file.stat().st_mtime)
            location = entry.location
            # The file name is a digest of the location, so an entry can't be edited to name another folder.
            if location.identity != entry.path or _entry_file(entry.path) != file:
                continue
        except (OSError, ValueError, TypeError, RecursionError, StoreError):
            continue
        if not isinstance(location, LocalLocation) or location.path.is_dir():
            existing.append(entry)
    return sorted(existing, key=lambda entry: -entry.completed)


def rebuild(folders: Iterable[Path]) -> list[CatalogueEntry]:
    """Add all stores of the cache folder and of `folders` to the catalogue, and return the catalogue.

    Parameters
    ----------
    folders : iterable of Path
        Folders that contain stores.

    Returns
    -------
    list of CatalogueEntry
        All existing stores of the catalogue, the last completed first.

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
            # An interrupted deletion leaves a folder whose name starts with a dot.
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
    """Return the location of a store.

    Parameters
    ----------
    source : str, Path, Location or None
        A path, an address, a name in the catalogue, or the first digits of a key. None stands for the store completed
        last.

    Raises
    ------
    StoreError
        No store matches, or several stores match.
    """
    known = entries()
    if source is None:
        if not known or not known[0].completed:
            raise StoreError(
                "no complete store on this machine: name the path of a store, or create one with hsifeat extract"
            )
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
        names = [entry.name for entry in known]
        advice = suggest_names(text, names) if names else "hsifeat extract creates one"
        raise StoreError(f"no store at or named {text!r}; {advice}")
    return matches[0].location


def _is_complete(store: Store) -> bool:
    """Return whether all planes of a store are complete; False for a damaged store."""
    try:
        return all(store.is_complete(plane.id) for plane in store.planes)
    except DAMAGE_ERRORS:
        return False


def _entry_file(identity: str) -> Path:
    # The file name depends on the location only, so a new store at an old location replaces the old entry.
    return cache_folder() / "catalogue" / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
