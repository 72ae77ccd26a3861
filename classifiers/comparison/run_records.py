"""The records of finished runs: each run writes its own files as soon as it is done, so that no run is repeated.

In the folder ``record`` of a report, a run with key ``K`` (32 hexadecimal digits, a digest of all that decides its numbers)
writes

- ``predictions/K.npy``: the predicted class of each test pixel;
- ``maps/K.npy`` and, for heads that predict probabilities, ``maps/K-confidence.npy``: for seed 0, the class of every pixel of
  the scene, and the largest probability scaled to 0..255;
- ``runs/K.json``, last: its `RunResult`, which names its draw.

A draw ``D`` is kept in ``draws/D.npz`` with ``train`` and ``test``, flat pixel indices in row-major order, and ``truth``, the
class of each test pixel; a fit of a sweep in ``sweeps/K.json``, its accuracy. Files appear whole: a run that was killed may have
left some of them, but not the last.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from classifiers.comparison.results.model import RunResult
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import head_class, head_distribution
from classifiers.layout import Layout
from classifiers.metrics import CLASS_METRICS, METRICS
from classifiers.splits import SplitDraw
from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, disk_errors, write_file
from hsifeat.scenes import Labels
from hsifeat.scenes.blocks import blocks

FORMAT = 1

# Packages that fit and score. Another version may give other numbers, so it is part of a run's key.
_PACKAGES = ("hsifeat", "scikit-learn", "lightgbm", "torch", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that decide a run's numbers."""
    return {name: version(name) for name in _PACKAGES}


def draw_key(draw: SplitDraw, labels: Labels) -> str:
    """Return the key of a draw: the sha256 of its pixels and their true classes, to 32 digits."""
    digest = hashlib.sha256(str(draw.shape).encode())
    digest.update(draw.train_bits.data)
    digest.update(draw.test_bits.data)
    for block in blocks(*draw.shape):
        digest.update(np.ascontiguousarray(labels.classes[block.slices], "<i8").data)
    return digest.hexdigest()[:32]


def run_key(store: str, layout: Layout, head: dict[str, Any], draw: str, seed: int) -> str:
    """Return the key of a run: the sha256 of all that decides its numbers, to 32 digits.

    The names of the metrics count too, so that runs are scored again when a metric was added.

    Parameters
    ----------
    store : str
        Key of the store that the columns come from.
    layout : Layout
        The columns.
    head : dict
        Name and parameters of the head. For a head of another package, the name and version of that package count too.
    draw : str
        Key of the draw.
    seed : int
        Seed of the head.
    """
    content = {"store": store, "layout": layout.to_json(), "head": head, "draw": draw, "seed": seed, "format": FORMAT}
    content["versions"] = versions() | head_distribution(head["name"])
    content["metrics"] = sorted(metric.key for metric in (*METRICS, *CLASS_METRICS))
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RunRecords:
    """The files of finished runs in a folder; cheap to send to workers.

    Attributes
    ----------
    folder : Path
        The folder ``record`` of a report.
    """

    folder: Path

    def find(self, key: str, *, mapped: bool) -> RunResult | None:
        """Return a finished run, or None.

        Parameters
        ----------
        key : str
            Key of the run.
        mapped : bool
            Whether the run must have a map and, if its head predicts probabilities, a confidence map.
        """
        try:
            run = RunResult.model_validate_json(self._run(key).read_bytes())
        except (OSError, ValidationError):
            return None
        files = [self.predictions(key)]
        if mapped:
            files.append(self.map(key))
            if issubclass(head_class(run.entry.head), ProbabilisticHead):
                files.append(self.confidence(key))
        return run if all(file.exists() for file in files) else None

    def add(self, run: RunResult, predicted: NDArray[np.integer]) -> None:
        """Record a finished run with its predicted class of each test pixel, (n,) integer."""
        dtype = np.min_scalar_type(int(predicted.max(initial=0)))
        with atomic_write(self.predictions(run.key)) as part, part.open("wb") as file:
            np.save(file, predicted.astype(dtype), allow_pickle=False)
        write_file(self._run(run.key), run.model_dump_json(indent=1))

    def add_draw(self, draw: SplitDraw, labels: Labels) -> str:
        """Record the pixels of a draw, and return its key."""
        key = draw_key(draw, labels)
        if not self.draw(key).exists():
            test = np.flatnonzero(draw.test)
            truth = np.ravel(labels.classes)[test]
            with atomic_write(self.draw(key)) as part, part.open("wb") as file:
                np.savez_compressed(file, train=np.flatnonzero(draw.train), test=test, truth=truth)
        return key

    def read_draw(self, key: str) -> dict[str, NDArray[np.integer]]:
        """Return ``train``, ``test`` and ``truth`` of a draw, each (n,) integer."""
        with disk_errors(self.draw(key)), np.load(self.draw(key), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("train", "test", "truth")}

    def read_predictions(self, key: str) -> NDArray[np.integer]:
        """Return the predicted class of each test pixel of a run, (n,) integer.

        Raises
        ------
        StoreError
            The file is missing or damaged.
        """
        file = self.predictions(key)
        try:
            return np.asarray(np.load(file, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(
                f"{file} can't be read ({error}): delete it, and the same command repeats that run"
            ) from error

    def read_map(self, file: Path) -> NDArray[Any] | None:
        """Return a memory-mapped map (rows, cols), of classes or uint8 confidences, or None if there is no readable one."""
        try:
            array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return array

    def find_accuracy(self, key: str) -> float | None:
        """Return the accuracy of a finished fit of a sweep, or None."""
        try:
            return float(json.loads(self._sweep_fit(key).read_bytes())["oa"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def add_accuracy(self, key: str, accuracy: float) -> None:
        """Record the accuracy of a finished fit of a sweep."""
        write_file(self._sweep_fit(key), json.dumps({"oa": accuracy}))

    def predictions(self, key: str) -> Path:
        """Return the file of the predictions of a run."""
        return self.folder / "predictions" / f"{key}.npy"

    def draw(self, key: str) -> Path:
        """Return the file of a draw."""
        return self.folder / "draws" / f"{key}.npz"

    def map(self, key: str) -> Path:
        """Return the file of the map of a run."""
        return self.folder / "maps" / f"{key}.npy"

    def confidence(self, key: str) -> Path:
        """Return the file of the confidence map of a run."""
        return self.folder / "maps" / f"{key}-confidence.npy"

    def _run(self, key: str) -> Path:
        return self.folder / "runs" / f"{key}.json"

    def _sweep_fit(self, key: str) -> Path:
        return self.folder / "sweeps" / f"{key}.json"
