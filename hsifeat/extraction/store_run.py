"""Run an extraction on one store: lock the store, create its planes, distribute its units, and complete the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Self

import numpy as np

from hsifeat.backbones.exclusive import exclusive_use
from hsifeat.backbones.recall import keep_description
from hsifeat.cache import catalogue
from hsifeat.errors import StoreError
from hsifeat.extraction.job import Job, RemainingWork
from hsifeat.extraction.new_store import create_store, names_of_updates, updated_facts
from hsifeat.extraction.unit_task import BackboneBuilder, StoreBuilder, UnitResult, UnitTask, check_store, load_backbone
from hsifeat.formatting import format_count
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started
from hsifeat.runtime.executor import Executor
from hsifeat.scenes import Labels
from hsifeat.store.location import LocalLocation, check_new_store
from hsifeat.store.locks import write_lock
from hsifeat.store.store import Store
from hsifeat.store.write_token import wait_for_expiry, write_token


class StoreInUseError(StoreError):
    """Raised when another process writes to the store, and the run does not wait for the end of that process."""


class ReplacementError(StoreError):
    """Raised when a run would replace contents of a store, but `replace` is False.

    Attributes
    ----------
    contents : list of str
        What would be replaced; see `replaced_contents`.
    """

    def __init__(self, store: Store, contents: list[str]) -> None:
        super().__init__(f"{store.location} has other contents than the scene: {', '.join(contents)}")
        self.contents = contents


class StoreRun:
    """Run of an extraction on one store. The run holds the write lock of the store between `open` and `close`.

    If the store is already complete, nothing is locked, and nothing is written to the store.

    Parameters
    ----------
    job : Job
        The extraction.
    listen : callable
        Receives progress events.
    name : str
        Name of the task in progress events.
    executor : Executor, optional
        Runs the units (blocks) of the scene. [default: this process computes the units]
    check : bool
        Whether to check that each worker can open the backbone and the store.
    wait : bool
        Whether to wait while another process writes to the store. If False, `open` raises `StoreInUseError` instead.
    replace : bool
        Whether label maps and metadata in the store may be replaced. If False, `open` raises `ReplacementError` instead.
    """

    def __init__(
        self,
        job: Job,
        listen: Listener,
        *,
        name: str = "extract",
        executor: Executor | None = None,
        check: bool = True,
        wait: bool = True,
        replace: bool = True,
    ) -> None:
        self.job, self.name = job, name
        self._listen, self._executor, self._check, self._wait, self._replace = listen, executor, check, wait, replace
        self._stack = ExitStack()
        self._store: Store | None = None
        self._work: RemainingWork | None = None
        self._builder: StoreBuilder | None = None
        self._progress = 0
        self.was_complete = False
        """Whether the store was complete before the run."""
        self.units: dict[tuple[int, int], dict[int, int]] = {}
        """Number of forward passes of each missing unit and timestep, by index of the unit. Completed timesteps are removed."""

    def open(self) -> Self:
        """Lock the store and create its planes.

        Raises
        ------
        HsifeatError
            If the store can't be written, or if a worker can't open the store or the backbone. If the values of the scene have
            changed since the extraction was prepared.
        StoreInUseError
            If another process writes to the store, and `wait` is False.
        ReplacementError
            If the store has other label maps or metadata than the scene, and `replace` is False.
        """
        with ExitStack() as stack:
            self._begin(stack)
            keep_description(self.job.extractor.source)
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        """Release the write lock and the write token of the store. Without the token, workers can't write to the store."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def compute_here(self) -> None:
        """Compute all missing features in this process."""
        if self._work is not None and self._store is not None:
            self._work.extractor.run(self._work.plan, self._store, self._listen, task=self.name)

    def tasks(self, workers: int = 1) -> Iterator[UnitTask]:
        """Yield a task for each unit that lacks features.

        If there are fewer units than `workers`, each timestep of a unit is a separate task. With noise by DDIM
        inversion, the timesteps of a unit share forward passes, so each unit is always one task.
        """
        if self._work is None or self._builder is None:
            return
        plan = self._work.plan
        self._progress = plan.total_passes - plan.passes
        self._listen(Started(self.name, plan.total_passes, "tiles", self._progress))
        independent = all(step.passes == self._work.extractor.passes(step.t, None) for step in plan.steps)
        separate = independent and len(self.units) < workers
        for unit, steps in list(self.units.items()):
            for timesteps in [(t,) for t in steps] if separate else [tuple(steps)]:
                yield UnitTask(self._builder, unit, timesteps)

    def owns(self, task: UnitTask) -> bool:
        """Return whether a task belongs to this run."""
        return task.store == self._builder

    def add(self, task: UnitTask, result: UnitResult) -> None:
        """Record the result of a task."""
        if self._store is not None:
            self._store.add_timings(result.timings)
        steps = self.units[task.unit]
        self._progress += sum(steps.pop(t) for t in task.timesteps)
        if not steps:
            del self.units[task.unit]
        self._listen(Advanced(self.name, self._progress, f"unit {task.unit[0]}, {task.unit[1]}"))

    def finish(self) -> Store:
        """Write checksums and label maps, and return the store.

        Raises
        ------
        StoreError
            If the run was not opened. If features are still missing after all tasks of the workers have ended.
        """
        store = self._store
        if store is None:
            raise StoreError(f"the extraction to {self.job.location} has not begun")
        if self.job.extractor.scene.georeference is None and store.manifest.scene.transform is not None:
            self._listen(
                Note(f"{store.location}: keeps its georeference, although the scene has none: its maps have this one")
            )
        if self.was_complete:
            return store
        if self._builder is not None:
            missing = sum(int((~store.done(plane.id)).sum()) for plane in self.job.planes)
            if missing:
                raise StoreError(
                    f"{store.location} still lacks {format_count(missing, 'block')} of features: run the command again"
                )
            self._listen(Finished(self.name))
        # Planes that a killed process completed may lack checksums as well.
        if not store.location.read_only:
            store.write_record_checksums()
        self._update_facts(store)
        self._add_labels(store)
        self._add_to_catalogue(store)
        return store

    def _update_facts(self, store: Store) -> None:
        """Replace metadata of the scene that were corrected since the store was created."""
        stored = store.manifest.scene
        facts = updated_facts(stored, self.job.extractor.scene)
        changed = names_of_updates(stored, self.job.extractor.scene)
        if not changed:
            return
        words = " and ".join(changed)
        if store.location.read_only:
            raise StoreError(
                f"{store.location} is read-only, and the scene has other {words} than its copy there: extract to another place "
                "with `out`"
            )
        store.replace_facts(facts)
        self._listen(Note(f"{store.location}: updated from the scene: {words}"))
        kept = [name for name in store.labels if name not in self.job.extractor.scene.labels]
        if kept and stored.transform is not None and "georeference" in changed:
            self._listen(
                Note(
                    f"{store.location}: its label maps ({', '.join(kept)}) stay at the same pixels: attach them again with `labels` if "
                    "the former georeference placed them"
                )
            )

    def _add_labels(self, store: Store) -> None:
        """Write the label maps that the store lacks. A note names each map that replaces another one."""
        for name, labels in self.job.extractor.scene.labels.items():
            if _has_labels(store, name, labels):
                continue
            if store.location.read_only:
                raise StoreError(
                    f"{store.location} is read-only and lacks the labels {name!r}: extract to another place with `out`"
                )
            if name in store.labels:
                self._listen(
                    Note(f"{store.location}: the label map {name!r} replaces the map of this name in the store")
                )
            store.add_labels(labels.name, labels.classes, _attributes(labels))

    def _add_to_catalogue(self, store: Store, completed: float | None = None) -> None:
        """Add the store to the catalogue. If the cache folder can't be written, send a note: the store itself is complete."""
        try:
            catalogue.add_entry(store.key, store.location, completed=completed)
        except StoreError as error:
            if completed is None:
                self._listen(Note(f"the list of stores can't be updated, so name the store by its path: {error}"))

    def _begin(self, stack: ExitStack) -> None:
        job, listen = self.job, self._listen
        job.extractor.scene.check_label_maps()
        if (complete := complete_store(job)) is not None:
            # Nothing is written, so no lock is needed. The user may lack the right to write to the store.
            job.extractor.scene.check_unchanged()
            listen(_nothing_to_do(job))
            self._add_to_catalogue(complete)
            self._store, self.was_complete = complete, True
            return
        check_new_store(job.location)
        stack.enter_context(write_lock(job.location, self._begin_to_wait))
        # An object store has no lock that other machines see.
        shared = not isinstance(job.location, LocalLocation)
        if shared:
            wait_for_expiry(job.location, self._begin_to_wait)
        store = job.find_store(writable=not job.location.read_only)
        if store is not None and not self._replace and (contents := replaced_contents(job, store)):
            raise ReplacementError(store, contents)
        if store is not None:
            job.extractor.scene.check_unchanged()
        work = job.remaining(store)
        if store is not None and not work.plan.steps:
            listen(_nothing_to_do(job))
            self._store = store
            return
        work.check_disk()
        work.extractor.check_companion(job.recipe.companion)
        listen(Note(work.summary))
        # A read-only location or a backbone that can't be loaded raises an error before the store is changed.
        store = job.find_store(writable=True)
        backbone = None if self._executor is None else self._check_backbone(self._executor)
        if backbone is None:
            with exclusive_use(work.extractor.source):
                work.extractor.source.to(work.extractor.device)
        store = store or create_store(work)
        self._add_to_catalogue(store, completed=0.0)
        token = stack.enter_context(write_token(store.location, renew=shared)) if shared or backbone is not None else ""
        store.prepare_planes(work.plan.planes)
        self._store, self._work = store, work
        for step in work.plan.steps:
            steps = self.units.setdefault(step.unit.index, {})
            steps[step.t] = work.plan.unit_tiles[step.unit] * step.passes
        if self._executor is not None and backbone is not None:
            self._builder = StoreBuilder.from_job(job, backbone, token)
            if self._check:
                self._executor.check_workers(check_store, self._builder)

    def _begin_to_wait(self) -> None:
        message = f"another process is writing to {self.job.location}"
        if not self._wait:
            raise StoreInUseError(message)
        self._listen(Note(f"{message}: waiting for it"))

    def _check_backbone(self, executor: Executor) -> BackboneBuilder:
        builder = BackboneBuilder.from_job(self.job)
        if self._check:
            executor.check_workers(load_backbone, builder)
        return builder


