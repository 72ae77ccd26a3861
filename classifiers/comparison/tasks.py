"""Tasks of worker processes: fit a head, score its predictions, classify the scene, and record the run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.block_prediction import PredictedBlock, block_side_px, predict_blocks, smoothed_classes
from classifiers.comparison.most_frequent import MostFrequentClass
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.plane_scores import PlaneWeight
from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.run_records import FitAccuracy, RunRecords
from classifiers.comparison.shared_table import BLOCK_BYTES, SharedTable
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import make_head
from classifiers.heads.row_checks import ConstantFeaturesError
from classifiers.metrics import score_predictions
from classifiers.smoothing import SmoothingRule
from classifiers.threads import one_library_thread
from hsifeat.errors import HeadError
from hsifeat.features.stack import StackSource
from hsifeat.mapped_arrays import create_array
from hsifeat.torch_state import one_torch_thread
from hsifeat.types import Window

if TYPE_CHECKING:
    from pathlib import Path

    from classifiers.heads.base import Head


@dataclass(frozen=True)
class MappedScene:
    """A scene whose pixels a run classifies.

    Attributes
    ----------
    source : StackSource
        Locations of the stores of the scene.
    window : Window
        Window of the scene on the grid of the benchmark.
    """

    source: StackSource
    window: Window


@dataclass(frozen=True)
class RunTask:
    """Task of a worker process: the arguments of `do_run`. The object is small when pickled.

    Attributes
    ----------
    entry : BenchEntry
        Head and input of the run.
    split : str
        Split in the grammar of `parse_split`.
    seed : int
        Seed of the draw and of the head.
    key : str
        Key of the run.
    draw : str
        Key of the recorded training and test pixels.
    left_out : tuple of int
        Classes that can't have both training and test pixels. They are not scored.
    table : SharedTable
        Columns that the head learns from.
    run_records : RunRecords
        Files in which the run is recorded.
    scenes : tuple of MappedScene
        The scenes of the benchmark.
    grid : (int, int)
        Rows and columns of the grid of the benchmark, which contains all scenes.
    is_mapped : bool
        Whether the fitted head classifies every pixel of all scenes.
    params : dict
        Parameters of the head.
    smoothing : SmoothingRule or None
        Rule that smooths the class probabilities for a second score of the run. None if there is no second score.
    """

    entry: BenchEntry
    split: str
    seed: int
    key: str
    draw: str
    left_out: tuple[int, ...]
    table: SharedTable
    run_records: RunRecords
    scenes: tuple[MappedScene, ...]
    grid: tuple[int, int]
    is_mapped: bool = False
    params: dict[str, Any] = field(default_factory=dict, compare=False)
    smoothing: SmoothingRule | None = None


def do_run(task: RunTask) -> RunResult:
    """Fit a head, score it on test pixels, classify the scene if requested, and record the run.

    The run uses a single thread, so that results do not depend on the number of cores. If all features are constant on the
    training pixels, the run scores `MostFrequentClass` instead of the head.

    Raises
    ------
    HeadError
        If the head can't be fitted for another reason.
    """
    with one_thread():
        draw = task.run_records.read_draw(task.draw)
        head = set_seed(make_head(task.entry.head, layout=task.table.layout, **task.params), task.seed)
        X, y = task.table.rows(draw["train"])
        unlabelled, positions = task.table.unlabelled(draw["train"]), task.table.positions(draw["train"])
        start, constant = time.perf_counter(), ""
        try:
            head.fit(X, y, unlabelled=unlabelled, positions=positions)
        except ConstantFeaturesError as error:
            head, constant = MostFrequentClass(task.table.layout).fit(X, y), str(error)
        except HeadError as error:
            raise HeadError(f"{task.entry} under {task.split}, seed {task.seed}: {error}") from error
        fit_seconds = time.perf_counter() - start
        predicted, predict_seconds = predict_pixels(head, task.table, draw["test"])
        if task.is_mapped:
            _map_scenes(head, task)
        scores = score_predictions(draw["truth"], predicted)
        run = RunResult(
            entry=task.entry,
            split=task.split,
            seed=task.seed,
            train_pixels=len(y),
            test_pixels=len(predicted),
            left_out=task.left_out,
            scores=scores.overall,
            fit_seconds=fit_seconds,
            predict_seconds=predict_seconds,
            class_scores=scores.by_class,
            pixels=scores.pixels,
            confusion=tuple(map(tuple, scores.confusion.tolist())),
            confusion_classes=scores.confusion_classes,
            key=task.key,
            draw=task.draw,
            mixing=_mixing(head),
            constant=constant,
            smoothed_oa=_smoothed_accuracy(head, task, draw),
        )
        task.run_records.add(run, predicted)
        return run


@dataclass(frozen=True)
class AccuracyTask:
    """Task of a worker process: the arguments of `measure_accuracy`. The object is small when pickled.

    Attributes
    ----------
    key : str
        Key of the fit.
    draw : str
        Key of the recorded training and test pixels.
    head : str
        Name of the head.
    seed : int
        Seed of the head.
    table : SharedTable
        Columns that the head learns from.
    run_records : RunRecords
        Files in which the accuracy is recorded.
    """

    key: str
    draw: str
    head: str
    seed: int
    table: SharedTable
    run_records: RunRecords


def measure_accuracy(task: AccuracyTask) -> FitAccuracy:
    """Fit a head on training pixels, and measure its overall accuracy on test pixels.

    The result is recorded and returned. If all features are constant on the training pixels, all test pixels get the most
    frequent class of the training pixels. Profiles wider than the scene are constant, for example.
    """
    with one_thread():
        draw = task.run_records.read_draw(task.draw)
        head = set_seed(make_head(task.head, layout=task.table.layout), task.seed)
        unlabelled, positions = task.table.unlabelled(draw["train"]), task.table.positions(draw["train"])
        X, y = task.table.rows(draw["train"])
        constant = False
        try:
            head.fit(X, y, unlabelled=unlabelled, positions=positions)
        except ConstantFeaturesError:
            head, constant = MostFrequentClass(task.table.layout).fit(X, y), True
        predicted, _ = predict_pixels(head, task.table, draw["test"])
        accuracy = FitAccuracy(float(np.mean(predicted == draw["truth"])), constant=constant)
        task.run_records.add_accuracy(task.key, accuracy)
        return accuracy


def predict_pixels(head: Head, table: SharedTable, pixels: NDArray[np.integer]) -> tuple[NDArray[np.integer], float]:
    """Predict the classes of pixels block by block, in bounded memory.

    Parameters
    ----------
    head : Head
        Fitted head.
    table : SharedTable
        Table that contains the pixels.
    pixels : (n,) integer array
        Flat indices of pixels of the scene.

    Returns
    -------
    classes : (n,) integer array
        Predicted class of each pixel.
    seconds : float
        Time of prediction in seconds, without the time of reading the table.
    """
    rows = max(1, BLOCK_BYTES // table.size_bytes(1))
    parts, seconds = [], 0.0
    for first in range(0, len(pixels), rows):
        X, _ = table.rows(pixels[first : first + rows])
        start = time.perf_counter()
        parts.append(head.predict(X))
        seconds += time.perf_counter() - start
    return np.concatenate(parts), seconds


def set_seed(head: Head, seed: int) -> Head:
    """If `head` has the parameter ``random_state``, set this parameter to `seed`. Return `head`."""
    return head.set_params(random_state=seed) if "random_state" in head.get_params() else head


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch and linear algebra libraries to one thread inside the ``with`` block.

    Floating-point sums are then reproducible, and worker processes do not compete for cores.
    """
    with one_torch_thread(), one_library_thread():
        yield


