"""Catalogue of the stores of this machine, with the times of completion and last use.

Each store has one small file in the cache folder. If these files are lost, `rebuild` searches folders for stores and
writes the files again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hsifeat.errors import HsifeatError, StoreError, suggest_names
from hsifeat.files import cache_folder, delete_leftovers_once, write_file
from hsifeat.seals import open_json, seal_json
from hsifeat.store.checksums import COPY_OF
from hsifeat.store.location import LocalLocation, Location, as_location
from hsifeat.store.store import Store

# Errors that Zarr and JSON raise for damaged metadata and records. Listings catch these errors, so that a damaged store does
# not hide intact stores.
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
_CLOCK_STEP_S = 1e-3
# Resolution and delay of modification times.
_FILE_CLOCK_S = 3.0


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
        Time of completion in seconds since 1970; 0 for an unfinished store. [default: now; if the clock was set back,
        1 ms after the last completion in the catalogue]
    """
    identity = as_location(location).identity
    now = time.time()
    if completed is None:
        # Stores stay in the order of completion even if the clock was set back.
        completed = max([now, *(other + _CLOCK_STEP_S for other in _later_completions(now, identity))])
    entry = CatalogueEntry(key, identity, completed)
    content = {name: value for name, value in asdict(entry).items() if name != "used"}
    file = _entry_file(identity)
    write_file(file, seal_json(content, file.name, indent=None))
    if completed > now:
        os.utime(file, (completed, completed))


def _later_completions(now: float, identity: str) -> Iterator[float]:
    """Yield the completion times of other stores, including all times after `now`.

    A file of the catalogue is at least as new as the completion of its store, so older files are not read.
    """
    delete_leftovers_once(cache_folder() / "catalogue")
    for file in _entry_files():
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < now - _FILE_CLOCK_S:
                continue
        entry = _read_entry(file)
        if entry is not None and entry.path != identity:
            yield entry.completed


def mark_used(location: Location) -> None:
    """If a store is in the catalogue, set the time of its last use to now."""
    file = _entry_file(location.identity)
    try:
        # If the clock was set back, the file stays newer than the completion of the store.
        used = max(time.time(), file.stat().st_mtime)
        os.utime(file, (used, used))
    except OSError:
        # The store is not in the catalogue, or the cache folder is read-only. Both are harmless for reading.
        return


def remove_entry(location: Location) -> None:
    """Remove a store from the catalogue."""
    _entry_file(location.identity).unlink(missing_ok=True)


def forget_if_gone(location: Location) -> bool:
    """Remove a remote store from the catalogue if none of its files exists. A remote store is in a bucket or at a web address.

    Returns
    -------
    bool
        Whether the store was removed from the catalogue.
    """
    is_gone = (
        not isinstance(location, LocalLocation)
        and location.get("zarr.json") is None
        and (location.read_only or not location.list_keys(1))  # the files of a web address can't be listed
    )
    if is_gone:
        remove_entry(location)
    return is_gone


def entries() -> list[CatalogueEntry]:
    """Return the existing stores of the catalogue, starting with the store completed last. Damaged entries are skipped.

    Stores in buckets and at web addresses are assumed to exist, because a check would need requests to the network.
    """
    # Not every command writes to the catalogue, so the temporary file of a killed process could otherwise stay for long.
    delete_leftovers_once(cache_folder() / "catalogue")
    existing = []
    for file in _entry_files():
        entry = _read_entry(file)
        location = None if entry is None else entry.location
        if entry is not None and (not isinstance(location, LocalLocation) or location.path.is_dir()):
            existing.append(entry)
    return sorted(existing, key=lambda entry: -entry.completed)


def _read_entry(file: Path) -> CatalogueEntry | None:
    """Return the entry in a file of the catalogue, or None if the file is damaged."""
    try:
        # The modification time of the file is the time of the last use.
        entry = CatalogueEntry(**open_json(file, file.name), used=file.stat().st_mtime)
        # The file name is a digest of the location, so an entry can't be edited to name another folder.
        intact = entry.location.identity == entry.path and _file_name(entry.path) == file.name
    except (OSError, ValueError, TypeError, StoreError):
        return None
    return entry if intact else None


