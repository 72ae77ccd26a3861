"""Run a prepared extraction: lock the store, plan what it lacks, compute that through an executor, and write it."""

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
    """Compute the planes that the store of a job lacks, and add the scene's label maps.

    One process at a time writes to a store: another one waits, and then computes what is still missing. What is finished
    when a run is interrupted is kept.

    Parameters
    ----------
    job : Job
        From `prepare`.
    executor : Executor, optional
        Runs the steps of the plan, each of its workers with a backbone of its own, which must be given by name or path; by
        default one after the other in this process.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Store
        With all requested planes complete; open for writing unless its location is read-only.

    Raises
    ------
    StoreError
        The store has another recipe or batch size, or something must be written and the disk is too small or the location
        is read-only.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.random.default_rng(0).random((64, 64, 12), np.float32))
    >>> config = hsifeat.ExtractionConfig(backbone="backbone", timesteps=[0, 50], tile=32, halo=8)
    >>> store = hsifeat.run(hsifeat.prepare(scene, config, out="small.zarr"))
    """
    scene = job.extractor.scene
    for note in scene.notes:
        listen(Note(note))
    if isinstance(executor, InlineExecutor):  # This process has the scene and the backbone open already.
        executor = None
    with write_lock(
        job.location, lambda: listen(Note(f"another process is writing to {job.location}: waiting for it"))
    ):
        store = job.find_store(writable=not job.location.read_only)
        work = job.remaining(store)
        if store is None or work.plan.steps:
            work.check_disk()
            listen(Note(work.summary))
            # What can't be written or loaded must fail before anything is written.
            store = job.find_store(writable=True)
            task = None if executor is None else _check_workers(work, executor)
            if task is None:
                work.extractor.backbone.to(work.extractor.device)
            store = store or create_store(work)
            catalogue.add_entry(store.key, store.location, completed=0.0)
            try:
                work.extractor.run(work.plan, store, listen, executor, task)
            finally:
                close_computer()
            store.write_record_checksums()
        else:
            listen(Note(f"all {len(job.planes)} planes exist: nothing to compute"))
        _add_labels(store, scene.labels)
    catalogue.add_entry(store.key, store.location)
    return store


def _check_workers(work: RemainingWork, executor: Executor) -> StepTask:
    """Return the task of an executor's workers, after one of them has loaded the weights."""
    task = StepTask.from_work(work)
    for _ in executor.run(load_backbone, [backbone_options(work.job.config) | {"device": task.device}]):
        pass
    return task


def _add_labels(store: Store, maps: Mapping[str, Labels]) -> None:
    """Add the label maps that differ from those in the store."""
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
    except StoreError:  # A damaged map is written again.
        return False


def _attributes(labels: Labels) -> dict[str, dict[str, str]]:
    return {
        "class_names": {str(c): name for c, name in labels.class_names.items()},
        "class_colours": {str(c): colour for c, colour in labels.class_colours.items()},
    }