def _smoothed_accuracy(head: Head, task: RunTask, draw: dict[str, NDArray[np.integer]]) -> float | None:
    """Return the accuracy on test pixels after each scene is smoothed separately; None without a smoothing rule."""
    if task.smoothing is None:
        return None
    rows, cols = np.divmod(draw["test"], task.grid[1])
    block_px = block_side_px(task.table.layout, BLOCK_BYTES)
    correct = 0
    for scene in task.scenes:
        inside = (rows >= scene.window.row) & (rows < scene.window.row + scene.window.rows)
        if inside.any():
            pixels = rows[inside] - scene.window.row, cols[inside]
            predicted = smoothed_classes(scene.source.open(), head, task.smoothing, pixels, block_px=block_px)
            correct += int(np.count_nonzero(predicted == draw["truth"][inside]))
    return correct / len(rows)


def _map_scenes(head: Head, task: RunTask) -> None:
    """Classify all scenes block by block, and write the maps of a run in bounded memory."""
    block_px = block_side_px(task.table.layout, BLOCK_BYTES)
    probabilistic = isinstance(head, ProbabilisticHead)
    dtype = np.min_scalar_type(int(head.classes_.max()))
    records = task.run_records
    files = [(records.map(task.key), dtype)]
    if probabilistic:
        files.append((records.confidence(task.key), np.dtype(np.uint8)))
    with ExitStack() as stack:
        parts = [stack.enter_context(_zero_file(records, path, task.grid, dtype)) for path, dtype in files]
        for scene in task.scenes:
            features, place = scene.source.open(), scene.window.slices
            for block in predict_blocks(features, head, probabilities=probabilistic, block_px=block_px):
                maps = [block.classes] if block.confidence is None else [block.classes, np.rint(255 * block.confidence)]
                for part, values in zip(parts, maps, strict=True):
                    _write_block(part, place, block, values)


def _write_block(part: Path, place: tuple[slice, slice], block: PredictedBlock, values: NDArray[np.number]) -> None:
    """Write the pixels of a block of the scene at `place`.

    The file is mapped into memory only during the call, because Windows can't rename a file that is mapped.
    """
    opened = np.lib.format.open_memmap(part, mode="r+")
    opened[place][block.window.slices][block.pixels] = values


@contextmanager
def _zero_file(records: RunRecords, path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[Path]:
    """Create a ``.npy`` file with an array of zeros at a temporary path, and yield this path.

    The array is (rows, cols). The file is sealed and moved to `path` when the context exits.
    """
    with records.sealed_write(path) as part:
        create_array(part, shape, dtype)
        yield part


def _mixing(head: Head) -> tuple[PlaneWeight, ...]:
    """Return the weight that a head learned for each plane.

    The result is empty for heads without `mixing_weights_`.
    """
    if not hasattr(head, "mixing_weights_"):
        return ()
    frame = head.mixing_frame()  # type: ignore[attr-defined]  # defined with mixing_weights_, see classifiers.heads.mixing
    return tuple(
        PlaneWeight(t=None if t is None else int(t), layer=str(layer), weight=float(frame.at[t, layer]))
        for t in frame.index
        for layer in frame.columns
        if np.isfinite(frame.at[t, layer])
    )
