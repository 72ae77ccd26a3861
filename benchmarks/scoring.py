"""Helpers shared by benchmarks: fitting and scoring a head on one draw of a split, means over draws, and run metadata."""

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
    """Return command, date, commit, machine and package versions of a run. The commit ends in ``+`` if files of ``hsifeat`` have changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return {
        "command": " ".join([".venv/bin/python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "hsifeat") else ""),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "load_average": round(os.getloadavg()[0], 1),
        },
        "versions": {name: version(name) for name in packages},
    }


def draws_of(splits: tuple[str, ...], labels: Any, draws: int) -> dict[tuple[str, int], Any]:
    """Draw every split for every seed, with equal numbers of training pixels, like `hsifeat bench`."""
    from classifiers.comparison.sampling import draw_all
    from classifiers.splits import parse_split

    return draw_all([parse_split(text) for text in splits], labels, draws, PrintingListener())


def accuracy(table: Any, head: str, features: str, draw: Any, seed: int) -> float:
    """Fit a head on the training pixels of a draw, and return the overall accuracy on the test pixels."""
    from classifiers.input_sets import InputSet

    return timed_accuracy(table.select_groups(InputSet.parse(features).includes), head, draw, seed)[0]


def timed_accuracy(table: Any, head: str, draw: Any, seed: int) -> tuple[float, float]:
    """Fit a head on the training pixels of a draw. Return the accuracy on the test pixels, and the processor seconds of the fit.

    The reduction of columns is fitted to the unlabelled sample of the table. If the table has no sample, the reduction is
    fitted to the training pixels.
    """
    from classifiers import make_head

    train, test = (table[side[table.rows, table.cols]] for side in (draw.train, draw.test))
    classifier = make_head(head, layout=table.layout)
    if "random_state" in classifier.get_params():
        classifier.set_params(random_state=seed)
    start = time.process_time()
    classifier.fit(train.X, train.y, unlabelled=train.unlabelled, positions=train.positions)
    seconds = time.process_time() - start
    return float(np.mean(classifier.predict(test.X) == test.y)), seconds


def mean_sd(values: Any) -> dict[str, float]:
    """Return mean and sample standard deviation of fractions, in percentage points."""
    points = 100 * np.asarray(values)
    return {"mean": round(float(points.mean()), 2), "sd": round(float(points.std(ddof=1)), 2)}


class PrintingListener:
    """A listener that prints notes, and progress every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, event: Any) -> None:
        """Print an event: every note, and progress at most every ten seconds."""
        from hsifeat.runtime.events import Advanced, Note

        if isinstance(event, Note):
            print(event.message, flush=True)
        elif isinstance(event, Advanced) and time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            print(f"{event.task}: {event.done:.0f} {event.detail}", flush=True)
