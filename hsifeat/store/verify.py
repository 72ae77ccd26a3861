"""Verification of a store. Every file is compared with its checksum, and the values of every unit with their sha256.

`hsifeat.store.restore` restores damaged files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.store import checksums as checksum_file
from hsifeat.store import timings, write_token
from hsifeat.store.keys import is_records_key, plane_of, record_key, records_key, shard_key
from hsifeat.store.location import Location
from hsifeat.store.locks import is_being_written
from hsifeat.store.plane_layout import PlaneSpec, Unit, inner_chunks
from hsifeat.store.progress import digest_of
from hsifeat.store.shard_tags import shard_tags
from hsifeat.store.store import Store
from hsifeat.types import PlaneId


@dataclass(frozen=True)
class Damage:
    """A damaged file of a store.

    Attributes
    ----------
    kind : {"changed", "missing", "extra"}
        Whether the file was changed, is missing, or does not belong to the store.
    key : str
        Path of the file in the store.
    plane : PlaneId or None
        Plane to which the file belongs; None if it belongs to no plane.
    unit : Unit or None
        Unit to which the file belongs; None if it belongs to no unit.
    """

    kind: Literal["changed", "missing", "extra"]
    key: str
    plane: PlaneId | None = None
    unit: Unit | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}"


@dataclass(frozen=True)
class Verification:
    """Result of `verify`.

    Attributes
    ----------
    files, size_bytes : int
        Number of files of the store, and their total size in bytes.
    damages : tuple of Damage
        Damaged files; empty if the store is intact.
    unfinished : tuple of PlaneSpec
        Planes with missing units. A unit that is not computed yet does not count as damage.
    """

    files: int
    size_bytes: int
    damages: tuple[Damage, ...]
    unfinished: tuple[PlaneSpec, ...]


def verify(location: Location, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read all files of a store, and compare them with their checksums and digests.

    Damaged files are checked a second time, because another process may have been writing them at the first check.

    Parameters
    ----------
    location : Location
        Location of the store. It must not be a web address.
    progress : callable, optional
        Function that is called with the number of bytes checked so far and the total number of bytes.

    Returns
    -------
    Verification
        Number and size of the files, and the damaged files.

    Raises
    ------
    StoreError
        If the location has no store. If ``checksums.json`` or the manifest is damaged and has no intact copy.
    """
    store, files = Store.open(location), location.files()
    total_bytes, checked_bytes = sum(files.values()), 0
    damages = []
    for key, damage in _check_files(store, files):
        checked_bytes += files.get(key, 0)
        if damage is not None:
            damages.append(damage)
        if progress is not None:
            progress(checked_bytes, total_bytes)
    damages += _extra_files(store, files)
    unfinished = [plane for plane in _readable_planes(store, damages) if not store.done(plane.id).all()]
    return Verification(len(files), total_bytes, recheck(location, damages), tuple(unfinished))


def recheck(location: Location, damages: Iterable[Damage], *, is_locked: bool = False) -> tuple[Damage, ...]:
    """Check the files in `damages` again, and return those that are still damaged.

    Parameters
    ----------
    location : Location
        Location of the store.
    damages : iterable of Damage
        Files that were damaged at an earlier check.
    is_locked : bool
        Whether the caller holds the write lock of the store. If False, another process may write to the store. While
        another process writes, a difference between ``checksums.json`` and its copy is not reported.
    """
    before = tuple(damages)
    if not before:
        return ()
    store, files = Store.open(location), location.files()
    keys = {damage.key for damage in before}
    now = [damage for _, damage in _check_files(store, files, keys, is_locked=is_locked) if damage is not None]
    return tuple(damage for damage in (*now, *_extra_files(store, files)) if damage in before)


def intact_part(store: Store, damages: Iterable[Damage]) -> Store:
    """Return a view of a store without the planes and label maps whose metadata is damaged."""
    broken = {damage.plane for damage in damages if damage.plane is not None and damage.unit is None}
    labels = {match[0] for damage in damages if (match := re.match(r"scene/labels/[^/]+/", damage.key))}
    intact = {
        key: value
        for key, value in store.checksums.items()
        if plane_of(key) not in broken and not key.startswith(tuple(labels))
    }
    return Store(store.files.with_checksums(intact))


