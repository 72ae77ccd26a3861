"""Repair: verify a store, mend what can be mended, and compute anew just the units that were damaged."""

from __future__ import annotations

from pathlib import Path

from hsifeat.cache.lock import writing
from hsifeat.cache.place import Place
from hsifeat.cache.store import Store
from hsifeat.cache.verify import Verification, mend
from hsifeat.cache.verify import verify as look
from hsifeat.diffusion.backbone import Backbone
from hsifeat.errors import StoreError
from hsifeat.extraction.extract import run
from hsifeat.extraction.job import prepare
from hsifeat.features import Features
from hsifeat.types import PlaneId
from hsifeat.work.events import Advanced, Finished, Listener, Note, Started, silent


def verify(place: Place, *, listen: Listener = silent) -> Verification:
    """Read all of a store and compare every byte with what was written, see `hsifeat.cache.verify`."""
    started = False

    def progress(done: int, total: int) -> None:
        nonlocal started
        if not started:
            listen(Started("verify", total / 1e6, "MB"))
            started = True
        listen(Advanced("verify", done / 1e6))

    found = look(place, progress)
    if started:
        listen(Finished("verify"))
    return found


def repair(
    place: Place, found: Verification, *, backbone: Backbone | str | Path | None = None, listen: Listener = silent
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
        with writing(place, lambda: listen(Note(f"another process is writing to {place}: waiting for it"))):
            again = mend(Store.open(place, writable=True), found.damages)
        if again:
            listen(Note(f"to compute anew, in part or whole: {', '.join(map(str, again))}"))
            _compute(place, again, backbone, listen)
        before, found = found, verify(place, listen=listen)
        if found.damages == before.damages:
            raise StoreError(f"{place} is as damaged as before: the disk may be failing; extract to another one")
    return found


def _compute(
    place: Place, planes: tuple[PlaneId, ...], backbone: Backbone | str | Path | None, listen: Listener
) -> None:
    store = Store.open(place)
    scene = Features(store).scene
    for t in dict.fromkeys(plane.t for plane in planes):
        layers = [plane.layer for plane in planes if plane.t == t]
        run(prepare(scene, backbone=backbone, like=store, timesteps=[t], layers=layers, out=place), listen=listen)
