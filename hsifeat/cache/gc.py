"""Deletion of stores: a single store, or the least recently used stores of the cache folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from hsifeat.cache import catalogue
from hsifeat.cache.sample_cache import delete_orphans
from hsifeat.cache.usage import StoreUsage, list_usage, store_bytes
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder, delete_leftovers, disk_errors
from hsifeat.store.keys import refuse_foreign_files
from hsifeat.store.location import LocalLocation, Location, as_location
from hsifeat.store.locks import delete_free_locks, delete_free_marks, exclusive_lock
from hsifeat.store.read_cache import samples_folder


def remove_store(location: Location, *others: Location) -> int:
    """Delete a store, its cached samples and its catalogue entry, and return the number of bytes freed.

    Parameters
    ----------
    location : Location
        The store, or a symbolic link to it. A link is deleted with its store.
    *others : Location
        Further locations of the same store. Those that are links are deleted, too.

    Raises
    ------
    StoreError
        If the store does not exist, is in use or is read-only. If `others` has a location of another store. If the folder of the store
        contains files that hsifeat did not write. If a link can't be deleted: the store is then kept.
    """
    if other := next((one for one in others if one.identity != location.identity), None):
        raise StoreError(f"{other} is another store than {location}: delete it separately")
    _check_removable(location)
    links, location = store_links(location, *others), as_location(location.identity)
    entries = catalogue.entries()
    key = next((entry.key for entry in entries if entry.path == location.identity), "")
    if any(entry.key == key and entry.path != location.identity for entry in entries):
        key = ""  # Another store shares the samples.
    with exclusive_lock(location):
        size_bytes = store_bytes(location, key)
        for link in links:
            with disk_errors(link):
                link.unlink(missing_ok=True)
        location.clear()
        if key:
            shutil.rmtree(samples_folder(key), ignore_errors=True)
        catalogue.remove_entry(location)
    return size_bytes


def store_links(*locations: Location) -> list[Path]:
    """Return the paths of those locations that are symbolic links, and of the links to which they refer, without repetitions."""
    links: dict[Path, None] = {}
    for path in [location.path for location in locations if isinstance(location, LocalLocation)]:
        while path.is_symlink() and path not in links:
            links[path] = None
            path = path.parent / path.readlink()  # noqa: PLW2901  # the next link of a chain
    return list(links)


def _check_removable(location: Location) -> None:
    if location.read_only:
        raise StoreError(f"{location} is read-only")
    root = location.get("zarr.json")
    if root is None or b'"hsifeat' not in root:
        catalogue.forget_if_gone(location)
        raise StoreError(f"no store at {location}: nothing was deleted")
    refuse_foreign_files(location, location.files(), "or delete the store by hand")


def delete_remains(folder: Path) -> None:
    """Delete files in `folder` that are no longer needed, such as partly deleted stores and the lock files of deleted stores.

    A process that reads a store marks the store by a file (see `hsifeat.store.locks`). The marks of processes that no
    longer run are deleted, too.
    """
    delete_leftovers(folder)
    delete_free_locks(folder)
    delete_free_marks()


def collect_garbage(
    max_bytes: int, *, dry_run: bool = False, on_remove: Callable[[StoreUsage], None]
) -> tuple[int, list[str]]:
    """Delete the least recently used stores of the cache folder until the remaining stores take at most `max_bytes`.

    Stores outside the cache folder are neither counted nor deleted. Stores in use are not deleted. First, the cached
    samples of stores that no longer exist are deleted (see `hsifeat.cache.sample_cache`).

    Parameters
    ----------
    max_bytes : int
        Maximum total size of the remaining stores, in bytes.
    dry_run : bool
        Delete nothing, but call `on_remove` for the stores that would be deleted.
    on_remove : callable
        Called with the `StoreUsage` of each deleted store.

    Returns
    -------
    tuple of int and list of str
        Total size of the remaining stores in bytes, and an error message for each store that could not be deleted.
    """
    folder = cache_folder().resolve()
    if not dry_run:
        delete_remains(folder)
        delete_orphans({entry.key for entry in catalogue.entries()})
    stores = [usage for usage in list_usage() if Path(usage.entry.path).parent == folder]
    total_bytes, reasons = sum(usage.size_bytes for usage in stores), []
    for usage in reversed(stores):
        if total_bytes <= max_bytes:
            break
        try:
            (_check_removable if dry_run else remove_store)(usage.entry.location)
        except StoreError as error:
            reasons.append(str(error))
        else:
            on_remove(usage)
            total_bytes -= usage.size_bytes
    return total_bytes, reasons
