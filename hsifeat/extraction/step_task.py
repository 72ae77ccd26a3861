"""Steps of an extraction as tasks for any executor: each worker opens the scene from the store, and one backbone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hsifeat.errors import HsifeatError
from hsifeat.extraction.job import RemainingWork, check_recipe
from hsifeat.extraction.plan import Step
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.runner import StepComputer, StepResult
from hsifeat.extraction.stored_config import config_of
from hsifeat.features.features import Features
from hsifeat.store.store import Store


@dataclass(frozen=True)
class StepTask:
    """A function of a step that can be pickled, see `hsifeat.runtime.executor.Executor`.

    The store holds the scene, the fitted projection and the options, so that a worker needs no more than its location and
    the name of the backbone. Its results are the same bits as in the process that began the extraction.

    Attributes
    ----------
    location : str
        Path or URL of the store, which has been created.
    backbone : str
        What `open_backbone` takes.
    layers : tuple of str
        Layers of the requested planes.
    device : str
        Device of the network.
    """

    location: str
    backbone: str
    layers: tuple[str, ...]
    device: str

    @classmethod
    def from_work(cls, work: RemainingWork) -> StepTask:
        """Return the task of the steps that remain of a job.

        Raises
        ------
        HsifeatError
            The backbone is an object, or the scene has a companion image: neither can be opened by a worker.
        """
        job = work.job
        if not isinstance(job.config.backbone, str | Path):
            raise HsifeatError("an executor opens the backbone in each of its workers: name it by a path or a name")
        if job.config.companion:
            raise HsifeatError("a store does not hold the companion image: extract from it without an executor")
        layers = tuple(dict.fromkeys(plane.id.layer for plane in job.planes))
        return cls(job.location.identity, str(job.config.backbone), layers, work.extractor.device)

    def __call__(self, step: Step) -> StepResult:
        """Compute a step; scene and backbone stay open for the next one."""
        return _computer(self)(step)


@lru_cache(maxsize=1)
def _computer(task: StepTask) -> StepComputer:
    store = Store.open(task.location)
    config = config_of(store).with_values(backbone=task.backbone, layers=task.layers)
    job = prepare(Features(store).scene, config, out=task.location, device=task.device)
    check_recipe(store, job.recipe, advice="the backbone has changed since the extraction began")
    return StepComputer(job.remaining(store).extractor)
