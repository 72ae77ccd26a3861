"""What benchmarks share: a head fitted under one draw of a split, means over draws, and what ran on what."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def about_run(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return what was typed, when, at which commit, on what."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "command": " ".join([".venv/bin/python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
        "versions": {name: version(name) for name in packages},
    }


def draws_of(splits: tuple[str, ...], labels: Any, draws: int) -> dict[tuple[str, int], Any]:
    """Return, for every split and seed, a draw with as many training pixels as the split with the fewest has, as `bench` does."""
    from classifiers.comparison.sampling import draw_all
    from classifiers.splits import parse_split

    return draw_all([parse_split(text) for text in splits], labels, draws, Told())


def accuracy(table: Any, head: str, features: str, draw: Any, seed: int) -> float:
    """Fit a head on an input and the training pixels of a draw; return the overall accuracy on its test pixels."""
    from classifiers.feature_sets import group_filter

    return timed_accuracy(table.select_groups(group_filter(features)), head, draw, seed)[0]


def timed_accuracy(table: Any, head: str, draw: Any, seed: int) -> tuple[float, float]:
    """Fit a head on the training pixels of a draw; return the overall accuracy on its test pixels, and the fit's seconds."""
    from classifiers import make_head

    train, test = (table[side[table.rows, table.cols]] for side in (draw.train, draw.test))
    made = make_head(head, layout=table.layout)
    if "random_state" in made.get_params():
        made.set_params(random_state=seed)
    start = time.perf_counter()
    made.fit(train.X, train.y)
    took = time.perf_counter() - start
    return float(np.mean(made.predict(test.X) == test.y)), took


def mean_sd(values: Any) -> dict[str, float]:
    """Return mean and sample standard deviation in points."""
    points = 100 * np.asarray(values)
    return {"mean": round(float(points.mean()), 2), "sd": round(float(points.std(ddof=1)), 2)}


class Told:
    """A listener that prints notes, and where the work is every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, event: Any) -> None:
        """Print an event, or not."""
        from hsifeat.runtime.events import Advanced, Note

        if isinstance(event, Note):
            print(event.message, flush=True)
        elif isinstance(event, Advanced) and time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            print(f"{event.task}: {event.done:.0f} {event.detail}", flush=True)
