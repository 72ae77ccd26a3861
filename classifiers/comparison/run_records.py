"""Recorded runs: files of finished runs, so that no run is repeated.

The files are in the folder ``record`` of a report. The key ``K`` of a run, 32 hexadecimal digits, is a digest of all
its inputs. A run writes the following files. It writes the last one after all others.

- ``maps/K.npy``: the class of every pixel of the scene, for seed 0 only;
- ``maps/K-confidence.npy``: the largest class probability scaled to 0..255, for seed 0 and heads that predict probabilities;
- ``predictions/K.npy``: the predicted class of each test pixel;
- ``runs/K.json``: the `RunResult`, which contains the key of the draw.

A draw consists of the training and test pixels of a split for one seed. The draw with key ``D`` is in ``draws/D.npz``.
The arrays ``train`` and ``test`` are flat pixel indices in row-major order, and ``truth`` is the true class of each
test pixel. A sweep records the accuracy of a fit with key ``K`` in ``sweeps/K.json``.

Every file is written atomically and has a seal, a sha256 of its content, folder and name (see `hsifeat.seals`). A run
with a missing or damaged file is repeated. So is a killed run, since it has not written ``runs/K.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.scores import RunResult
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import head_class, head_distribution
from classifiers.layout import Layout
from classifiers.metrics import CLASS_METRICS, METRICS
from classifiers.reduction import SAMPLE_PIXELS, Reduction
from classifiers.registered_smoothing import rule_distribution
from classifiers.splits import SplitDraw
from hsifeat.errors import HeadError, StoreError, raise_resource_error
from hsifeat.files import atomic_write, open_regular, write_file
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes import Labels
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.seals import SealError, check_seal, open_json, seal_file, seal_json

FORMAT = 2
_ADVICE = "delete the file, and repeat the command to compute it again"

# Packages that fit and score. Results may depend on their versions, so versions are part of the key of a run.
_PACKAGES = ("hsifeat", "scikit-learn", "lightgbm", "torch", "numpy", "scipy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that affect the results of a run."""
    return {name: version(name) for name in _PACKAGES}


def draw_key(draw: SplitDraw, labels: Labels) -> str:
    """Return the key of a draw (training and test pixels of a split for one seed).

    The key consists of the first 32 hexadecimal digits of a sha256 of the pixels and the label map.
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

    The key consists of the first 32 hexadecimal digits of a sha256 of the arguments, the package versions and the names
    of the metrics. Runs are therefore repeated after a metric is added.

    Parameters
    ----------
    store : str
        Text from `origin_of` that identifies the source of the columns.
    layout : Layout
        Columns that the head learns from.
    head : dict
        Name and parameters of the head. If another package provides the head, also the name and version of that
        package.
    draw : str
        Key of the draw (training and test pixels).
    seed : int
        Seed of the head.
    reduction : {"scene", "train"}
        Pixels on which the head fits its reduction of columns.
    smooth : str
        Rule that smooths the class probabilities for a second score of the run. Empty if there is no second score.
    """
    content = {"store": store, "layout": layout.to_json(), "head": head, "draw": draw, "seed": seed, "format": FORMAT}
    if smooth:
        content["smooth"] = [smooth, version("scikit-image"), *rule_distribution(smooth).items()]
    content["versions"] = versions() | head_distribution(head["name"])
    content["metrics"] = sorted(metric.key for metric in (*METRICS, *CLASS_METRICS))
    if reduction == "scene":
        content["sampled_pixels"] = SAMPLE_PIXELS
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def note_reuse(heads: Iterable[str], listen: Listener, smooth: str = "") -> None:
    """Send a note that names those of `heads`, and the smoothing rule, that are from other packages, because recorded results are reused.

    A change in the code of such a head or rule is only detected if the version of its package changes.

    Parameters
    ----------
    heads : iterable of str
        Names of the heads whose results are reused.
    listen : callable
        Callback that receives the note.
    smooth : str
        Rule that smoothed the class probabilities; empty for none.
    """
    packages = {name: head_distribution(name) for name in sorted(set(heads))} | {smooth: rule_distribution(smooth)}
    named = [f"{name} ({package} {number})" for name, own in packages.items() for package, number in own.items()]
    if named:
        text = f"results are reused of {', '.join(named)}: if code of a head or rule has changed since, raise the version of its package, or choose another folder"
        listen(Note(text))


