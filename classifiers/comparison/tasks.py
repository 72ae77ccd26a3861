"""Tasks of workers: fit a head on the training pixels of a draw, score it, record it, and map the scene with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.model import BenchEntry, PlaneWeight, RunResult
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.shared_table import BLOCK_BYTES, SharedTable
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import make_head
from classifiers.metrics import score_predictions
from classifiers.predict import block_side_px, predict_blocks
from hsifeat.features.features import Features, open_features
from hsifeat.files import atomic_write

if TYPE_CHECKING:
    from pathlib import Path

    from classifiers.heads.base import Head


@dataclass(frozen=True)
class RunTask:
    """A run to be done; cheap to send to workers.

    Attributes
    ----------
    entry, split, seed : BenchEntry, str, int
        The run.
    key, draw : str
        Keys of the run and of its draw in the run store.
    left_out : tuple of int
        Classes that the draw leaves out.
    table : SharedTable
        The columns that the head learns from.
    run_records : RunRecords
        Where the run is recorded.
    mapped_store : str or None
        Location of the store to map with the fitted head; None draws no map.
    """

    entry: BenchEntry
    split: str
    seed: int
    key: str
    draw: str
    left_out: tuple[int, ...]
    table: SharedTable
    run_records: RunRecords
    mapped_store: str | None = None


def do_run(task: RunTask) -> RunResult:
    """Fit, predict, score, map and record a run, in one thread, so that its numbers do not depend on the machine's load."""
    with one_thread():
        draw = task.run_records.read_draw(task.draw)
        head = set_seed(make_head(task.entry.head, layout=task.table.layout), task.seed)
        X, y = task.table.rows(draw["train"])
        start = time.perf_counter()
        head.fit(X, y)
        fit_seconds = time.perf_counter() - start
        predicted, predict_seconds = predict_pixels(head, task.table, draw["test"])
        if task.mapped_store is not None:
            _map_scene(head, open_features(task.mapped_store), task)
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
            key=task.key,
            draw=task.draw,
            mixing=_mixing(head),
        )
        task.run_records.add(run, predicted)
        return run


@dataclass(frozen=True)
class AccuracyTask:
    """A fit of a sweep, of which only the accuracy counts; cheap to send to workers.

    Attributes
    ----------
    key, draw : str
        Keys of the fit and of its draw in the run store.
    head, seed : str, int
        Name and seed of the head.
    table : SharedTable
        The columns that the head learns from.
    run_records : RunRecords
        Where the accuracy is recorded.
    """

    key: str
    draw: str
    head: str
    seed: int
    table: SharedTable
    run_records: RunRecords


def measure_accuracy(task: AccuracyTask) -> float:
    """Fit on the training pixels of a draw; record and return the accuracy on its test pixels."""
    with one_thread():
        draw = task.run_records.read_draw(task.draw)
        head = set_seed(make_head(task.head, layout=task.table.layout), task.seed)
        predicted, _ = predict_pixels(head.fit(*task.table.rows(draw["train"])), task.table, draw["test"])
        accuracy = float(np.mean(predicted == draw["truth"]))
        task.run_records.add_accuracy(task.key, accuracy)
        return accuracy


def predict_pixels(head: Head, table: SharedTable, pixels: NDArray[np.integer]) -> tuple[NDArray[np.integer], float]:
    """Predict the classes of pixels of a table block by block, so that memory stays bounded.

    Parameters
    ----------
    head : Head
        Fitted.
    table : SharedTable
        Holds the columns of the pixels.
    pixels : (n,) integer array
        Flat indices of pixels of the scene.

    Returns
    -------
    classes : (n,) integer array
        Predicted class of each pixel.
    seconds : float
        Time of prediction, without reading.
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
    """Set the seed of a head, if it has one."""
    return head.set_params(random_state=seed) if "random_state" in head.get_params() else head


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: sums are bit-identical wherever they run, and workers do not compete for cores."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _map_scene(head: Head, features: Features, task: RunTask) -> None:
    """Map the scene block by block into files, so that memory does not grow with the scene."""
    rows, cols, _ = features.shape
    block_px = block_side_px(task.table.layout, BLOCK_BYTES)
    probabilistic = isinstance(head, ProbabilisticHead)
    dtype = np.min_scalar_type(int(head.classes_.max()))
    files = [(task.run_records.map(task.key), dtype)]
    if probabilistic:
        files.append((task.run_records.confidence(task.key), np.dtype(np.uint8)))
    with ExitStack() as stack:
        parts = [stack.enter_context(_zero_file(path, (rows, cols), dtype)) for path, dtype in files]
        for block in predict_blocks(features, head, probabilities=probabilistic, block_px=block_px):
            maps = [block.classes] if block.confidence is None else [block.classes, np.rint(255 * block.confidence)]
            for part, values in zip(parts, maps, strict=True):
                # Mapped for one block only: Windows can't rename a file that is mapped.
                np.lib.format.open_memmap(part, mode="r+")[block.window.slices][block.pixels] = values


@contextmanager
def _zero_file(path: Path, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[Path]:
    """Yield the temporary path of a ``.npy`` file with a zero array (rows, cols); it is moved to `path` at the end."""
    with atomic_write(path) as part:
        np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
        yield part


def _mixing(head: Head) -> tuple[PlaneWeight, ...]:
    """Return the weight that a head learned for each plane; none if it does not mix planes."""
    if not hasattr(head, "mixing_weights_"):
        return ()
    frame = head.mixing_frame()  # type: ignore[attr-defined]  # comes with the weights, see classifiers.heads.mixing
    return tuple(
        PlaneWeight(t=None if t is None else int(t), layer=str(layer), weight=float(frame.at[t, layer]))
        for t in frame.index
        for layer in frame.columns
        if np.isfinite(frame.at[t, layer])
    )
