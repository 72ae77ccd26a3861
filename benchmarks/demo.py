"""Run `make demo` twice, and record its wall times and accuracies.

``.venv/bin/python benchmarks/demo.py`` writes ``benchmarks/results/demo.json``, the source of the table in the README.
Times depend on the machine. Accuracies are mean and standard deviation over five seeds.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "demo.json"


def main() -> None:
    """Delete the folder of the demo, run it twice, and write the result."""
    shutil.rmtree(ROOT / "demo", ignore_errors=True)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        subprocess.run(["make", "demo"], cwd=ROOT, check=True)
        seconds.append(round(time.perf_counter() - start, 1))
    report = json.loads((ROOT / "demo" / "report" / "results.json").read_text())
    training = json.loads((ROOT / "demo" / "backbone" / "training.json").read_text())
    names = report["class_names"]
    content = {
        "command": ".venv/bin/python benchmarks/demo.py",
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        "versions": report["provenance"]["versions"],
        "seconds_first": seconds[0],
        "seconds_again": seconds[1],
        "pretraining": {
            "steps": training["steps"],
            "seconds": round(training["seconds"], 1),
            "parameters": training["parameters"],
            "loss_last_tenth": sum(training["losses"][-training["steps"] // 10 :]) / (training["steps"] // 10),
        },
        "store_bytes": sum(p.stat().st_size for p in (ROOT / "demo" / "trained.zarr").rglob("*") if p.is_file()),
        "oa_points_of_trained_planes_over_spectra": margins(report["summary"]),
        "learning_curves": [
            {**point["entry"], **{key: point[key] for key in ("split", "per_class", "train_pixels", "oa")}}
            for point in report["curves"]
        ],
        "accuracy": [
            {
                **{key: row[key] for key in ("head", "features", "store", "split", "seeds", "oa", "aa", "kappa")},
                "train_pixels": row["train_pixels"],
                "test_pixels": row["test_pixels"],
                "left_out": [names[str(c)] for c in row["left_out"]],
                "fit_seconds": round(row["fit_seconds"], 3),
            }
            for row in report["summary"]
        ],
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {RESULT.relative_to(ROOT)}: {seconds[0]} s, again {seconds[1]} s")


def margins(summary: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the gain in overall accuracy of trained planes over spectra, in points, for each split and head."""
    oa = {(row["split"], row["head"], row["features"], row["store"]): row["oa"][0] for row in summary}
    return {
        split: {
            head: round(100 * (value - oa[split, head, "spectra", ""]), 2)
            for (own, head, features, store), value in oa.items()
            if (own, features, store) == (split, "planes", "trained") and (split, head, "spectra", "") in oa
        }
        for split in dict.fromkeys(row["split"] for row in summary)
    }


if __name__ == "__main__":
    main()