class FitAccuracy(NamedTuple):
    """Overall accuracy of one fit of a sweep, and whether the features were constant on the training pixels of the fit."""

    oa: float
    constant: bool = False


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

    def find(self, key: str, *, mapped: bool, listen: Listener = silent) -> RunResult | None:
        """Return the recorded run with the key `key`, or None if a file of the run is missing or damaged.

        Parameters
        ----------
        key : str
            Key of the run.
        mapped : bool
            Whether the run must also have a class map and, if the head predicts probabilities, a confidence map.
        listen : callable
            Callback that receives a note if a file is damaged.
        """
        if not self._run(key).exists():
            return None
        try:
            run = RunResult.model_validate(self._open_json(self._run(key)))
            files = [self.predictions(key)]
            if mapped:
                files.append(self.map(key))
                if issubclass(head_class(run.entry.head), ProbabilisticHead):
                    files.append(self.confidence(key))
            if not all(file.exists() for file in files):
                return None
            for file in files:
                self._check(file)
        except (SealError, ValidationError, HeadError) as error:
            reason = error if isinstance(error, SealError) else f"{self._run(key)} is damaged"
            listen(Note(f"{reason}: the run is repeated"))
            return None
        return run

    def add(self, run: RunResult, predicted: NDArray[np.integer]) -> None:
        """Record a finished run. `predicted` is an (n,) integer array with the predicted class of each test pixel."""
        dtype = np.min_scalar_type(int(predicted.max(initial=0)))
        with self.sealed_write(self.predictions(run.key)) as part, part.open("wb") as file:
            np.save(file, predicted.astype(dtype), allow_pickle=False)
        write_file(self._run(run.key), seal_json(json.loads(run.model_dump_json()), _seal_name(self._run(run.key))))

    def add_draw(self, draw: SplitDraw, labels: Labels, *, listen: Listener = silent) -> str:
        """Record the training and test pixels of a draw, and return the key of the draw.

        Parameters
        ----------
        draw : SplitDraw
            Training and test pixels.
        labels : Labels
            True classes.
        listen : callable
            Callback that receives a note if the file of the draw is damaged and therefore written again.
        """
        key = draw_key(draw, labels)
        file = self.draw(key)
        if file.exists():
            try:
                self._check(file)
            except SealError as error:
                listen(Note(f"{error}: the file is written again"))
            else:
                return key
        test = np.flatnonzero(draw.test)
        truth = np.ravel(labels.classes)[test]
        with self.sealed_write(file) as part, part.open("wb") as out:
            np.savez_compressed(out, train=np.flatnonzero(draw.train), test=test, truth=truth)
        return key

    def read_draw(self, key: str) -> dict[str, NDArray[np.integer]]:
        """Return a recorded draw as integer arrays, each of shape (n,) with its own n.

        ``train`` and ``test`` have flat indices of pixels, and ``truth`` has the classes of the test pixels.

        Raises
        ------
        StoreError
            If the file of the draw is missing or damaged.
        """
        with self._opened(self.draw(key)) as arrays, arrays:
            return {name: arrays[name] for name in ("train", "test", "truth")}

    def read_predictions(self, key: str) -> NDArray[np.integer]:
        """Return the predicted class of each test pixel of a run, as an (n,) integer array.

        Raises
        ------
        StoreError
            If the file is missing or damaged.
        """
        with self._opened(self.predictions(key)) as array:
            return np.asarray(array)

    def read_map(self, file: Path) -> NDArray[Any] | None:
        """Return a map as a memory-mapped (rows, cols) array: classes as integers, or confidences as uint8.

        If the file is missing or damaged, the result is None.
        """
        try:
            self._check(file)
            array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (SealError, OSError, ValueError, EOFError):
            return None
        return array

    def find_accuracy(self, key: str, *, listen: Listener = silent) -> FitAccuracy | None:
        """Return the accuracy that a sweep recorded for a fit, or None if no accuracy is recorded.

        If the file with the accuracy is damaged, `listen` receives a note, and the result is None.
        """
        file = self._sweep_fit(key)
        if not file.exists():
            return None
        try:
            content = self._open_json(file)
            return FitAccuracy(float(content["oa"]), bool(content.get("constant", False)))
        except (SealError, KeyError, TypeError, ValueError) as error:
            reason = error if isinstance(error, SealError) else f"{file} is damaged"
            listen(Note(f"{reason}: the fit is repeated"))
            return None

    def add_accuracy(self, key: str, accuracy: FitAccuracy) -> None:
        """Record the accuracy of a fit that a sweep has finished."""
        file = self._sweep_fit(key)
        write_file(file, seal_json(accuracy._asdict(), _seal_name(file)))

    @contextmanager
    def sealed_write(self, file: Path) -> Iterator[Path]:
        """Yield a temporary path for the caller to write. On exit, seal the temporary file, and rename it to `file`."""
        with atomic_write(file) as part:
            yield part
            seal_file(part, _seal_name(file))

    @contextmanager
    def _opened(self, file: Path) -> Iterator[Any]:
        """Yield the content of a sealed ``.npy`` or ``.npz`` file, and raise `StoreError` if it is missing or damaged."""
        try:
            self._check(file, _ADVICE)
            with open_regular(file) as source:  # NumPy leaves a damaged file open
                yield np.load(source, allow_pickle=False)
        except SealError as error:
            raise StoreError(str(error)) from error
        except (OSError, ValueError, EOFError, LookupError, BadZipFile) as error:
            raise_resource_error(error)
            raise StoreError(f"{file} can't be read ({error}): {_ADVICE}") from error

    def _check(self, file: Path, advice: str = "") -> None:
        check_seal(file, _seal_name(file), advice=advice)

    def _open_json(self, file: Path) -> dict[str, Any]:
        return open_json(file, _seal_name(file))

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


def recorded_maps(
    runs: Iterable[RunResult], run_records: RunRecords, *, confidence: bool = False
) -> dict[tuple[BenchEntry, str], NDArray[Any]]:
    """Return the recorded maps of the runs with seed 0.

    Parameters
    ----------
    runs : iterable of RunResult
        The runs.
    run_records : RunRecords
        Records of the benchmark.
    confidence : bool
        Whether to return maps of confidence instead of classes.

    Returns
    -------
    dict
        Maps each entry and split to a memory-mapped (rows, cols) array: classes as integers, or confidences as uint8.
        Runs without a recorded map are omitted.
    """
    file = run_records.confidence if confidence else run_records.map
    maps = {(run.entry, run.split): run_records.read_map(file(run.key)) for run in runs if run.seed == 0}
    return {name: array for name, array in maps.items() if array is not None}


def _seal_name(file: Path) -> str:
    """Return the name under which a file is sealed: ``folder/name``."""
    return f"{file.parent.name}/{file.name}"
