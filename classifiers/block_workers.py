"""Predict the blocks of a scene in the workers of an executor. Each worker opens the stores and the model once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from classifiers.block_prediction import PredictedBlock, ScenePredictor
from classifiers.model import Model, load_model
from classifiers.persistence import is_as_loaded
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features
from hsifeat.features.stack import StackSource
from hsifeat.runtime.executor import Executor
from hsifeat.runtime.worker import kept_in_worker
from hsifeat.types import Window

# Maximum number of blocks that wait for an earlier one, which bounds the memory of this process.
_MAX_AHEAD = 256


@dataclass(frozen=True)
class PredictorBuilder:
    """Locations from which a worker opens the stores and the model of a prediction.

    Attributes
    ----------
    source : StackSource
        Locations of the stores of the scene.
    model : str
        Folder of the model.
    digest : str
        sha256 of the manifest of the model that was loaded. A worker raises an error if the manifest in the folder has
        another sha256.
    """

    source: StackSource
    model: str
    digest: str

    @classmethod
    def from_model(cls, features: Features, model: Model) -> PredictorBuilder:
        """Return a builder with the locations of the stores of `features` and the folder of `model`.

        Raises
        ------
        HeadError
            If the model was not loaded from a folder, or its head is not the one in the folder any more.
        """
        if model.folder is None or model.digest is None:
            raise HeadError(
                "an executor loads the model in each of its workers: save it, and predict with load_model(folder)"
            )
        if not is_as_loaded(model.head, model.digest):
            raise HeadError(
                f"an executor loads the model in each of its workers, but the head of this model is not the one that was loaded from {model.folder}, "
                "or was fitted again: save the model, and predict with load_model(folder)"
            )
        return cls(StackSource.of_features(features), str(model.folder.absolute()), model.digest)


@dataclass(frozen=True)
class BlockTask:
    """Task of a worker: the prediction of one block of a scene."""

    builder: PredictorBuilder
    window: Window
    probabilities: bool


class BlockWorkers:
    """Predicts blocks of a scene in the workers of an executor.

    Parameters
    ----------
    executor : Executor
        Executor whose workers can open the stores of `features` and the folder of `model`.
    features : Features
        Features of the scene.
    model : Model
        A model that was loaded from a folder.

    Raises
    ------
    HsifeatError
        If the model was not loaded from a folder. If a worker can't open the stores or the model.
    """

    def __init__(self, executor: Executor, features: Features, model: Model) -> None:
        self._executor, self._builder = executor, PredictorBuilder.from_model(features, model)
        executor.check_workers(check_builder, self._builder)

    def predict(self, windows: Iterable[Window], *, probabilities: bool) -> Iterator[PredictedBlock]:
        """Yield the predictions of the blocks at `windows`, in the order of `windows`."""
        queue = (BlockTask(self._builder, window, probabilities) for window in windows)
        order: deque[BlockTask] = deque()
        blocks: dict[BlockTask, PredictedBlock] = {}

        def tasks(first: BlockTask) -> Iterator[BlockTask]:
            for task in chain([first], queue):
                order.append(task)
                yield task
                if len(order) >= _MAX_AHEAD:
                    return

        for first in queue:
            for task, block in self._executor.run(predict_window, tasks(first)):
                blocks[task] = block
                while order and order[0] in blocks:
                    yield blocks.pop(order.popleft())


def predict_window(task: BlockTask) -> PredictedBlock:
    """Predict a block of a scene in a worker."""
    return _open_predictor(task.builder).predict(task.window, probabilities=task.probabilities)


def check_builder(builder: PredictorBuilder) -> None:
    """Raise an error if this worker can't open the stores or the model."""
    _open_predictor(builder)


@kept_in_worker(maxsize=1)
def _open_predictor(builder: PredictorBuilder) -> ScenePredictor:
    try:
        features = builder.source.open()
    except StoreError as error:
        raise StoreError(f"{error}; stores must be in a folder or an object store that all workers share") from error
    folder = Path(builder.model)
    if not folder.is_dir():
        raise HeadError(f"{folder} can't be seen here: the model must be in a folder that all workers share")
    model = load_model(folder)
    if model.digest != builder.digest:
        raise HeadError(
            f"{folder} holds another model here than the one that was loaded: load it again with load_model"
        )
    return ScenePredictor(features, model.head)
