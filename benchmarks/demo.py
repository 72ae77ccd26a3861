"""Run `make demo` twice, and record its wall times and the accuracies of its report.

``.venv/bin/python benchmarks/demo.py`` writes ``benchmarks/results/demo.json``. It deletes the folder ``demo`` first. Times
depend on the machine. Accuracies are mean and standard deviation over five seeds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import Any

from scoring import RESULTS, ROOT, about_run

RESULT = RESULTS / "demo.json"


def main() -> None:
    """Delete the folder of the demo, run the demo twice, and write the result."""
    shutil.rmtree(ROOT / "demo", ignore_errors=True)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run(["make", "demo"], cwd=ROOT, check=True)
        seconds.append(round(time.perf_counter() - start, 1))
    report = json.loads((ROOT / "demo" / "report" / "results.json").read_text())
    content = about_run(("torch", "diffusers", "scikit-learn", "scikit-image", "zarr")) | {
        "seconds_first": seconds[0],
        "seconds_again": seconds[1],
        "verdicts": report["verdicts"],
        "contrasts": report["contrasts"],
        "accuracy": [_accuracy(row) for row in report["summary"]],
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {RESULT.relative_to(ROOT)}: {seconds[0]} s, again {seconds[1]} s")


def _accuracy(row: dict[str, Any]) -> dict[str, Any]:
    """Return the entry, the numbers of pixels and the scores (mean and sd) of a row of the summary."""
    kept = ("split", "seeds", "train_pixels", "test_pixels", "fit_seconds")
    scores = {name: {part: row["scores"][name][part] for part in ("mean", "sd")} for name in ("oa", "aa", "kappa")}
    return {**row["entry"], **{key: row[key] for key in kept}, **scores}


if __name__ == "__main__":
    main()
