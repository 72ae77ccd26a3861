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


def accuracy(table: Any, head: str, features: str, draw: Any, seed: int) -> float:
    """Fit a head on the training pixels of a draw; return the overall accuracy on its test pixels."""
    from classifiers import make_head
    from classifiers.inputs import picks

    taken = table.take(picks(features))
    train, test = (taken[side[taken.rows, taken.cols]] for side in (draw.train, draw.test))
    made = make_head(head, layout=taken.layout)
    if "random_state" in made.get_params():
        made.set_params(random_state=seed)
    return float(np.mean(made.fit(train.X, train.y).predict(test.X) == test.y))


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
        from hsifeat.work.events import Advanced, Note

        if isinstance(event, Note):
            print(event.message, flush=True)
        elif isinstance(event, Advanced) and time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            print(f"{event.task}: {event.done:.0f} {event.detail}", flush=True)