def _nothing_to_do(job: Job) -> Note:
    planes = len(job.planes)
    existing = "the plane exists" if planes == 1 else f"all {planes} planes exist"
    return Note(f"{job.location}: {existing}, nothing to compute")


def complete_store(job: Job) -> Store | None:
    """Return the store of a job if it is complete, otherwise None. Nothing is written.

    A store is incomplete if it lacks planes, label maps or checksums, or if its metadata of the scene are out of date.

    Raises
    ------
    StoreError
        If the location of the job holds something other than a store, or a store with another recipe or batch size.
    """
    store = job.find_store(writable=not job.location.read_only)
    if store is None or job.remaining(store).plan.steps or not (store.location.read_only or store.has_record_checksums):
        return None
    scene, labels = job.extractor.scene, job.extractor.scene.labels
    if updated_facts(store.manifest.scene, scene) != store.manifest.scene:
        return None
    return store if all(_has_labels(store, name, labels[name]) for name in labels) else None


def replaced_contents(job: Job, store: Store) -> list[str]:
    """Return what a run would replace in an existing store: kinds of metadata of the scene, and label maps.

    The list has a description of each, such as ``georeference`` or ``label map 'fields'``. A damaged label map is not listed.
    """
    scene = job.extractor.scene
    replaced = names_of_updates(store.manifest.scene, scene)
    for name, labels in scene.labels.items():
        if name in store.labels and not _has_labels(store, name, labels):
            with suppress(StoreError):
                store.label_classes(name)
                replaced.append(f"label map {name!r}")
    return replaced


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
