"""Measure processor seconds of `hsifeat bench` with 8 heads, 2 splits and 5 seeds on the Indian Pines store of the demo.

Run ``make demo-pretrain`` first, then ``.venv/bin/python benchmarks/bench.py``. The script writes
``benchmarks/results/bench.json`` within 15 minutes on two free cores. It runs the command twice. The first run finds cached
samples but no recorded runs. The second run finds all runs recorded. ``--twice`` repeats the benchmark in a new folder, and
checks that the two results.csv differ only in durations.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from scoring import RESULTS, ROOT, about_run

HEADS = ("film", "hyperfeatures", "lda", "lightgbm", "mlp", "mtmsd", "random-forest", "svm")
SPLITS, SEEDS = ("random:0.1", "blocks:12+4:0.1"), 5
SECONDS = ("fit_seconds", "predict_seconds")


def main() -> None:
    """Measure a new and a repeated run of `hsifeat bench`, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=ROOT / "demo" / "trained.zarr")
    parser.add_argument("--out", type=Path, default=ROOT / "demo" / "bench")
    parser.add_argument("--jobs", type=int, help="number of worker processes; by default the number of cores")
    parser.add_argument("--twice", action="store_true")
    options = parser.parse_args()
    if not options.store.exists():
        raise SystemExit(f"no {options.store}: make demo-pretrain first")
    bench(options.store, options.out.with_name("bench-warm-up"), 1, heads=("lda",), seeds=1)
    first, again = (bench(options.store, options.out, options.jobs, fresh=fresh) for fresh in (True, False))
    content = {
        **about_run(("torch", "scikit-learn", "lightgbm")),
        **study(options.out),
        "cpu_seconds": first,
        "cpu_seconds_again": again,
    }
    if options.twice:
        other = options.out.with_name("bench-twice")
        bench(options.store, other, options.jobs)
        if timeless(options.out) != timeless(other):
            raise SystemExit(f"{options.out} and {other} differ in more than seconds")
        content["second_run_identical_but_for_seconds"] = True
    (RESULTS / "bench.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"{content['runs']} runs: {first} s of processor time, again {again} s")


def bench(
    store: Path,
    out: Path,
    jobs: int | None,
    *,
    heads: tuple[str, ...] = HEADS,
    seeds: int = SEEDS,
    fresh: bool = True,
) -> float:
    """Run `hsifeat bench`, and return the processor seconds of its processes."""
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    command = [Path(sys.executable).with_name("hsifeat"), "bench", store, "--heads", ",".join(heads)]
    command += ["--splits", ",".join(SPLITS), "--seeds", str(seeds), "--out", out]
    before = os.times()
    subprocess.run([*command, *([] if jobs is None else ["--jobs", str(jobs)])], check=True)
    after = os.times()
    return round(after.children_user - before.children_user + after.children_system - before.children_system, 1)


def study(out: Path) -> dict[str, Any]:
    """Return the settings, sizes, verdicts and accuracies of a report."""
    document = json.loads((out / "results.json").read_text())
    return {
        "heads": list(HEADS),
        "splits": list(SPLITS),
        "seeds": SEEDS,
        "runs": len(document["runs"]),
        "fit_seconds": round(sum(row["fit_seconds"] for row in document["runs"]), 1),
        "page_bytes": (out / "report.html").stat().st_size,
        "report_bytes": sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        "verdicts": document["verdicts"],
        "oa": [{**row["entry"], "split": row["split"], "oa": row["scores"]["oa"]} for row in document["summary"]],
    }


def timeless(out: Path) -> list[dict[str, str]]:
    """Read results.csv without the columns of durations."""
    with (out / "results.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in SECONDS} for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
