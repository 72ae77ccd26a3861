"""Kill each command at random moments and between its renames, and check the files that remain.

    python benchmarks/kills.py --rounds 60 --forced 20 --out benchmarks/results/kills.json

``--rounds`` is the number of kills of each command. The first ``--forced`` kills come just before a rename or deletion,
spread over all renames and deletions of the command. After each kill, the command runs again. A fault is a lost or
incomplete result, a leftover file, or a second run that fails. The exit status is 1 if there are faults. The counts are
written after each round. A later run continues the counts of an earlier run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scoring import about_run

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hsifeat.files import write_file
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
    kept = json.loads(options.out.read_text()) if options.out.exists() else {"counts": {}, "faults": []}
    kept = {**about_run(("torch", "scikit-learn", "zarr")), "counts": kept["counts"], "faults": kept["faults"]}
    with TemporaryDirectory() as name, cache_at(Path(name) / "own"):
        place = Path(name)
        cases = make_cases(make_store(place), place / "tiny", place)
        for command in options.commands.split(","):
            count = kept["counts"].setdefault(command, {"steps": 0, "killed": 0, "between_renames": 0})
            if count["killed"] >= options.rounds:
                continue
            case, rng = cases[command], np.random.default_rng([count["killed"], *command.encode()])
            count["steps"], seconds = count_steps(case, place)
            steps = np.resize(np.random.default_rng(0).permutation(count["steps"]), options.forced)
            tries, at = 3 * options.rounds, count["between_renames"]
            while count["killed"] < options.rounds and tries:
                tries -= 1
                step = int(steps[at]) if at < options.forced else None
                at += 1
                moment_s = float(rng.uniform(0, seconds))
                killed, found = run_round(case, place, step=step, after_s=moment_s)
                # A round does not count if the command ended before the kill. Later kills then come earlier.
                seconds *= 1 if killed else 0.9
                count["killed"] += killed
                count["between_renames"] += killed and step is not None
                when = f"at step {step}" if step is not None else f"after {moment_s:.2f} s"
                kept["faults"] += [f"{command} {when}: {fault}" for fault in found]
                write_file(options.out, json.dumps(kept, indent=1) + "\n")
            sys.stdout.write(f"{command}: {count}, faults so far: {len(kept['faults'])}\n")
            sys.stdout.flush()
    return bool(kept["faults"])


if __name__ == "__main__":
    sys.exit(main())
