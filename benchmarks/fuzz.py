"""Damage files of every kind at random, and count how many damages are detected, harmless or faults.

    python benchmarks/fuzz.py --trials 500 --out benchmarks/results/fuzz.json

`tests/test_fuzz.py` runs the first trials of the same sequence. A fault is a wrong value without an error, an exception
other than `HsifeatError`, or a change outside the damaged folder. The exit status is 1 if there are faults.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from scoring import about_run

from tests.helpers.fuzz import run_trials
from tests.helpers.fuzz_subjects import cache_at, make_store, make_subjects

HEADS = ("lda", "logistic", "lightgbm", "svm", "random-forest", "film", "mlp")


def main() -> int:
    """Run the trials, print a line for each subject, and write the counts to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500, help="trials for each subject")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/fuzz.json"))
    options = parser.parse_args()
    counts, faults = {}, []
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch, cache_at(Path(name) / "own"):
        place = Path(name)
        for subject in make_subjects(make_store(place), place / "tiny", place, patch, HEADS):
            seeds = range(options.first, options.first + options.trials)
            tally = run_trials(subject, seeds, place / "trials" / subject.name)
            counts[subject.name] = {**tally.outcomes, "faults": len(tally.faults)}
            faults += tally.faults
            sys.stdout.write(f"{subject.name}: {counts[subject.name]}\n")
            sys.stdout.flush()
    content = {"trials": options.trials, "first": options.first, "counts": counts, "faults": faults}
    about = about_run(("torch", "scikit-learn", "lightgbm", "zarr"))
    options.out.write_text(json.dumps({**about, **content}, indent=1) + "\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