def _check_files(
    store: Store, files: dict[str, int], keys: set[str] | None = None, *, is_locked: bool = False
) -> Iterator[tuple[str, Damage | None]]:
    """Check the files of a store. Yield the key of each checked file, and its damage, or None for an intact file.

    `files` maps the key of each file to its size in bytes. If `keys` is None, all files are checked. Otherwise only the
    files in `keys` and the metadata are checked. `is_locked` states that this process holds the write lock.
    """
    location, broken = store.location, []
    for key in store.checksums:
        # Metadata are always checked, because they determine which planes can be read.
        selected = keys is None or key in keys or key.endswith("zarr.json")
        if selected and not is_records_key(key):
            damage = _file_damage(location, key, store.checksums[key])
            broken += [damage] if damage else []
            yield key, damage
    yield from _check_copies(store, is_locked=is_locked)
    if timings.FILE in files:
        intact = timings.decode(location.get(timings.FILE)) is not None
        yield timings.FILE, None if intact else Damage("changed", timings.FILE)
    for plane in _readable_planes(store, broken):
        expected = store.checksums.get(records_key(plane.id))
        intact = expected is not None and checksum_file.checksum(_records(store, plane.id)) == expected
        for unit in store.units:
            record, shard = record_key(plane.id, unit), shard_key(plane.id, unit)
            if expected is not None and not intact and record not in files:
                yield record, Damage("missing", record, plane.id, unit)
            elif keys is None or shard in keys or record in keys:
                yield shard, _unit_damage(store, plane, unit, files)


def _records(store: Store, plane: PlaneId) -> bytes:
    """Return the progress records of a plane, or empty bytes if a record can't be read."""
    try:
        return store.progress.records(plane).tobytes()
    except StoreError:
        raise
    except (ValueError, RuntimeError):
        return b""


def _check_copies(store: Store, *, is_locked: bool) -> Iterator[tuple[str, Damage | None]]:
    """Check ``checksums.json``, its copy and the copy of the manifest.

    Yields the key of each of these three files, and its damage, or None for an intact file.
    """
    location = store.location
    file, copy = checksum_file.FILE, checksum_file.COPY_OF[checksum_file.FILE]
    original = location.get(file)
    for key, content in ((file, original), (copy, location.get(copy))):
        is_stale = checksum_file.decode(original) is not None and content != original
        if (is_stale and (is_locked or not is_being_written(location))) or checksum_file.decode(content) is None:
            yield key, Damage("missing" if content is None else "changed", key)
        else:
            yield key, None
    root_copy = checksum_file.COPY_OF[checksum_file.ROOT]
    yield root_copy, _file_damage(location, root_copy, store.checksums[checksum_file.ROOT])


def _extra_files(store: Store, files: dict[str, int]) -> list[Damage]:
    """List the files that do not belong to the store."""
    known = {*store.checksums, checksum_file.FILE, *checksum_file.COPY_OF.values(), timings.FILE, write_token.FILE}
    for key in store.checksums:
        if key.startswith("planes/") and (plane := plane_of(key)) is not None:
            known |= {name(plane, unit) for unit in store.units for name in (record_key, shard_key)}
    return [Damage("extra", key) for key in sorted(files.keys() - known)]


def _file_damage(location: Location, key: str, expected: str) -> Damage | None:
    content = location.get(key)
    if content is None:
        return Damage("missing", key, plane_of(key))
    return Damage("changed", key, plane_of(key)) if checksum_file.checksum(content) != expected else None


def _unit_damage(store: Store, plane: PlaneSpec, unit: Unit, files: dict[str, int]) -> Damage | None:
    shard, record = shard_key(plane.id, unit), record_key(plane.id, unit)
    expected = store.progress.digest(plane.id, unit)
    if expected is None:
        # A unit without a record is not computed yet. A record that exists but is incomplete is damaged.
        return Damage("changed", record, plane.id, unit) if record in files else None
    if shard not in files:
        return Damage("missing", shard, plane.id, unit)
    content = store.location.get(shard) or b""
    tags = shard_tags(content, inner_chunks(store.layout, plane))
    intact = tags is not None and tags == store.progress.tags(plane.id, unit)
    return (
        None if intact and _stored_digest(store, plane, unit) == expected else Damage("changed", shard, plane.id, unit)
    )


def _readable_planes(store: Store, damages: Iterable[Damage]) -> list[PlaneSpec]:
    return intact_part(store, damages).planes


def _stored_digest(store: Store, plane: PlaneSpec, unit: Unit) -> bytes | None:
    """Return the sha256 of the stored values of a unit, or None if the values can't be read."""
    try:
        with store.location.error_context():
            return digest_of(np.asarray(store.plane(plane.id)[store.layout.slices(unit, plane.stride)]))
    except StoreError:
        raise
    except (ValueError, RuntimeError):
        return None
