"""Steps of an extraction as tasks for any executor: each worker opens the scene from the store, and one backbone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hsifeat.backbones.open_backbone import open_backbone
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
    key : str
        Key of the store: a worker keeps what it opened only for the same scene, options and weights.
    batch : int
        Batch of the store, which decides the last bits.
    """

    location: str
    backbone: str
    layers: tuple[str, ...]
    device: str
    key: str
    batch: int

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
        extractor = work.extractor
        return cls(
            job.location.identity, str(job.config.backbone), layers, extractor.device, job.recipe.key, extractor.batch
        )

    def __call__(self, step: Step) -> StepResult:
        """Compute a step; scene and backbone stay open for the next one."""
        return _computer(self)(step)


@lru_cache(maxsize=1)
def _computer(task: StepTask) -> StepComputer:
    store = Store.open(task.location)
    config = config_of(store).with_values(backbone=task.backbone, layers=task.layers)
    job = prepare(Features(store).scene, config, out=task.location, device=task.device)
    check_recipe(store, job.recipe, advice="the backbone has changed since the extraction began")
    extractor = job.remaining(store).extractor
    extractor.backbone.to(extractor.device)
    return StepComputer(extractor)


def load_backbone(options: dict[str, Any]) -> None:
    """Load weights and drop them again, to find out in a worker whether they can be loaded there.

    Parameters
    ----------
    options : dict
        Arguments of `open_backbone`, and the device.
    """
    arguments = {name: value for name, value in options.items() if name != "device"}
    open_backbone(**arguments).to(options["device"])


def close_computer() -> None:
    """Forget the scene and the backbone that a task opened in this process."""
    _computer.cache_clear()
