"""Disk usage and states of the stores in the catalogue, and details of a single store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hsifeat.cache import catalogue
from hsifeat.cache.catalogue import DAMAGE_ERRORS, CatalogueEntry
from hsifeat.errors import HsifeatError
from hsifeat.formatting import format_count
from hsifeat.store.location import Location
from hsifeat.store.locks import is_being_written
from hsifeat.store.read_cache import samples_folder
from hsifeat.store.recipe import flat
from hsifeat.store.store import Store


@dataclass(frozen=True)
class StoreUsage:
    """Size, number of planes and state of a store in the catalogue.

    Attributes
    ----------
    entry : CatalogueEntry
        Entry of the store in the catalogue.
    size_bytes : int
        Total size of the store's files and of its cached samples. Stores with one key share their samples, which count for the
        store used last.
    planes, unfinished : int
        Number of complete planes, and of unfinished planes.
    state : str
        ``complete``, ``interrupted`` (some planes are unfinished), ``being written`` or ``unreadable``.
    problem : str
        Error message of an unreadable store, with advice; empty for other states.
    """

    entry: CatalogueEntry
    size_bytes: int
    planes: int
    unfinished: int
    state: str
    problem: str = ""


def store_bytes(location: Location, key: str) -> int:
    """Return the total size in bytes of a store's files and of its cached samples."""
    samples = samples_folder(key).glob("*") if key else ()
    return sum(location.files().values()) + sum(file.stat().st_size for file in samples)


def list_usage(entries: Iterable[CatalogueEntry] | None = None) -> list[StoreUsage]:
    """Return the usage of stores, starting with the store used last.

    Parameters
    ----------
    entries : iterable of CatalogueEntry, optional
        The stores. [default: all stores in the catalogue]
    """
    listed = sorted(catalogue.entries() if entries is None else entries, key=lambda entry: -entry.used)
    with_samples = {entry.key: entry for entry in reversed(listed)}
    return [_usage(entry, has_samples=with_samples[entry.key] is entry) for entry in listed]


def _usage(entry: CatalogueEntry, *, has_samples: bool) -> StoreUsage:
    size = planes = unfinished = 0
    try:
        size = store_bytes(entry.location, entry.key if has_samples else "")
        store = Store.open(entry.location)
        planes = sum(store.is_complete(plane.id) for plane in store.planes)
        unfinished = len(store.planes) - planes
        written = is_being_written(entry.location)
        state = "being written" if written else "interrupted" if unfinished else "complete"
    except (*DAMAGE_ERRORS, MemoryError) as error:  # sizes in damaged metadata may exceed the memory
        details = f"{entry.path} is damaged ({error}): hsifeat cache verify shows details"
        return StoreUsage(entry, size, 0, 0, "unreadable", str(error) if isinstance(error, HsifeatError) else details)
    return StoreUsage(entry, size, planes, unfinished, state)


def store_details(location: Location) -> dict[str, Any]:
    """Return the details that ``hsifeat cache show`` prints about a store, as plain JSON values."""
    store = Store.open(location)
    scene, size = store.manifest.scene, None if location.read_only else store_bytes(location, store.key)
    return {
        "name": location.name,
        "location": str(location),
        "key": store.key,
        "schema_version": store.manifest.schema_version,
        "scene": f"{scene.name}, {scene.rows} x {scene.cols} pixels, {format_count(scene.bands, 'band')}",
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
