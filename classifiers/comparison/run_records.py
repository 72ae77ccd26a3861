"""Recorded runs: files of finished runs, so that no run is repeated.

The files are in the folder ``record`` of a report. The key ``K`` of a run is a digest of all its inputs, 32 hexadecimal digits.
A run writes the following files, and ``runs/K.json`` last:

- ``maps/K.npy``: the class of every pixel of the scene, for seed 0 only;
- ``maps/K-confidence.npy``: the largest class probability scaled to 0..255, for seed 0 and heads that predict probabilities;
- ``predictions/K.npy``: the predicted class of each test pixel;
- ``runs/K.json``: the `RunResult`, which contains the key of the draw.

The training and test pixels of a draw with key ``D`` are in ``draws/D.npz``. The arrays ``train`` and ``test`` are flat pixel
indices in row-major order, and ``truth`` is the true class of each test pixel. A sweep records the accuracy of a fit
with key ``K`` in ``sweeps/K.json``.

Every file is written atomically. A killed run may leave some files but never ``runs/K.json``, so the run is repeated.
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

from classifiers.comparison.results.scores import RunResult
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import head_class, head_distribution
from classifiers.layout import Layout
from classifiers.metrics import CLASS_METRICS, METRICS
from classifiers.reduction import SAMPLE_PIXELS, Reduction
from classifiers.splits import SplitDraw
from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, disk_errors, write_file
from hsifeat.scenes import Labels
from hsifeat.scenes.blocks import blocks

FORMAT = 1

# Packages that fit and score. Results may depend on their versions, so versions are part of the key of a run.
_PACKAGES = ("hsifeat", "scikit-learn", "lightgbm", "torch", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that affect the results of a run."""
    return {name: version(name) for name in _PACKAGES}


def draw_key(draw: SplitDraw, labels: Labels) -> str:
    """Return the key of a draw (training and test pixels of a split for one seed).

    The key consists of the first 32 digits of a sha256 of the pixels and the label map.
    """
    digest = hashlib.sha256(str(draw.shape).encode())
    digest.update(draw.train_bits.data)
    digest.update(draw.test_bits.data)
    for block in blocks(*draw.shape):
        digest.update(np.ascontiguousarray(labels.classes[block.slices], "<i8").data)
    return digest.hexdigest()[:32]


def run_key(
    store: str,
    layout: Layout,
    head: dict[str, Any],
    draw: str,
    seed: int,
    reduction: Reduction = "train",
    smooth: str = "",
) -> str:
    """Return the key of a run.

    The key consists of the first 32 digits of a sha256 of the arguments, the package versions and the names of the metrics.
    Runs are therefore repeated after a metric is added.

    Parameters
    ----------
    store : str
        Keys of the stores that the planes come from. For runs on spectra alone, the digest of the scene.
    layout : Layout
        Columns that the head learns from.
    head : dict
        Name and parameters of the head. If another package provides the head, the key also covers the name and version of
        that package.
    draw : str
        Key of the draw (training and test pixels).
    seed : int
        Seed of the head.
    reduction : {"scene", "train"}
        Pixels that the reduction was fitted on.
    smooth : str
        Smoothing rule of the second score; empty if there is no second score.
    """
    content = {"store": store, "layout": layout.to_json(), "head": head, "draw": draw, "seed": seed, "format": FORMAT}
    if smooth:
        content["smooth"] = [smooth, version("scipy"), version("scikit-image")]
    content["versions"] = versions() | head_distribution(head["name"])
    content["metrics"] = sorted(metric.key for metric in (*METRICS, *CLASS_METRICS))
    if reduction == "scene":
        content["sampled_pixels"] = SAMPLE_PIXELS
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RunRecords:
    """Reader and writer of the files of finished runs.

    An instance contains only the path of a folder, so pickling it for a worker process is cheap.

    Attributes
    ----------
    folder : Path
        The folder ``record`` of a report.
    """

    folder: Path

    def find(self, key: str, *, mapped: bool) -> RunResult | None:
        """Return the recorded run with the key `key`, or None if a file of the run is missing.

        Parameters
        ----------
        key : str
            Key of the run.
        mapped : bool
            Whether the run must have a class map, and a confidence map if its head predicts probabilities.
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
        """Record a finished run and the predicted class of each test pixel, (n,) integer."""
        dtype = np.min_scalar_type(int(predicted.max(initial=0)))
        with atomic_write(self.predictions(run.key)) as part, part.open("wb") as file:
            np.save(file, predicted.astype(dtype), allow_pickle=False)
        write_file(self._run(run.key), run.model_dump_json(indent=1))

    def add_draw(self, draw: SplitDraw, labels: Labels) -> str:
        """Record the training and test pixels of a draw, and return its key."""
        key = draw_key(draw, labels)
        if not self.draw(key).exists():
            test = np.flatnonzero(draw.test)
            truth = np.ravel(labels.classes)[test]
            with atomic_write(self.draw(key)) as part, part.open("wb") as file:
                np.savez_compressed(file, train=np.flatnonzero(draw.train), test=test, truth=truth)
        return key

    def read_draw(self, key: str) -> dict[str, NDArray[np.integer]]:
        """Return the arrays ``train``, ``test`` and ``truth`` of a recorded draw, each (n,) integer."""
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
                f"{file} can't be read ({error}): delete the file, and repeat the command to compute it again"
            ) from error

    def read_map(self, file: Path) -> NDArray[Any] | None:
        """Return a map of classes or confidences, or None if the file is not readable.

        The array is (rows, cols) and memory-mapped; classes are integers and confidences are uint8.
        """
        try:
            array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return array

    def find_accuracy(self, key: str) -> float | None:
        """Return the overall accuracy that a sweep recorded for a fit, or None if there is no record."""
        try:
            return float(json.loads(self._sweep_fit(key).read_bytes())["oa"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def add_accuracy(self, key: str, accuracy: float) -> None:
        """Record the overall accuracy of a fit that a sweep has finished."""
        write_file(self._sweep_fit(key), json.dumps({"oa": accuracy}))

    def predictions(self, key: str) -> Path:
        """Return the path of the file that holds the predicted classes of a run."""
        return self.folder / "predictions" / f"{key}.npy"

    def draw(self, key: str) -> Path:
        """Return the path of the file that holds the pixels of a draw."""
        return self.folder / "draws" / f"{key}.npz"

    def map(self, key: str) -> Path:
        """Return the path of the class map of a run."""
        return self.folder / "maps" / f"{key}.npy"

    def confidence(self, key: str) -> Path:
        """Return the path of the confidence map of a run."""
        return self.folder / "maps" / f"{key}-confidence.npy"

    def _run(self, key: str) -> Path:
        return self.folder / "runs" / f"{key}.json"

    def _sweep_fit(self, key: str) -> Path:
        return self.folder / "sweeps" / f"{key}.json"
