"""Run a prepared extraction: lock the store, compute its missing features and write them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hsifeat.cache import catalogue
from hsifeat.errors import StoreError
from hsifeat.extraction.job import Job, RemainingWork
from hsifeat.extraction.new_store import create_store
from hsifeat.extraction.prepare import backbone_options
from hsifeat.extraction.step_task import StepTask, close_computer, load_backbone
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.scenes import Labels
from hsifeat.store.locks import write_lock
from hsifeat.store.store import Store


def run(job: Job, *, executor: Executor | None = None, listen: Listener = silent) -> Store:
    """Run a prepared extraction: compute the missing planes of its store, and add the scene's label maps.

    Only one process can write to a store at a time. A second process waits until the first one ends, and then computes the
    features that are still missing. An interrupted run keeps all completed steps.

    Parameters
    ----------
    job : Job
        Result of `prepare`.
    executor : Executor, optional
        Runs the steps of the extraction, for example in several processes. Each worker opens the backbone, which must be
        set by its name or path. [default: one step after the other in this process]
    listen : callable
        Receives progress events.

    Returns
    -------
    Store
        The store, in which all requested planes are complete. It is open for writing unless its location is read-only.

    Raises
    ------
    StoreError
        If the store has another recipe or batch size. If the disk is too small. If data are missing in a read-only store.
    HsifeatError
        If an executor is used with a backbone object or a companion image.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.random.default_rng(0).random((64, 64, 12), np.float32))
    >>> config = hsifeat.ExtractionConfig(backbone="backbone", timesteps=[0, 50], tile=32, halo=8)
    >>> store = hsifeat.run(hsifeat.prepare(scene, config, out="small.zarr"))
    """
    scene = job.extractor.scene
    for note in (*scene.notes, *scene.validity_notes, *job.extractor.projection.notes):
        listen(Note(note))
    if isinstance(
        executor, InlineExecutor
    ):  # Without an executor, the scene and the backbone need not be opened again.
        executor = None
    if (complete := _complete_store(job)) is not None:
        # Nothing has to be written, so no lock is needed. The store may be in a place where this user cannot write.
        listen(Note(f"all {len(job.planes)} planes exist: nothing to compute"))
        catalogue.add_entry(complete.key, complete.location)
        return complete
    with write_lock(
        job.location, lambda: listen(Note(f"another process is writing to {job.location}: waiting for it"))
    ):
        store = job.find_store(writable=not job.location.read_only)
        work = job.remaining(store)
        if store is None or work.plan.steps:
            work.check_disk()
            listen(Note(work.summary))
            # A read-only location or a backbone that can't be loaded raises an error before the store is changed.
            store = job.find_store(writable=True)
            task = None if executor is None else _check_workers(work, executor)
            if task is None:
                work.extractor.source.to(work.extractor.device)
            store = store or create_store(work)
            catalogue.add_entry(store.key, store.location, completed=0.0)
            try:
                work.extractor.run(work.plan, store, listen, executor, task)
            finally:
                close_computer()
        else:
            listen(Note(f"all {len(job.planes)} planes exist: nothing to compute"))
        # Also for planes that a killed process has completed.
        if not store.location.read_only:
            store.write_record_checksums()
        _add_labels(store, scene.labels)
    catalogue.add_entry(store.key, store.location)
    return store


def _complete_store(job: Job) -> Store | None:
    """Return the store of a job if it has all planes, labels and checksums; None if something has to be written."""
    store = job.find_store(writable=not job.location.read_only)
    if store is None or job.remaining(store).plan.steps or not (store.location.read_only or store.has_record_checksums):
        return None
    labels = job.extractor.scene.labels
    return store if all(_has_labels(store, name, labels[name]) for name in labels) else None


def _check_workers(work: RemainingWork, executor: Executor) -> StepTask:
    """Return the task for the workers of an executor, after testing that a worker can load the backbone."""
    task = StepTask.from_work(work)
    for _ in executor.run(load_backbone, [backbone_options(work.job.config) | {"device": task.device}]):
        pass
    return task


def _add_labels(store: Store, maps: Mapping[str, Labels]) -> None:
    """Write label maps to a store, except those that it already contains."""
    for name, labels in maps.items():
        if not _has_labels(store, name, labels):
            if store.location.read_only:
                raise StoreError(
                    f"{store.location} is read-only and lacks the labels {name!r}: extract to another place with --out"
                )
            store.add_labels(labels.name, labels.classes, _attributes(labels))


def _has_labels(store: Store, name: str, labels: Labels) -> bool:
    if name not in store.labels:
        return False
    try:
        array = store.label_array(name)
        return array.attrs.asdict() == _attributes(labels) and np.array_equal(np.asarray(array[:]), labels.classes)
    except StoreError:  # A damaged label map is written again.
        return False


def _attributes(labels: Labels) -> dict[str, dict[str, str]]:
    return {
        "class_names": {str(c): name for c, name in labels.class_names.items()},
        "class_colours": {str(c): colour for c, colour in labels.class_colours.items()},
    }
