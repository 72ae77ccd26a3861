"""What the cache holds and what it may take: sizes as they are on disk, and the removal of what was used least lately."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from hsifeat.cache import catalogue
from hsifeat.cache.catalogue import DAMAGE, CatalogueEntry, cache_folder
from hsifeat.cache.sample_cache import clear_orphans, tables_folder
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.store import locks as lock
from hsifeat.store.keys import is_own
from hsifeat.store.location import Location, as_location
from hsifeat.store.recipe import flat
from hsifeat.store.store import Store

_UNITS = {"": 1, "B": 1, **{f"{p}B": 1000 ** (i + 1) for i, p in enumerate("KMGT")}}
_UNITS |= {f"{p}IB": 1024 ** (i + 1) for i, p in enumerate("KMGT")}


@dataclass(frozen=True)
class StoreUsage:
    """A store of the catalogue with what it holds.

    Attributes
    ----------
    entry : CatalogueEntry
        Key, place, when completed and used.
    size_bytes : int
        What its files take.
    planes, unfinished : int
        Complete planes, and begun ones.
    state : str
        ``complete``, ``interrupted`` (planes are unfinished), ``being written``, or what is wrong with it.
    """

    entry: CatalogueEntry
    size_bytes: int
    planes: int
    unfinished: int
    state: str


def parse_size(text: str) -> int:
    """Read a size such as ``200GB`` or ``1.5 TiB``; `StoreError` for anything else.

    >>> parse_size("200GB"), parse_size("1.5 kiB")
    (200000000000, 1536)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise StoreError(f"a size is written like 200GB, 500MB or 1.5TiB; found {text!r}")
    return int(Fraction(match[1]) * _UNITS[match[2].upper()])


def size_of(location: Location, key: str) -> int:
    """Return the bytes that a store takes, with the tables kept of it."""
    tables = tables_folder(key).glob("*") if key else ()
    return sum(location.files().values()) + sum(file.stat().st_size for file in tables)


def holdings() -> list[StoreUsage]:
    """Look at every store of the catalogue, the last used first."""
    found = []
    for entry in sorted(catalogue.entries(), key=lambda entry: -entry.used):
        size = planes = unfinished = 0
        try:
            size = size_of(entry.location, entry.key)
            store = Store.open(entry.location)
            planes = sum(bool(store.done(plane.id).all()) for plane in store.planes)
            unfinished = len(store.planes) - planes
            written = lock.is_written(entry.location)
            state = "being written" if written else "interrupted" if unfinished else "complete"
        except DAMAGE as error:
            state = (
                str(error) if isinstance(error, HsifeatError) else f"damaged ({error}): hsifeat cache verify tells more"
            )
        found.append(StoreUsage(entry, size, planes, unfinished, state))
    return found


def facts_of(location: Location) -> dict[str, Any]:
    """Return what `hsifeat cache show` prints, as plain JSON values."""
    store = Store.open(location)
    scene, size = store.manifest.scene, None if location.read_only else size_of(location, store.key)
    return {
        "name": location.name,
        "place": str(location),
        "key": store.key,
        "schema_version": store.manifest.schema_version,
        "scene": f"{scene.name}, {scene.rows} x {scene.cols} pixels, {scene.bands} bands",
        "labels": ", ".join(store.labels),
        "planes_over": store.layout.describe(),
        "size_MB": None if size is None else round(size / 1e6, 3),
        "batch": store.manifest.batch,
        **{name: value for name, value in store.manifest.provenance.items() if value},
        "planes": [
            {
                "plane": str(plane.id),
                "stride": plane.stride,
                "channels": plane.channels,
                "dtype": plane.dtype,
                "units": f"{int(store.done(plane.id).sum())} of {len(store.units)}",
            }
            for plane in store.planes
        ],
        "timings": [asdict(timing) for timing in store.timings],
        "recipe": flat(store.manifest.recipe),
    }


def remove(location: Location) -> int:
    """Delete a store and the tables kept of it; return the bytes that this freed.

    Raises
    ------
    StoreError
        There is no store, or it is in use.
    """
    if location.read_only:
        raise StoreError(f"{location} can only be read")
    root = location.get("zarr.json")
    if root is None or b'"hsifeat' not in root:
        raise StoreError(f"no store at {location}, so nothing is deleted")
    foreign = [file for file in location.files() if not is_own(file)]
    if foreign:
        raise StoreError(
            f"{location} holds {len(foreign)} files that are none of a store's, such as {foreign[0]}: move them away, or delete "
            "the store by hand"
        )
    key = next((entry.key for entry in catalogue.entries() if entry.path == location.identity), "")
    with lock.alone(location):
        size = size_of(location, key)
        # Where it really lies, if it was named by a link.
        as_location(location.identity).clear()
        if key and not any(entry.key == key for entry in catalogue.entries()):
            shutil.rmtree(tables_folder(key), ignore_errors=True)
        catalogue.forget(location)
    return size


def collect(max_bytes: int, *, dry_run: bool = False, removed: Callable[[StoreUsage], None]) -> tuple[int, list[str]]:
    """Delete the least recently used stores of the cache folder until it takes at most `max_bytes`.

    Stores at places that somebody chose are neither counted nor deleted, and one in use never is. Tables kept of stores that
    are no more go first.

    Parameters
    ----------
    max_bytes : int
        What may stay.
    dry_run : bool
        Only say what would go.
    removed : callable
        Called with each store that goes.

    Returns
    -------
    tuple of int and list of str
        The bytes that are left, and why stores that were due had to stay.
    """
    folder = cache_folder().resolve()
    if not dry_run:
        lock.sweep(folder)
        clear_orphans({entry.key for entry in catalogue.entries()})
    here = [holding for holding in holdings() if Path(holding.entry.path).parent == folder]
    total, stayed = sum(holding.size_bytes for holding in here), []
    for holding in reversed(here):
        if total <= max_bytes:
            break
        try:
            if not dry_run:
                remove(holding.entry.location)
        except StoreError as error:
            stayed.append(str(error))
        else:
            removed(holding)
            total -= holding.size_bytes
    return total, stayed
