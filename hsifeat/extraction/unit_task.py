"""Units of an extraction as tasks for the workers of an executor.

A worker receives the names of a store and a backbone, opens both, and keeps them open for its next tasks. The worker writes
the features to the store, and returns only the number of steps and their run times.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsifeat.backbones.open_backbone import open_source
from hsifeat.backbones.protocol import FeatureSource
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.job import Job, check_recipe
from hsifeat.extraction.plan import unit_steps
from hsifeat.extraction.prepare import backbone_options, prepare
from hsifeat.extraction.resolve import resolve_config
from hsifeat.extraction.writer import BackgroundWriter
from hsifeat.features.features import Features
from hsifeat.runtime.worker import kept_in_worker, worker_threads
from hsifeat.store import write_token
from hsifeat.store.store import Store
from hsifeat.store.timings import Timing


@dataclass(frozen=True)
class BackboneBuilder:
    """Arguments with which a worker opens the backbone of an extraction.

    Attributes
    ----------
    options : tuple of (str, object)
        Arguments of `open_source`. The path of a file or folder is absolute, because a worker may have another working folder.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    digest : str
        Digest of the backbone's identity. If the weights at a path change, the digest changes, and workers open the backbone
        again.
    """

    options: tuple[tuple[str, Any], ...]
    device: str
    digest: str

    @classmethod
    def from_job(cls, job: Job) -> BackboneBuilder:
        """Return the builder for the workers of an extraction.

        Raises
        ------
        HsifeatError
            If the backbone is an object instead of a name or path. If the model input is a companion image. A worker
            can open neither.
        """
        if not isinstance(job.config.backbone, str | Path):
            raise HsifeatError("an executor opens the backbone in each of its workers: name it by a path or a name")
        if job.config.companion:
            raise HsifeatError("a store does not hold the companion image: extract from it without an executor")
        identity = json.dumps(job.recipe.canonical()["backbone"], sort_keys=True)
        options = sorted(backbone_options(job.config).items())
        return cls(tuple(options), job.device, hashlib.sha256(identity.encode()).hexdigest())


@dataclass(frozen=True)
class StoreBuilder:
    """Arguments with which a worker opens the store of an extraction.

    A worker reads the scene, the fitted projection and the options from the store. With the same device and number of
    threads, a worker computes the same bits as the process that started the extraction.

    Attributes
    ----------
    location : str
        Path or URL of the store, whose planes must already have been created.
    backbone : BackboneBuilder
        Arguments with which a worker opens the backbone.
    timesteps : tuple of int
        Timesteps of the requested planes.
    layers : tuple of str
        Layers of the requested planes.
    key : str
        Key of the store. If the key of the store at `location` changes, workers open the store again.
    token : str
        Token that allows writing, see `hsifeat.store.write_token`.
    """

    location: str
    backbone: BackboneBuilder
    timesteps: tuple[int, ...]
    layers: tuple[str, ...]
    key: str
    token: str

    @classmethod
    def from_job(cls, job: Job, backbone: BackboneBuilder, token: str) -> StoreBuilder:
        """Return the builder for the workers of an extraction.

        Parameters
        ----------
        job : Job
            The extraction, whose store exists.
        backbone : BackboneBuilder
            Arguments with which a worker opens the backbone.
        token : str
            Token that allows writing.
        """
        timesteps = tuple(dict.fromkeys(plane.id.t for plane in job.planes))
        layers = tuple(dict.fromkeys(plane.id.layer for plane in job.planes))
        return cls(job.location.identity, backbone, timesteps, layers, job.recipe.key, token)


@dataclass(frozen=True)
class UnitTask:
    """Task of an executor: compute one unit (one shard of each plane) at some timesteps.

    Attributes
    ----------
    store : StoreBuilder
        Arguments with which a worker opens the store and the backbone.
    unit : tuple of 2 ints
        Index of the unit in the grid of units.
    timesteps : tuple of int
        Timesteps to compute. Another worker may compute other timesteps of the unit at the same time: each timestep has
        its own shards.
    """

    store: StoreBuilder
    unit: tuple[int, int]
    timesteps: tuple[int, ...]


@dataclass(frozen=True)
class UnitResult:
    """Result of `compute_unit`, without the features.

    Attributes
    ----------
    steps : int
        Number of computed steps; 0 if the store already had all features of the task.
    timings : tuple of Timing
        Run times of the steps.
    """

    steps: int
    timings: tuple[Timing, ...]


def compute_unit(task: UnitTask) -> UnitResult:
    """Compute the missing features of a unit, and write them to the store.

    Raises
    ------
    StoreError
        If this worker can't open or write the store. If the run of the task has ended or was replaced by another run.
    """
    return _open_worker_store(task.store).compute(task)


def load_backbone(builder: BackboneBuilder) -> None:
    """Open a backbone, move it to its device, and keep it for the next tasks of this worker."""
    _open_backbone(builder)


def check_store(builder: StoreBuilder) -> None:
    """Raise `StoreError` if this worker can't open the store of an extraction, or if the run has ended."""
    _open_store(builder)


class _WorkerStore:
    """An open store in a worker, with the function that computes the steps of the store."""

    def __init__(self, builder: StoreBuilder) -> None:
        self._token = builder.token
        self._store = store = _open_store(builder)
        options = {"timesteps": builder.timesteps, "layers": builder.layers}
        source, device = _open_backbone(builder.backbone), builder.backbone.device
        scene = Features(store).scene
        # Take the digest from the recipe, because hashing the cube of a large scene takes long.
        vars(scene)["digest"] = store.manifest.recipe["scene"]
        job = prepare(
            scene,
            resolve_config(options, like=store),
            out=builder.location,
            device=device,
            source=source,
        )
        check_recipe(store, job.recipe, advice="the backbone has changed since the extraction began")
        self._planes = job.planes
        self._extractor = job.extractor.with_batch(store.manifest.batch)
        self._compute = self._extractor.step_computer()
        self._units = {unit.index: unit for unit in store.units}

    def compute(self, task: UnitTask) -> UnitResult:
        unit, timings, progress = self._units[task.unit], list[Timing](), self._store.progress
        planes = [plane for plane in self._planes if plane.id.t in task.timesteps]
        missing = [plane for plane in planes if progress.digest(plane.id, unit) is None]
        steps = list(unit_steps(unit, missing, self._extractor.passes))
        with BackgroundWriter(self._store) as writer:
            for step in steps:
                result = self._compute(step)
                write_token.check(self._store.location, self._token)
                writer.write(unit, result.blocks)
                timings += result.timings
        return UnitResult(len(steps), tuple(timings))


# Two stores are kept, because the units of two scenes can alternate.
@kept_in_worker(maxsize=2)
def _open_worker_store(builder: StoreBuilder) -> _WorkerStore:
    return _WorkerStore(builder)


@kept_in_worker(maxsize=1)
def _open_backbone(builder: BackboneBuilder) -> FeatureSource:
    options: dict[str, Any] = dict(builder.options)
    source = open_source(**options)
    if hasattr(source, "schedule"):  # a network, in contrast to the filters of context
        import torch

        from hsifeat.backbones.device import pick_device

        if (threads := worker_threads()) is not None:
            torch.set_num_threads(threads)
        source.to(pick_device(builder.device))
    return source


def _open_store(builder: StoreBuilder) -> Store:
    store = Store.find(builder.location, writable=True)
    if store is None:
        raise StoreError(
            f"{builder.location} can't be seen here: stores must be in a folder or an object store that all workers share"
        )
    write_token.check(store.location, builder.token)
    return store
