"""Verification: every byte of a store against its seals and digests, and the mending of what can be mended without a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.store import checksums as seals
from hsifeat.store import timings
from hsifeat.store.keys import record_key, shard_key
from hsifeat.store.layout import PlaneSpec, Unit
from hsifeat.store.location import Location
from hsifeat.store.locks import is_written
from hsifeat.store.store import Store, digest_of
from hsifeat.types import PlaneId


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written.

    Attributes
    ----------
    kind : {"changed", "missing", "extra"}
        What is wrong with it.
    key : str
        Its place in the store.
    plane : PlaneId or None
        The plane that it belongs to.
    unit : Unit or None
        The unit of the plane; None for a plane's metadata.
    """

    kind: Literal["changed", "missing", "extra"]
    key: str
    plane: PlaneId | None = None
    unit: Unit | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}"


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes
    ----------
    files, size_bytes : int
        What the store takes.
    damages : tuple of Damage
        Empty if all is as it was written.
    unfinished : tuple of PlaneSpec
        Planes with units that were never finished: no damage, and not checked there.
    """

    files: int
    size_bytes: int
    damages: tuple[Damage, ...]
    unfinished: tuple[PlaneSpec, ...]


def verify(location: Location, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read all of a store and compare it with its seals and with the digests of its units.

    What seems damaged is looked at twice, since another process may be writing meanwhile.

    Parameters
    ----------
    place : Place
        Where it lies; a place that can be listed.
    progress : callable, optional
        Called with the bytes that have been looked at, and those there are.

    Raises
    ------
    StoreError
        There is no store, or its manifest or its seals were changed together with their copies.
    """
    store, files = Store.open(location), location.files()
    total, looked_at = sum(files.values()), 0
    damages = []
    for key, damage in _look(store, files):
        looked_at += files.get(key, 0)
        if damage is not None:
            damages.append(damage)
        if progress is not None:
            progress(looked_at, total)
    damages += _extra(store, files)
    unfinished = [plane for plane in _readable_planes(store, damages) if not store.done(plane.id).all()]
    return Verification(len(files), total, still(location, damages), tuple(unfinished))


def still(location: Location, damages: Iterable[Damage]) -> tuple[Damage, ...]:
    """Look again at what was damaged; return what is so still."""
    before = tuple(damages)
    if not before:
        return ()
    store, files = Store.open(location), location.files()
    keys = {damage.key for damage in before}
    now = [damage for _, damage in _look(store, files, keys) if damage is not None]
    return tuple(damage for damage in (*now, *_extra(store, files)) if damage in before)


def _look(store: Store, files: dict[str, int], keys: set[str] | None = None) -> Iterator[tuple[str, Damage | None]]:
    """Compare every file of a store, or those of some keys, with what was written; give its key and what is wrong."""
    location, broken = store.location, []
    for key in store.seals:
        # Metadata are looked at in any case: they tell which planes can be read.
        asked = keys is None or key in keys or key.endswith("zarr.json")
        if asked and store.seals[key] and not key.endswith(seals.RECORDS):
            wrong = _sealed_damage(location, key, store.seals[key])
            broken += [wrong] if wrong else []
            yield key, wrong
    for key, damage in _copies(store, files):
        yield key, damage
    if timings.FILE in files:
        whole = timings.decode(location.get(timings.FILE)) is not None
        yield timings.FILE, None if whole else Damage("changed", timings.FILE)
    for plane in _readable_planes(store, broken):
        sealed = store.seals.get(f"progress/{plane.id.path}{seals.RECORDS}")
        whole = sealed is not None and seals.seal(_records(store, plane.id)) == sealed
        for unit in store.units:
            record, shard = record_key(plane.id, unit), shard_key(plane.id, unit)
            if sealed is not None and not whole and record not in files:
                yield record, Damage("missing", record, plane.id, unit)
            elif keys is None or shard in keys or record in keys:
                yield shard, _unit_damage(store, plane, unit, files)


def _records(store: Store, plane: PlaneId) -> bytes:
    """Return all records of a plane; nothing where one of them can't be read."""
    try:
        return store.fingerprint(plane)
    except StoreError:
        raise
    except (ValueError, RuntimeError):
        return b""


def _copies(store: Store, files: dict[str, int]) -> Iterator[tuple[str, Damage | None]]:
    """Compare the seals and both copies with what they should be; a store from before there were seals has none."""
    if seals.FILE not in files and seals.COPY_OF[seals.FILE] not in files:
        return
    location, copy_of_seals, copy_of_root = store.location, seals.COPY_OF[seals.FILE], seals.COPY_OF[seals.ROOT]
    content, copy = location.get(seals.FILE), location.get(copy_of_seals)
    for key, found in ((seals.FILE, content), (copy_of_seals, copy)):
        stale = seals.decode(content) is not None and found != content and not is_written(location)
        wrong = stale or seals.decode(found) is None
        yield key, Damage("missing" if found is None else "changed", key) if wrong else None
    yield copy_of_root, _sealed_damage(location, copy_of_root, store.seals[seals.ROOT])


