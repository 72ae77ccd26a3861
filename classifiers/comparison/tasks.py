"""What a worker does: fit a head on the training pixels of a draw, score and record it, and map the scene by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import read_columns, table_bytes
from classifiers.comparison.results.run import Run, RunResult
from classifiers.comparison.run_store import RunStore
from classifiers.comparison.shared_table import BLOCK_BYTES, SharedTable
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import make_head
from classifiers.layout import Layout
from classifiers.metrics import score_predictions
from hsifeat.features.features import Features, open_features
from hsifeat.files import atomic_write
from hsifeat.types import windows

if TYPE_CHECKING:
    from pathlib import Path

    from classifiers.heads.base import Head

_BLOCK_PX = 128


@dataclass(frozen=True)
class Task:
    """A run to be done, in small values.

    Attributes
    ----------
    run : Run
        Which.
    key, draw : str
        Of the run and its draw in the record.
    left_out : tuple of int
        Classes that the draw leaves out.
    table : SharedTable
        The columns that the head takes.
    record : Record
        Where it is recorded.
    maps : str or None
        The store to map with the fitted head, if any.
    """

    run: Run
    key: str
    draw: str
    left_out: tuple[int, ...]
    table: SharedTable
    record: RunStore
    maps: str | None = None


def run_task(task: Task) -> RunResult:
    """Fit, predict, score, map and record a run; by one thread, so that its numbers are the same wherever it is done."""
    with one_thread():
        draw = task.record.read_draw(task.draw)
        layout = task.table.layout
        head = seeded(make_head(task.run.entry.head, layout=layout), task.run.seed)
        X, y = task.table.rows(draw["train"])
        start = time.perf_counter()
        head.fit(X, y)
        fitted = time.perf_counter()
        predicted, predict_seconds = predict(head, task.table, draw["test"])
        if task.maps is not None:
            _map(head, layout, open_features(task.maps), task)
        result = RunResult(
            run=task.run,
            scores=score_predictions(draw["truth"], predicted),
            train_pixels=len(y),
            test_pixels=len(predicted),
            left_out=task.left_out,
            fit_seconds=fitted - start,
            predict_seconds=predict_seconds,
            key=task.key,
            draw=task.draw,
            mixing=_mixing(head),
        )
        task.record.add(result, predicted)
        return result


@dataclass(frozen=True)
class Trial:
    """A fit of a sweep, of which only the accuracy counts: like `Task`, in small values."""

    key: str
    draw: str
    head: str
    seed: int
    table: SharedTable
    record: RunStore


def run_trial(trial: Trial) -> float:
    """Fit on the training pixels of a draw, and return and record the accuracy on its test pixels."""
    with one_thread():
        draw = trial.record.read_draw(trial.draw)
        head = seeded(make_head(trial.head, layout=trial.table.layout), trial.seed)
        predicted, _ = predict(head.fit(*trial.table.rows(draw["train"])), trial.table, draw["test"])
        accuracy = float(np.mean(predicted == draw["truth"]))
        trial.record.add_trial(trial.key, accuracy)
        return accuracy


def predict(head: Head, table: SharedTable, pixels: NDArray[np.integer]) -> tuple[NDArray[np.integer], float]:
    """Predict the classes (n,) of pixels block by block, however many there are; return the seconds of predicting too."""
    rows = max(1, BLOCK_BYTES // table.size_bytes(1))
    parts, seconds = [], 0.0
    for at in range(0, len(pixels), rows):
        X, _ = table.rows(pixels[at : at + rows])
        start = time.perf_counter()
        parts.append(head.predict(X))
        seconds += time.perf_counter() - start
    return np.concatenate(parts), seconds


def seeded(head: Head, seed: int) -> Head:
    """Give a head its seed, if it takes one."""
    return head.set_params(random_state=seed) if "random_state" in head.get_params() else head


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute by one thread inside: sums come out bit for bit the same, and workers don't get in each other's way."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _map(head: Head, layout: Layout, features: Features, task: Task) -> None:
    """Map the scene by a head into files, block by block, so that memory does not grow with the scene."""
    rows, cols, _ = features.shape
    side = _BLOCK_PX
    while side > 1 and table_bytes(side * side, layout) > BLOCK_BYTES:
        side //= 2
    known = features.readable if layout.learned else features.valid
    sure = isinstance(head, ProbabilisticHead)
    with (
        _map_file(task.record.map(task.key), (rows, cols), np.min_scalar_type(int(head.classes_.max()))) as classes,
        _map_file(task.record.confidence(task.key), (rows, cols), np.dtype(np.uint8), wanted=sure) as confidence,
    ):
        for window in windows(rows, cols, side):
            at = np.nonzero(known[window.slices])
            if not len(at[0]):
                continue
            X = read_columns(features, layout, at[0] + window.row, at[1] + window.col)
            if isinstance(head, ProbabilisticHead):
                probabilities = head.predict_proba(X)
                # As `predict` chooses.
                classes[window.slices][at] = head.classes_[probabilities.argmax(axis=1)]
                confidence[window.slices][at] = np.rint(255 * probabilities.max(axis=1))
            else:
                classes[window.slices][at] = head.predict(X)


@contextmanager
def _map_file(path: Path, shape: tuple[int, int], kind: np.dtype[Any], *, wanted: bool = True) -> Iterator[Any]:
    """Give an array of zeros (rows, cols) that lies in a file, which appears whole."""
    if not wanted:
        yield None
        return
    with atomic_write(path) as part:
        array = np.lib.format.open_memmap(part, mode="w+", dtype=kind, shape=shape)
        yield array
        array.flush()
        del array


def _mixing(head: Head) -> tuple[dict[str, Any], ...]:
    """Return the weight that a head learned for each plane, if it mixes them."""
    if not hasattr(head, "mixing_weights_"):
        return ()
    frame = head.mixing_frame()  # type: ignore[attr-defined]  # as every head with weights has, see heads.mixing
    return tuple(
        {"t": None if t is None else int(t), "layer": str(layer), "weight": float(frame.at[t, layer])}
        for t in frame.index
        for layer in frame.columns
        if np.isfinite(frame.at[t, layer])
    )