def _entry_files() -> list[Path]:
    return sorted((cache_folder() / "catalogue").glob("*.json"))


def rebuild(folders: Iterable[Path]) -> list[CatalogueEntry]:
    """Add all stores in the cache folder and in `folders` to the catalogue, and return the catalogue.

    The stores are returned even if the cache folder can't be written.

    Parameters
    ----------
    folders : iterable of Path
        Folders that contain stores.

    Returns
    -------
    list of CatalogueEntry
        All existing stores of the catalogue, starting with the store completed last.

    Raises
    ------
    StoreError
        If one of `folders` does not exist.
    """
    known, unsaved = {entry.path for entry in entries()}, []
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
            try:
                add_entry(store.key, root.parent, completed=completed)
            except StoreError:
                unsaved.append(CatalogueEntry(store.key, as_location(root.parent).identity, completed, completed))
    return sorted([*entries(), *unsaved], key=lambda entry: -entry.completed)


def _checked_location(source: Location) -> Location:
    if not hasattr(source, "identity"):
        raise StoreError(f"a store is a path, an address, a name or the start of a key; found {source!r}")
    return source


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # the name is too long, or a folder is denied
        raise StoreError(f"{path!s:.60}… can't be looked up: {error.strerror}: name an existing store") from error


def _entries_named(text: str, known: list[CatalogueEntry]) -> list[CatalogueEntry]:
    """Return the stores whose name is the text. If no store has this name, return the stores whose key starts with the text."""
    named = [entry for entry in known if entry.name == text]
    return named or [entry for entry in known if len(text) >= _MIN_PREFIX and entry.key.startswith(text)]


def stores_with_key(key: str) -> list[Location]:
    """Return the locations of all stores with this key, starting with the store completed last."""
    return [entry.location for entry in entries() if entry.key == key]


def find_store(source: str | Path | Location | None) -> Location:
    """Return the location of a store.

    Parameters
    ----------
    source : str, Path, Location or None
        A path, an address, a name in the catalogue, or the first digits of a key. None means the store completed last.

    Raises
    ------
    StoreError
        If no store matches `source`, or several stores match. If `source` is None, and no store is complete. If `source`
        is None, and a file of the catalogue is damaged. If `source` is None, and the bucket of the store completed last
        can't be reached.
    """
    known = entries()
    if source is None:
        if damaged := [file for file in _entry_files() if _read_entry(file) is None]:
            raise StoreError(
                f"{damaged[0]} is damaged, so it is unknown which store was completed last: name a store; hsifeat cache ls FOLDER, "
                "with the folder of the store that is missing in the list, mends the file, and deleting it forgets the store"
            )
        for entry in known:
            if entry.completed and not forget_if_gone(entry.location):
                return entry.location
        raise StoreError(
            "no complete store on this machine: name the path of a store, or create one with hsifeat extract"
        )
    if not isinstance(source, str | Path):
        return _checked_location(source)
    text = str(source)
    if "://" in text or any(_exists(Path(source) / name) for name in (*COPY_OF, *COPY_OF.values())):
        return as_location(source)
    # A folder that holds nothing of a store does not hide the store of this name or key.
    matches = _entries_named(text, known)
    if len({entry.path for entry in matches}) > 1:
        paths = ", ".join(entry.path for entry in matches)
        digits = "more digits of the key, or " if len({entry.key for entry in matches}) > 1 else ""
        raise StoreError(f"{text!r} matches {len(matches)} stores: {paths}: give {digits}a path")
    if not matches and _exists(Path(source)):
        return as_location(source)
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
    return cache_folder() / "catalogue" / _file_name(identity)


def _file_name(identity: str) -> str:
    # The file name depends on the location only, so a new store at an old location replaces the old entry.
    return f"{hashlib.sha256(identity.encode(errors='surrogateescape')).hexdigest()[:16]}.json"
