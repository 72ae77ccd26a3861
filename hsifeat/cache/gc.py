"""Deletion of stores: one by one, or the least recently used ones until the cache is within a size."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from hsifeat.cache import catalogue
from hsifeat.cache.sample_cache import delete_orphans, samples_folder
from hsifeat.cache.usage import StoreUsage, list_usage, store_bytes
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder
from hsifeat.store.keys import is_store_file
from hsifeat.store.location import Location, as_location
from hsifeat.store.locks import delete_remains, exclusive_lock


def remove_store(location: Location) -> int:
    """Delete a store, its cached samples and its entry in the catalogue; return the bytes freed.

    Raises
    ------
    StoreError
        There is no store, it holds files of other origin, it is in use, or the location is read-only.
    """
    if location.read_only:
        raise StoreError(f"{location} is read-only")
    root = location.get("zarr.json")
    if root is None or b'"hsifeat' not in root:
        raise StoreError(f"no store at {location}, so nothing is deleted")
    foreign = [file for file in location.files() if not is_store_file(file)]
    if foreign:
        raise StoreError(
            f"{location} holds {len(foreign)} files that hsifeat did not write, such as {foreign[0]}: move them away, or "
            "delete the store by hand"
        )
    key = next((entry.key for entry in catalogue.entries() if entry.path == location.identity), "")
    with exclusive_lock(location):
        size_bytes = store_bytes(location, key)
        # The store itself, if a link to it was named.
        as_location(location.identity).clear()
        if key and not any(entry.key == key for entry in catalogue.entries()):
            shutil.rmtree(samples_folder(key), ignore_errors=True)
        catalogue.remove_entry(location)
    return size_bytes


def collect_garbage(
    max_bytes: int, *, dry_run: bool = False, on_remove: Callable[[StoreUsage], None]
) -> tuple[int, list[str]]:
    """Delete the least recently used stores of the cache folder until it takes at most `max_bytes`.

    Stores outside the cache folder are neither counted nor deleted, and one in use is never deleted. Cached samples of
    deleted stores go first.

    Parameters
    ----------
    max_bytes : int
        Maximum size of the stores that stay, in bytes.
    dry_run : bool
        Delete nothing.
    on_remove : callable
        Called with each store that is deleted, or would be.

    Returns
    -------
    tuple of int and list of str
        The bytes that are left, and for each store that should have been deleted and was not, the reason.
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
            if not dry_run:
                remove_store(usage.entry.location)
        except StoreError as error:
            reasons.append(str(error))
        else:
            on_remove(usage)
            total_bytes -= usage.size_bytes
    return total_bytes, reasons