def _extra(store: Store, files: dict[str, int]) -> list[Damage]:
    """List the files that a store does not hold. In one without seals nobody can tell."""
    if seals.FILE not in files and seals.COPY_OF[seals.FILE] not in files:
        return []
    known = {*store.seals, seals.FILE, *seals.COPY_OF.values(), timings.FILE}
    for key in store.seals:
        if key.startswith("planes/") and (plane := _plane_of(key)) is not None:
            known |= {name(plane, unit) for unit in store.units for name in (record_key, shard_key)}
    return [Damage("extra", key) for key in sorted(files.keys() - known)]


def _sealed_damage(location: Location, key: str, wanted: str) -> Damage | None:
    content = location.get(key)
    if content is None:
        return Damage("missing", key, _plane_of(key))
    return Damage("changed", key, _plane_of(key)) if seals.seal(content) != wanted else None


def _unit_damage(store: Store, plane: PlaneSpec, unit: Unit, files: dict[str, int]) -> Damage | None:
    shard, record = shard_key(plane.id, unit), record_key(plane.id, unit)
    wanted = store.record(plane.id, unit)
    if wanted is None:
        # What an interrupted run left has no record. A record that is there, but not whole, was damaged.
        return Damage("changed", record, plane.id, unit) if record in files else None
    if shard not in files:
        return Damage("missing", shard, plane.id, unit)
    return Damage("changed", shard, plane.id, unit) if _digest(store, plane, unit) != wanted else None


def needs_model(store: Store, damages: Iterable[Damage]) -> tuple[PlaneId, ...]:
    """Return the planes of which something has to be computed anew, or that are needed to write their metadata anew."""
    lost = (d.plane for d in damages if d.plane and d.kind != "extra" and (d.unit or not _twin(store, d.key)))
    return tuple(dict.fromkeys(lost))


def mend(store: Store, damages: Iterable[Damage], planes: Mapping[PlaneId, PlaneSpec]) -> tuple[Damage, ...]:
    """Mend what needs no model, and take back what does: delete extra files, write metadata anew, forget units.

    Parameters
    ----------
    store : Store
        Open for writing.
    damages : iterable of Damage
        As `verify` found them.
    planes : mapping of PlaneId to PlaneSpec
        What the planes of `needs_model` are.

    Returns
    -------
    tuple of Damage
        What nothing can bring back: parts of the scene and label maps.
    """
    location, hopeless = store.location, []
    with location.guarded():
        for damage in damages:
            if damage.kind == "extra" or damage.key == timings.FILE:  # Nothing but seconds is lost with those.
                location.delete(damage.key)
            elif damage.key in {seals.FILE, seals.COPY_OF[seals.FILE]}:
                seals.save(location, store.seals)
            elif damage.plane is not None and damage.unit is not None:
                store.forget(damage.plane, damage.unit)
            elif (twin := _twin(store, damage.key)) is not None:
                location.put(damage.key, twin)
            elif damage.plane is None:
                hopeless.append(damage)
            elif not store.restore_plane(planes[damage.plane]):
                store.drop_plane(damage.plane)
    return tuple(hopeless)


def _twin(store: Store, key: str) -> bytes | None:
    """Return the content that a sealed file should have, if another file of the store has it."""
    copy_of_root = seals.COPY_OF[seals.ROOT]
    wanted = store.seals.get(seals.ROOT if key == copy_of_root else key)
    for other, found in (*store.seals.items(), (copy_of_root, store.seals.get(seals.ROOT))):
        if wanted and found == wanted and other != key:
            content = store.location.get(other)
            if content is not None and seals.seal(content) == wanted:
                return content
    return None


def sound(store: Store, damages: Iterable[Damage]) -> Store:
    """Return the store as if it held only the planes whose metadata are whole, and whole label maps."""
    broken = {damage.plane for damage in damages if damage.plane is not None and damage.unit is None}
    labels = {match[0] for damage in damages if (match := re.match(r"scene/labels/[^/]+/", damage.key))}
    whole = {
        key: value
        for key, value in store.seals.items()
        if _plane_of(key) not in broken and not key.startswith(tuple(labels))
    }
    return Store(store.location, store.group, whole)


def _readable_planes(store: Store, damages: Iterable[Damage]) -> list[PlaneSpec]:
    """List the planes whose metadata are whole."""
    return sound(store, damages).planes


def _digest(store: Store, plane: PlaneSpec, unit: Unit) -> bytes | None:
    """Return the digest of a unit's values as they are read; None where they can't be."""
    try:
        with store.location.guarded():
            return digest_of(np.asarray(store.plane(plane.id)[store.layout.slices(unit, plane.stride)]))
    except StoreError:
        raise
    except (ValueError, RuntimeError):
        return None


def _plane_of(key: str) -> PlaneId | None:
    """Return the plane that a file belongs to, by its name."""
    parts = key.split("/")
    if len(parts) < 4 or parts[0] not in {"planes", "progress"} or not parts[1][1:].isdigit():
        return None
    return PlaneId(int(parts[1][1:]), parts[2])
