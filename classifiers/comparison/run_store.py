"""The record of a comparison's finished runs: each writes its own files as soon as it is done, so nothing is done twice.

In the folder ``record`` of the report, a run of key ``K`` (32 hexadecimal digits of what decides its numbers) leaves

- ``predictions/K.npy``: the predicted class of each test pixel;
- ``maps/K.npy`` and, of heads that know probabilities, ``maps/K-confidence.npy``: of seed 0, the class of every pixel of the
  scene, and the largest probability as 0 to 255;
- ``runs/K.json``, last: its scores, and ``draw``, the name of its draw.

A draw ``D`` leaves ``draws/D.npz`` with ``train`` and ``test``, pixels counted along the rows of the scene, and ``truth``, the
class of each test pixel; a trial of a sweep ``trials/K.json``, its accuracy. Files appear whole: of a run that was killed some
may be there, but not the last.
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

from classifiers.comparison.results.run import RunResult
from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.registry import head_class, head_distribution
from classifiers.layout import Layout
from classifiers.splits import SplitDraw
from hsifeat.errors import StoreError
from hsifeat.files import atomic_write, disk_errors, write_file
from hsifeat.scenes import Labels
from hsifeat.scenes.blocks import blocks

# What fits and scores; another version may give other numbers, so it makes another run.
_PACKAGES = ("hsifeat", "scikit-learn", "lightgbm", "torch", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that decide a run's numbers."""
    return {name: version(name) for name in _PACKAGES}


def draw_key(draw: SplitDraw, labels: Labels) -> str:
    """Return the sha256, to 32 digits, of a draw's pixels and their true classes."""
    digest = hashlib.sha256(str(draw.shape).encode())
    digest.update(draw.train_bits.data)
    digest.update(draw.test_bits.data)
    for block in blocks(*draw.shape):
        digest.update(np.ascontiguousarray(labels.classes[block.slices], "<i8").data)
    return digest.hexdigest()[:32]


def run_key(store: str, layout: Layout, head: dict[str, Any], draw: str, seed: int) -> str:
    """Return the sha256, to 32 digits, of all that decides a run's numbers.

    Parameters
    ----------
    store : str
        Key of the store that the columns come from.
    layout : Layout
        Which columns.
    head : dict
        The head's name and parameters. For a head of another package the name and version of that package count too.
    draw : str
        As `draw_key` gives it.
    seed : int
        Seed of the head.
    """
    facts = {"store": store, "layout": layout.to_json(), "head": head, "draw": draw, "seed": seed}
    text = json.dumps({**facts, "versions": versions() | head_distribution(head["name"])}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class RunStore:
    """The files of finished runs, in a folder; a small value that workers are sent."""

    folder: Path

    def find(self, key: str, *, mapped: bool) -> RunResult | None:
        """Return a finished run, if wanted with its map and, of a head that knows probabilities, its confidence; or None."""
        try:
            result = RunResult.from_json(json.loads(self._run(key).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        needed = [self.predictions(key)]
        if mapped:
            needed.append(self.map(key))
            if issubclass(head_class(result.run.entry.head), ProbabilisticHead):
                needed.append(self.confidence(key))
        return result if all(file.exists() for file in needed) else None

    def add(self, result: RunResult, predicted: NDArray[np.integer]) -> None:
        """Record a finished run with its predictions on the test pixels."""
        key = result.key
        kind = np.min_scalar_type(int(predicted.max(initial=0)))
        with atomic_write(self.predictions(key)) as part, part.open("wb") as file:
            np.save(file, predicted.astype(kind), allow_pickle=False)
        write_file(self._run(key), json.dumps(result.to_json(), indent=1))

    def add_draw(self, key: str, draw: SplitDraw, labels: Labels) -> None:
        """Keep the pixels of a draw."""
        if self.draw(key).exists():
            return
        test = np.flatnonzero(draw.test)
        with atomic_write(self.draw(key)) as part, part.open("wb") as file:
            np.savez_compressed(file, train=np.flatnonzero(draw.train), test=test, truth=np.ravel(labels.classes)[test])

    def read_draw(self, key: str) -> dict[str, NDArray[np.integer]]:
        """Return ``train``, ``test`` and ``truth`` of a draw."""
        with disk_errors(self.draw(key)), np.load(self.draw(key), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in ("train", "test", "truth")}

    def read_predictions(self, key: str) -> NDArray[np.integer]:
        """Return the predicted class of each test pixel of a run."""
        file = self.predictions(key)
        try:
            return np.asarray(np.load(file, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(
                f"{file} can't be read ({error}): delete it, and the same command runs that run again"
            ) from error

    def read_map(self, file: Path) -> NDArray[Any] | None:
        """Return a map (rows, cols) that stays on disk until it is looked at; None where there is none."""
        try:
            there: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return there

    def predictions(self, key: str) -> Path:
        """Where the predictions of a run lie."""
        return self.folder / "predictions" / f"{key}.npy"

    def draw(self, key: str) -> Path:
        """Where the pixels of a draw lie."""
        return self.folder / "draws" / f"{key}.npz"

    def map(self, key: str) -> Path:
        """Where the map of a run lies."""
        return self.folder / "maps" / f"{key}.npy"

    def confidence(self, key: str) -> Path:
        """Where the confidence map of a run lies."""
        return self.folder / "maps" / f"{key}-confidence.npy"

    def _run(self, key: str) -> Path:
        return self.folder / "runs" / f"{key}.json"

    def find_trial(self, key: str) -> float | None:
        """Return the accuracy of a finished trial of a sweep, or None."""
        try:
            return float(json.loads(self._trial(key).read_bytes())["oa"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def add_trial(self, key: str, accuracy: float) -> None:
        """Record a finished trial of a sweep."""
        write_file(self._trial(key), json.dumps({"oa": accuracy}))

    def _trial(self, key: str) -> Path:
        return self.folder / "trials" / f"{key}.json"
