"""Repair: verify a store, mend what can be mended, and compute anew just the units that were damaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import StoreError
from hsifeat.extraction.extract import run
from hsifeat.extraction.job import Job, mismatch
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.runner import Extractor
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, silent
from hsifeat.scenes.open_scene import attach_companion
from hsifeat.store.location import Location
from hsifeat.store.locks import write_lock
from hsifeat.store.restore import planes_to_recompute, restore
from hsifeat.store.store import Store
from hsifeat.store.verify import Damage, Verification, intact_part, recheck
from hsifeat.store.verify import verify as look
from hsifeat.types import PlaneId

BackboneLike = Backbone | str | Path


def verify(location: Location, *, listen: Listener = silent) -> Verification:
    """Read all of a store and compare every byte with what was written, see `hsifeat.store.verify`."""
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            listen(Started("verify", total / 1e6, "MB"))
            started = True
        listen(Advanced("verify", done / 1e6))

    found = look(location, progress)
    if started:
        listen(Finished("verify"))
    return found


def repair(
    location: Location,
    found: Verification,
    *,
    backbone: BackboneLike | None = None,
    companion: str | Path | None = None,
    listen: Listener = silent,
) -> Verification:
    """Mend what `verify` found, and verify again.

    Parameters
    ----------
    place : Place
        The store.
    found : Verification
        Its damages.
    backbone : Backbone, str or Path, optional
        Where the model lies now; by default where it lay when the store was made.
    companion : str or Path, optional
        The companion image, for planes that were made from one: a store does not hold it.
    listen : callable
        Gets the events.

    Returns
    -------
    Verification
        Of the store as it is now.

    Raises
    ------
    HsifeatError
        The scene in the store is damaged, or the backbone is gone or another one by now.
    """
    while found.damages:
        with write_lock(location, lambda: listen(Note(f"another process is writing to {location}: waiting for it"))):
            damages = recheck(location, found.damages)
            store = Store.open(location, writable=True)
            model, lost = None, planes_to_recompute(store, damages)
            if lost:  # Opened before anything is changed, so that nothing is lost for want of it.
                model = _plan(store, damages, lost, backbone, companion)
            planes = {plane.id: plane for plane in model.plan.planes} if model else {}
            hopeless = restore(store, damages, planes)
        if model is not None:
            listen(Note(f"to compute anew, in part or whole: {', '.join(map(str, lost))}"))
            _compute(location, lost, model.extractor, hopeless, listen)
        if hopeless:
            raise StoreError(
                f"{location}: {', '.join(map(str, hopeless[:3]))}: this can't be computed from the rest of the store; "
                "give its extraction again with the same labels where these are damaged, or extract the scene to another "
                "place with --out"
            )
        before, found = found, verify(location, listen=listen)
        if found.damages and found.damages == before.damages:
            raise StoreError(f"{location} is as damaged as before: the disk may be failing; extract to another one")
    return found


def _plan(
    store: Store,
    damages: Sequence[Damage],
    lost: Sequence[PlaneId],
    backbone: BackboneLike | None,
    companion: str | Path | None,
) -> Job:
    """Open the backbone and plan the planes that were lost as if they were nowhere; nothing is written."""
    whole = intact_part(store, damages)
    scene = Features(whole).scene
    if "companion" in store.manifest.recipe:
        if companion is None:
            raise StoreError(
                f"{store.location} was made from a companion image, which a store does not hold: name it with --companion"
            )
        scene = attach_companion(scene, companion)
    with TemporaryDirectory() as nowhere:
        job = prepare(
            scene,
            backbone=backbone,
            like=whole,
            timesteps=sorted({plane.t for plane in lost}),
            layers=list(dict.fromkeys(plane.layer for plane in lost)),
            out=Path(nowhere) / "store",
        )
    if job.recipe.key != store.key:
        raise StoreError(mismatch(store, job.recipe))
    return job


def _compute(
    location: Location, planes: Sequence[PlaneId], model: Extractor, hopeless: Sequence[Damage], listen: Listener
) -> None:
    store = intact_part(Store.open(location), hopeless)
    scene = replace(Features(store).scene, companion=model.scene.companion)
    for t in dict.fromkeys(plane.t for plane in planes):
        layers = [plane.layer for plane in planes if plane.t == t]
        run(
            prepare(scene, backbone=model.backbone, like=store, timesteps=[t], layers=layers, out=location),
            listen=listen,
        )
