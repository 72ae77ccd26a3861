"""The record of a comparison's finished runs: a line each as soon as it is done, so that nothing is done twice."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results import RunResult
from classifiers.layout import Layout
from classifiers.splits import Draw
from hsifeat.files import disk_errors, whole
from hsifeat.scenes import Labels

# What fits and scores; another version may give other numbers, so it makes another run.
_PACKAGES = ("hsifeat", "scikit-learn", "lightgbm", "torch", "numpy")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages that decide a run's numbers."""
    return {name: version(name) for name in _PACKAGES}


def run_key(store: str, layout: Layout, head: dict[str, Any], labels: Labels, draw: Draw, seed: int) -> str:
    """Return the sha256 of all that decides a run's scores.

    Parameters
    ----------
    store : str
        Key of the store that the columns come from.
    layout : Layout
        Which columns.
    head : dict
        The head's name and parameters.
    labels : Labels
        True classes.
    draw : Draw
        Training and test pixels.
    seed : int
        Seed of the head.
    """
    facts = {"store": store, "layout": layout.to_json(), "head": head, "seed": seed, "versions": versions()}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for mask in (draw.train, draw.test):
        digest.update(np.packbits(mask).data)
    digest.update(np.ascontiguousarray(labels.classes, "<i8").data)
    return digest.hexdigest()


class Record:
    """Finished runs and their maps, in a folder.

    Parameters
    ----------
    folder : Path
        Made if need be; ``runs.jsonl`` and ``maps/`` lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "runs.jsonl"
        self._maps = folder / "maps"
        with disk_errors(folder):
            self._maps.mkdir(parents=True, exist_ok=True)
        self._known = dict(self._read())  # A later line wins.

    def _read(self) -> list[tuple[str, dict[str, Any]]]:
        if not self._file.exists():
            return []
        rows = []
        text = self._file.read_text(encoding="utf-8")
        for line in text.splitlines():
            try:
                row = json.loads(line)
                rows.append((str(row.pop("key")), row))
            except (ValueError, KeyError):
                continue  # The last line of a run that was killed while it wrote.
        if text and not text.endswith("\n"):
            with self._file.open("a", encoding="utf-8") as file:
                file.write("\n")
        return rows

    def find(self, key: str) -> RunResult | None:
        """Return a finished run, or None."""
        row = self._known.get(key)
        return None if row is None else RunResult.from_json(row)

    def add(self, key: str, result: RunResult) -> None:
        """Record a finished run."""
        row = result.to_json()
        self._known[key] = row
        with disk_errors(self._file), self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **row}) + "\n")

    def find_map(self, key: str) -> NDArray[np.integer] | None:
        """Return the map (rows, cols) that a run's head gave, or None."""
        file = self._maps / f"{key[:32]}.npy"
        try:
            return np.asarray(np.load(file, allow_pickle=False))
        except (OSError, ValueError, EOFError):
            return None

    def add_map(self, key: str, classes: NDArray[np.integer]) -> None:
        """Record the map that a run's head gave."""
        file = self._maps / f"{key[:32]}.npy"
        with whole(file) as part, part.open("wb") as stream:
            np.save(stream, classes, allow_pickle=False)
