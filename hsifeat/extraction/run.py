"""Run a prepared extraction: lock the store, compute its missing features and write them."""

from __future__ import annotations

from hsifeat.errors import HsifeatError
from hsifeat.extraction.job import Job
from hsifeat.extraction.store_run import StoreRun
from hsifeat.extraction.unit_task import compute_unit
from hsifeat.files import resumable
from hsifeat.formatting import format_value
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.executor_plugins import check_executor, open_executor
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.worker import release_worker
from hsifeat.store.store import Store


def run(job: Job, *, executor: Executor | str | None = None, replace: bool = True, listen: Listener = silent) -> Store:
    """Run a prepared extraction: compute the missing planes of its store, and add the scene's label maps.

    Only one process can write to a store at a time. A second process waits until the first process ends, and then computes
    the missing features. An interrupted run keeps all completed steps.

    Parameters
    ----------
    job : Job
        Result of `prepare`.
    executor : Executor or str, optional
        Runs the units (blocks) of the scene, for example in several processes or on a cluster; see `extract`. Each
        worker opens the backbone by its name or path, and writes to the store. [default: this process computes the
        units]
    replace : bool
        Whether label maps and metadata of an existing store are replaced if the scene has others. If False, the run raises an
        error instead, before it changes the store.
    listen : callable
        Receives progress events.

    Returns
    -------
    Store
        The store, in which all requested planes are complete. At a writable location, the store is open for writing.

    Raises
    ------
    StoreError
        If the store and the job differ in recipe or batch size. If the disk has too little free space. If a read-only
        store lacks requested planes or label maps.
    ReplacementError
        If the store has other label maps or metadata than the scene, and `replace` is False.
    HsifeatError
        If an executor is used, but the backbone is an object or the model input is a companion image. A worker can open
        neither.

    Examples
    --------
    >>> import numpy as np
    >>> import hsifeat
    >>> scene = hsifeat.Scene("small", np.random.default_rng(0).random((64, 64, 12), np.float32))
    >>> config = hsifeat.ExtractionConfig(backbone="backbone", timesteps=[0, 50], tile=32, halo=8)
    >>> store = hsifeat.run(hsifeat.prepare(scene, config, out="small.zarr"))
    """
    check_executor(executor, listen)
    if not isinstance(job, Job):
        raise HsifeatError(f"run takes what hsifeat.prepare returns; found {format_value(job)}")
    show_scene_notes(job, listen)
    with resumable(), open_executor(executor, listen) as opened:
        # Tasks of an inline executor would open the scene and the backbone again.
        pool = None if isinstance(opened, InlineExecutor) else opened
        with StoreRun(job, listen, executor=pool, replace=replace) as store_run:
            if pool is None:
                store_run.compute_here()
            else:
                try:
                    for task, result in pool.run(compute_unit, store_run.tasks(pool.workers)):
                        store_run.add(task, result)
                finally:
                    release_worker()  # An executor may run tasks in this process.
            return store_run.finish()


def show_scene_notes(job: Job, listen: Listener) -> None:
    """Send the notes on the scene and the projection of an extraction to `listen`."""
    scene, projection = job.extractor.scene, job.extractor.projection
    for note in (
        *scene.notes,
        *scene.validity_notes,
        *scene.label_notes,
        *(() if projection is None else projection.notes),
    ):
        listen(Note(note))
