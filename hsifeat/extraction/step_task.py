"""Run the steps of an extraction in the workers of an executor. Each worker opens the scene and the backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hsifeat.backbones.open_backbone import open_source
from hsifeat.errors import HsifeatError
from hsifeat.extraction.extractor import StepResult
from hsifeat.extraction.job import RemainingWork, check_recipe
from hsifeat.extraction.plan import Step
from hsifeat.extraction.prepare import prepare
from hsifeat.extraction.resolve import resolve_config
from hsifeat.features.features import Features
from hsifeat.store.store import Store


@dataclass(frozen=True)
class StepTask:
    """Picklable function that computes a step of an extraction; see `hsifeat.runtime.executor.Executor`.

    A worker reads the scene, the fitted projection and the options from the store. Its results have the same bits as results
    of the process that started the extraction.

    Attributes
    ----------
    location : str
        Path or URL of the store, which must exist.
    backbone : str
        Path or name of the backbone, as `open_backbone` takes it.
    layers : tuple of str
        Layers of the requested planes.
    device : str
        Device of the network.
    key : str
        Key of the store. A worker opens the scene and backbone again if the key changes.
    batch : int
        Maximum number of tiles per forward pass. It must equal the batch size of the store, because the batch size
        affects rounding errors.
    """

    location: str
    backbone: str
    layers: tuple[str, ...]
    device: str
    key: str
    batch: int

    @classmethod
    def from_work(cls, work: RemainingWork) -> StepTask:
        """Return the task that computes the remaining steps of an extraction.

        Raises
        ------
        HsifeatError
            If the backbone is an object, or the model input is a companion image, since a worker can't open these.
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
        """Compute the features of a step (one shard of each plane at one timestep).

        The scene and backbone stay open for the next step.
        """
        return _computer(self)(step)


@lru_cache(maxsize=1)
def _computer(task: StepTask) -> Callable[[Step], StepResult]:
    store = Store.open(task.location)
    config = resolve_config({"backbone": task.backbone, "layers": task.layers}, like=store)
    job = prepare(Features(store).scene, config, out=task.location, device=task.device)
    check_recipe(store, job.recipe, advice="the backbone has changed since the extraction began")
    extractor = job.remaining(store).extractor
    extractor.source.to(extractor.device)
    return extractor.step_computer()


def load_backbone(options: dict[str, Any]) -> None:
    """Test whether a worker can load a backbone. The backbone is loaded to its device and discarded.

    Parameters
    ----------
    options : dict
        Arguments of `open_backbone`, and the key ``device``.
    """
    arguments = {name: value for name, value in options.items() if name != "device"}
    open_source(**arguments).to(options["device"])


def close_computer() -> None:
    """Release the scene and the backbone that a task opened in this process."""
    _computer.cache_clear()
