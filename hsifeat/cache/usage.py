"""Usage of the cache: the stores of the catalogue with their sizes, planes and states, and the details of one store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hsifeat.cache import catalogue
from hsifeat.cache.catalogue import DAMAGE_ERRORS, CatalogueEntry
from hsifeat.cache.sample_cache import samples_folder
from hsifeat.errors import HsifeatError
from hsifeat.store.location import Location
from hsifeat.store.locks import is_being_written
from hsifeat.store.recipe import flat
from hsifeat.store.store import Store


@dataclass(frozen=True)
class StoreUsage:
    """A store of the catalogue and its contents.

    Attributes
    ----------
    entry : CatalogueEntry
        Key, path, when completed and last used.
    size_bytes : int
        Size of its files, cached samples included.
    planes, unfinished : int
        Number of complete and of unfinished planes.
    state : str
        ``complete``, ``interrupted`` (planes are unfinished), ``being written``, or the damage that was found.
    """

    entry: CatalogueEntry
    size_bytes: int
    planes: int
    unfinished: int
    state: str


def store_bytes(location: Location, key: str) -> int:
    """Return the size of a store's files and of its cached samples, in bytes."""
    samples = samples_folder(key).glob("*") if key else ()
    return sum(location.files().values()) + sum(file.stat().st_size for file in samples)


def list_usage() -> list[StoreUsage]:
    """Return the usage of every store of the catalogue, the last used first."""
    return [_usage(entry) for entry in sorted(catalogue.entries(), key=lambda entry: -entry.used)]


def _usage(entry: CatalogueEntry) -> StoreUsage:
    size = planes = unfinished = 0
    try:
        size = store_bytes(entry.location, entry.key)
        store = Store.open(entry.location)
        planes = sum(store.is_complete(plane.id) for plane in store.planes)
        unfinished = len(store.planes) - planes
        written = is_being_written(entry.location)
        state = "being written" if written else "interrupted" if unfinished else "complete"
    except DAMAGE_ERRORS as error:
        advice = f"damaged ({error}): hsifeat cache verify shows details"
        state = str(error) if isinstance(error, HsifeatError) else advice
    return StoreUsage(entry, size, planes, unfinished, state)


def store_details(location: Location) -> dict[str, Any]:
    """Return the contents of ``hsifeat cache show`` as plain JSON values."""
    store = Store.open(location)
    scene, size = store.manifest.scene, None if location.read_only else store_bytes(location, store.key)
    return {
        "name": location.name,
        "location": str(location),
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
