"""Verification: every byte of a store against its seals and digests, and the mending of what can be mended without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hsifeat.cache import seals
from hsifeat.cache.place import Place
from hsifeat.cache.store import PlaneSpec, Store, Unit, digest_of, record_key, shard_key
from hsifeat.errors import StoreError
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


def verify(place: Place, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read all of a store and compare it with its seals and with the digests of its units.

    Parameters
    ----------
    place : Place
        Where it lies; a place that can be listed.
    progress : callable, optional
        Called with the bytes that have been looked at, and those there are.

    Raises
    ------
    StoreError
        There is no store, or its manifest or its seals were changed, so that nothing can be compared.
    """
    root = place.get("zarr.json")
    known = seals.read(place, root) if root is not None else {}
    if root is not None and known.get("zarr.json") != seals.seal(root):
        raise StoreError(f"{place}: its manifest (zarr.json) was changed: bring it back from a copy, or extract again")
    store = Store.open(place)
    files = place.files()
    total, looked_at = sum(files.values()), 0
    checked = {seals.FILE}
    damages: list[Damage] = []

    def look(key: str, damage: Damage | None) -> None:
        nonlocal looked_at
        checked.add(key)
        looked_at += files.get(key, 0)
        if damage is not None:
            damages.append(damage)
        if progress is not None:
            progress(looked_at, total)

    for key, wanted in known.items():
        look(key, _sealed_damage(place, key, wanted))
    broken = {damage.plane for damage in damages}
    unfinished = []
    for plane in _readable_planes(store, broken):
        for unit in store.units:
            look(record_key(plane.id, unit), None)
            look(shard_key(plane.id, unit), _unit_damage(store, plane, unit, files))
        if not store.done(plane.id).all():
            unfinished.append(plane)
    extra = [key for key in sorted(files.keys() - checked) if _plane_of(key) is None or _plane_of(key) not in broken]
    damages += [Damage("extra", key) for key in extra]
    return Verification(len(files), total, tuple(damages), tuple(unfinished))


def _sealed_damage(place: Place, key: str, wanted: str) -> Damage | None:
    content = place.get(key)
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


def mend(store: Store, damages: tuple[Damage, ...]) -> tuple[PlaneId, ...]:
    """Mend what needs no model, and take back what does: delete extra files, copy metadata from an equal file, forget units.

    Parameters
    ----------
    store : Store
        Open for writing.
    damages : tuple of Damage
        As `verify` found them.

    Returns
    -------
    tuple of PlaneId
        The planes that an extraction must complete again.

    Raises
    ------
    StoreError
        The scene is damaged: nothing in the store can bring it back.
    """
    hopeless = [d for d in damages if d.plane is None and d.kind != "extra" and not _twin(store, d.key)]
    if hopeless:
        raise StoreError(
            f"{store.place}: {', '.join(map(str, hopeless[:3]))}: this can't be computed from the rest of the store; "
            "extract the scene again to another place with --out"
        )
    again: dict[PlaneId, None] = {}
    for damage in damages:
        if damage.kind == "extra":
            store.place.delete(damage.key)
        elif damage.plane is not None and damage.unit is not None:
            store.forget(damage.plane, damage.unit)
            again[damage.plane] = None
        elif twin := _twin(store, damage.key):
            store.place.put(damage.key, twin)
        elif damage.plane is not None:
            store.drop_plane(damage.plane)
            again[damage.plane] = None
    return tuple(again)


def _twin(store: Store, key: str) -> bytes | None:
    """Return the content that a sealed file should have, if another file of the store has it."""
    wanted = store.seals[key]
    for other, found in store.seals.items():
        if found == wanted and other != key:
            content = store.place.get(other)
            if content is not None and hashlib.sha256(content).hexdigest() == wanted:
                return content
    return None


def _readable_planes(store: Store, broken: set[PlaneId | None]) -> Iterator[PlaneSpec]:
    """Give the planes whose metadata are whole."""
    sound = {key: value for key, value in store.seals.items() if _plane_of(key) not in broken or _plane_of(key) is None}
    yield from Store(store.place, store.group, sound).planes


def _digest(store: Store, plane: PlaneSpec, unit: Unit) -> bytes | None:
    """Return the digest of a unit's values as they are read; None where they can't be."""
    try:
        with store.place.guarded():
            return digest_of(np.asarray(store.plane(plane.id)[unit.window.coarsen(plane.stride).slices]))
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
