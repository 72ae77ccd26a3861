"""Restoration of damaged files of a store, as far as it takes no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hsifeat.store import checksums as checksum_file
from hsifeat.store import timings
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.store.verify import Damage
from hsifeat.types import PlaneId


def planes_to_recompute(store: Store, damages: Iterable[Damage]) -> tuple[PlaneId, ...]:
    """Return the planes that need a model: units must be computed again, or metadata are lost without a copy."""
    lost = (
        damage.plane
        for damage in damages
        if damage.plane and damage.kind != "extra" and (damage.unit or not _content_of_copy(store, damage.key))
    )
    return tuple(dict.fromkeys(lost))


def restore(store: Store, damages: Iterable[Damage], planes: Mapping[PlaneId, PlaneSpec]) -> tuple[Damage, ...]:
    """Restore what needs no model and revoke what does.

    Extra files are deleted, metadata are written again, and damaged units lose their progress record, so that the next
    extraction computes them.

    Parameters
    ----------
    store : Store
        Open for writing.
    damages : iterable of Damage
        As `verify` returns them.
    planes : mapping of PlaneId to PlaneSpec
        Metadata of the planes that `planes_to_recompute` returns.

    Returns
    -------
    tuple of Damage
        Damages that cannot be restored at all: parts of the scene and of label maps.
    """
    location, permanent = store.location, []
    checksum_files = {checksum_file.FILE, checksum_file.COPY_OF[checksum_file.FILE]}
    with location.error_context():
        for damage in damages:
            # Damaged timings are deleted: nothing else depends on them.
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
                store.drop_plane(damage.plane)
    return tuple(permanent)


def _content_of_copy(store: Store, key: str) -> bytes | None:
    """Return the content that a file should have if another file of the store has the same; else None."""
    root_copy = checksum_file.COPY_OF[checksum_file.ROOT]
    root_checksum = store.checksums.get(checksum_file.ROOT)
    expected = root_checksum if key == root_copy else store.checksums.get(key)
    for other, checksum in (*store.checksums.items(), (root_copy, root_checksum)):
        if expected and checksum == expected and other != key:
            content = store.location.get(other)
            if content is not None and checksum_file.checksum(content) == expected:
                return content
    return None
