"""Kill each command at random moments and between its renames, and check what it leaves.

    python benchmarks/kills.py --rounds 60 --forced 20 --out benchmarks/results/kills.json

Of the rounds of each command, `forced` are killed just before one of its renames or deletions, spread over all of them. After each
kill the command runs again. A fault is a lost or half result, a leftover, or a second run that fails; it makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.helpers.fuzz_subjects import cache_at, make_store
from tests.helpers.kill_cases import count_steps, make_cases, run_round


def main() -> int:
    """Run all rounds, print a line for each command, and write the counts to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="kills of each command")
    parser.add_argument("--forced", type=int, default=20, help="kills of each command between two renames")
    parser.add_argument("--commands", default="repair,gc,rm,fit,predict,export,bench,pretrain")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/kills.json"))
    options = parser.parse_args()
    rng, counts, faults = np.random.default_rng(0), {}, []
    with TemporaryDirectory() as name, cache_at(Path(name) / "own"):
        place = Path(name)
        cases = make_cases(make_store(place), place / "tiny", place)
        for command in options.commands.split(","):
            case = cases[command]
            steps, seconds = count_steps(case, place)
            killed = forced = rounds = 0
            for number in np.resize(rng.permutation(steps), options.forced):
                ended, found = run_round(case, place, step=int(number))
                forced, rounds, faults = (
                    forced + ended,
                    rounds + 1,
                    faults + [f"{command} at step {number}: {f}" for f in found],
                )
            # A round in which the command ended before its kill does not count, and later kills come earlier.
            while killed < options.rounds - options.forced and rounds < 3 * options.rounds:
                moment_s = float(rng.uniform(0, seconds))
                ended, found = run_round(case, place, after_s=moment_s)
                seconds *= 1 if ended else 0.9
                killed, rounds, faults = (
                    killed + ended,
                    rounds + 1,
                    faults + [f"{command} after {moment_s:.2f} s: {f}" for f in found],
                )
            counts[command] = {"steps": steps, "killed": killed + forced, "between_renames": forced}
            sys.stdout.write(f"{command}: {counts[command]}, faults so far: {len(faults)}\n")
            sys.stdout.flush()
            options.out.write_text(json.dumps({"counts": counts, "faults": faults}, indent=1) + "\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
