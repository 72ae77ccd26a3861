"""Repair of a damaged store, as far as this is possible without the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hsifeat.store import checksums as checksum_file
from hsifeat.store import timings
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.store.verify import Damage
from hsifeat.types import PlaneId


def planes_to_recompute(store: Store, damages: Iterable[Damage]) -> tuple[PlaneId, ...]:
    """Return the planes that must be computed again, at least in part.

    These planes have a damaged unit, or damaged metadata that can't be restored.
    """
    lost = (
        damage.plane
        for damage in damages
        if damage.plane and damage.kind != "extra" and (damage.unit or not _content_of_copy(store, damage.key))
    )
    return tuple(dict.fromkeys(lost))


def restore(store: Store, damages: Iterable[Damage], planes: Mapping[PlaneId, PlaneSpec]) -> tuple[Damage, ...]:
    """Restore damaged files, and delete the progress records of damaged units.

    Damaged metadata is written again. Files in `damages` that do not belong to the store are deleted. The next extraction
    computes the damaged units, because they have no progress record.

    Parameters
    ----------
    store : Store
        Store to restore, open for writing.
    damages : iterable of Damage
        Damaged files that `verify` reported.
    planes : mapping of PlaneId to PlaneSpec
        Metadata of the planes that `planes_to_recompute` returned.

    Returns
    -------
    tuple of Damage
        Files of the scene or of label maps that can't be restored.
    """
    location, permanent = store.location, []
    checksum_files = {checksum_file.FILE, checksum_file.COPY_OF[checksum_file.FILE]}
    with location.error_context():
        for damage in damages:
            # No other file depends on the timings, so damaged timings are deleted.
            if damage.kind == "extra" or damage.key == timings.FILE:
                location.delete(damage.key)
            elif damage.key in checksum_files:
                store.files.rewrite_checksums()
            elif damage.plane is not None and damage.unit is not None:
                store.progress.revoke(damage.plane, damage.unit)
            elif (content := _content_of_copy(store, damage.key)) is not None:
                location.put(damage.key, content)
            elif damage.plane is None:
                permanent.append(damage)
            elif not store.restore_plane(planes[damage.plane]):
                store.recreate_plane(planes[damage.plane])
    return tuple(permanent)


def _content_of_copy(store: Store, key: str) -> bytes | None:
    """Return the content of an intact copy of the file `key`, or None if there is no copy.

    A copy is another file with the same recorded checksum.
    """
    root_copy = checksum_file.COPY_OF[checksum_file.ROOT]
    root_checksum = store.checksums.get(checksum_file.ROOT)
    expected = root_checksum if key == root_copy else store.checksums.get(key)
    for other, checksum in (*store.checksums.items(), (root_copy, root_checksum)):
        if expected and checksum == expected and other != key:
            content = store.location.get(other)
            if content is not None and checksum_file.checksum(content) == expected:
                return content
    return None
