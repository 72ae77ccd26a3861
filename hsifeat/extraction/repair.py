"""Verify the data of a store, restore its damaged files, and recompute its damaged features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError, StoreError, raise_resource_error
from hsifeat.extraction.job import Job, check_recipe
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.resolve import resolve_config
from hsifeat.extraction.run import run
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, silent
from hsifeat.scenes.open_scene import attach_companion
from hsifeat.store import verify as checks
from hsifeat.store.keys import refuse_foreign_files
from hsifeat.store.location import Location
from hsifeat.store.locks import write_lock
from hsifeat.store.restore import planes_to_recompute, restore
from hsifeat.store.store import Store
from hsifeat.store.verify import Damage, Verification
from hsifeat.types import PlaneId


def verify(location: Location, *, listen: Listener = silent) -> Verification:
    """Check all data of a store against the store's checksums; see `hsifeat.store.verify`.

    Parameters
    ----------
    location : Location
        Location of the store.
    listen : callable
        Receives progress events.

    Returns
    -------
    Verification
        The damaged files and arrays of the store.

    Raises
    ------
    StoreError
        If no file is damaged, but the store can't be read. If no file is damaged, but the scene in the store is not the
        scene from which the planes were computed.
    """
    started = False

    def progress(done_bytes: int, total_bytes: int) -> None:
        nonlocal started
        if not started:
            listen(Started("verify", total_bytes / 1e6, "MB"))
            started = True
        listen(Advanced("verify", done_bytes / 1e6))

    verification = checks.verify(location, progress)
    if started:
        listen(Finished("verify"))
    if not verification.damages:
        _check_contents(location)
    return verification


def _check_contents(location: Location) -> None:
    """Raise `StoreError` if readers refuse the contents of a store, or if its scene is not the scene of its recipe."""
    try:
        store = Store.open(location)
        store.scene_array("cube")
        digest = Features(store).scene.digest
    except (HsifeatError, ValueError, RuntimeError) as error:
        raise_resource_error(error)
        raise StoreError(f"{location}: all files have their checksums, but the store can't be used: {error}") from error
    if digest != store.manifest.recipe.get("scene"):
        raise StoreError(
            f"{location}: all files have their checksums, but the scene in the store is not the one that the planes were computed "
            "from: extract the scene to another store with `out`"
        )


def repair(
    location: Location,
    verification: Verification,
    *,
    backbone: Backbone | str | Path | None = None,
    companion: str | Path | None = None,
    listen: Listener = silent,
) -> Verification:
    """Repair the damaged files of a store, and verify the store again.

    Damaged metadata files are written again, and shards that do not belong to the store are deleted. The backbone
    recomputes damaged features, and computes the missing features of unfinished planes. If a repair is interrupted,
    repeat it to complete the planes.

    Parameters
    ----------
    location : Location
        Location of the store.
    verification : Verification
        Result of `verify`.
    backbone : Backbone, str or Path, optional
        The backbone that computed the features. [default: the path or name that the store records]
    companion : str or Path, optional
        The companion image of the scene, which a store does not contain. Required to recompute features of a companion
        image.
    listen : callable
        Receives progress events.

    Returns
    -------
    Verification
        Result of verifying the repaired store.

    Raises
    ------
    HsifeatError
        If the store contains files that hsifeat did not write. If a damaged file of the scene or of a label map can't be
        restored. If the backbone can't be opened or has changed.
        If the store is still damaged after the repair.
    """
    extra = [damage.key for damage in verification.damages if damage.kind == "extra"]
    refuse_foreign_files(location, extra, "and repair the store then")
    while verification.damages or verification.unfinished:
        with write_lock(location, lambda: listen(Note(f"another process is writing to {location}: waiting for it"))):
            damages = checks.recheck(location, verification.damages, is_locked=True)
            store = Store.open(location, writable=True)
            unfinished = (
                tuple(plane.id for plane in store.planes if not store.done(plane.id).all()) if not damages else ()
            )
            damaged_planes = planes_to_recompute(store, damages) or unfinished
            if damaged_planes and (scene_damages := tuple(filter(_is_of_scene, damages))):
                # Planes are computed from the scene, so the scene is restored first. The next iteration computes the planes.
                damages, damaged_planes = scene_damages, ()
            # If the backbone can't be opened, an error is raised before the store is changed.
            job = _prepare(store, damages, damaged_planes, backbone, companion) if damaged_planes else None
            planes = {plane.id: plane for plane in job.planes} if job else {}
            irreparable = restore(store, damages, planes)
        if job is not None:
            listen(
                Note(
                    f"recomputing the {'missing' if unfinished else 'damaged'} parts of {', '.join(map(str, damaged_planes))}"
                )
            )
            run(replace(job, planes=tuple(planes[plane] for plane in damaged_planes)), listen=listen)
        if irreparable:
            raise StoreError(
                f"{location}: {', '.join(map(str, irreparable[:3]))}: these can't be restored from the other data of the "
                "store. If label maps are damaged, repeat the extraction with the same `labels`; otherwise extract the scene to "
                "another store with `out`"
            )
        previous, verification = verification, verify(location, listen=listen)
        if verification.damages and verification == previous:
            raise StoreError(
                f"{location} has the same damages after the repair: the disk may be failing; extract to another disk"
            )
    if not Store.open(location).has_record_checksums:  # A repair or an extraction was killed just before its end.
        with write_lock(location, lambda: listen(Note(f"another process is writing to {location}: waiting for it"))):
            Store.open(location, writable=True).write_record_checksums()
    return verification


def _is_of_scene(damage: Damage) -> bool:
    """Return whether a damaged file belongs to the scene of a store, but not to a label map."""
    return damage.key.startswith(("scene/", "pixels/")) and not damage.key.startswith("scene/labels/")


def _prepare(
    store: Store,
    damages: Sequence[Damage],
    damaged_planes: Sequence[PlaneId],
    backbone: Backbone | str | Path | None,
    companion: str | Path | None,
) -> Job:
    """Prepare an extraction of the damaged planes (one layer at one timestep each) from the scene in the store."""
    undamaged = checks.intact_part(store, damages)
    scene = Features(undamaged).scene
    if "companion" in store.manifest.recipe:
        if companion is None:
            raise StoreError(
                f"{store.location} was made from a companion image, which a store does not hold: name it with `companion=FILE`"
            )
        scene = attach_companion(scene, companion)
    options = {
        "backbone": backbone,
        "timesteps": sorted({plane.t for plane in damaged_planes}),
        "layers": list(dict.fromkeys(plane.layer for plane in damaged_planes)),
    }
    job = prepare(scene, resolve_config(options, like=undamaged), out=store.location)
    check_recipe(store, job.recipe, advice="name the backbone and the companion image that the store was made with")
    return job
