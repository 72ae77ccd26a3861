"""Run commands with too little memory, and count how many succeed, report the lack of memory, or fail in another way.

    python benchmarks/memory_limits.py --limits 12 --out benchmarks/results/memory_limits.json

Each command runs in a forked process whose address space may grow by a number of MiB (``RLIMIT_AS``). The limits range from
almost nothing to more than enough. A fault is a traceback, an error message about anything but memory, a death by a signal,
a run without an end, or a damaged store or model afterwards. The exit status is 1 if there are faults.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scoring import about_run

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.fuzz_subjects import cache_at, make_store
from tests.helpers.small import small_cube

LIMIT_S = 300
COMMANDS = {
    "extract": "extract CUBE --backbone context --layers mean-3,profile-5 --out OUT.zarr",
    "extract network": "extract CUBE --backbone BACKBONE --timesteps 0 --tile 32 --halo 8 --out OUT.zarr",
    "fit": "fit STORE --head lda --inputs spectra+planes --split random:0.3 --out OUT",
    "fit network": "fit STORE --head mlp --inputs spectra --set epochs=3 --out OUT",
    "predict": "predict MODEL STORE --out OUT.tif",
    "export": "export STORE --out OUT.npy",
    "export parquet": "export STORE --out OUT.parquet",
    "bench": "bench STORE --heads lda --inputs spectra --splits random:0.3 --seeds 1 --jobs 1 --out OUT",
    "verify": "cache verify STORE",
    "ls": "cache ls",
}  # fmt: skip
_MEMORY = re.compile(r"memory ran out|memory is too small|memory are free", re.IGNORECASE)


@dataclass(frozen=True)
class LimitMemory:
    """A patch that limits the growth of the address space of the process.

    Attributes
    ----------
    growth_mib : int
        Maximum growth in MiB.
    """

    growth_mib: int

    def __call__(self) -> None:
        """Set the limit for this process."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + self.growth_mib * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run_once(words: list[str], growth_mib: int) -> tuple[str, str]:
    """Run a command with a limit, and return the outcome and the description of a fault.

    The outcome is ``done``, ``said`` (the command reported a lack of memory) or ``fault``.
    """
    command = ForkedCommand(*words, patch=LimitMemory(growth_mib))
    command.process.join(LIMIT_S)
    if command.poll() is None:
        command.process.kill()
        command.wait()
        return "fault", f"no end within {LIMIT_S} s"
    ended = command.wait()
    if ended.returncode == 0:
        return "done", ""
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    if ended.returncode == 1 and "Traceback" not in ended.stderr and _MEMORY.search(ended.stderr):
        return "said", ""
    return "fault", f"exit status {ended.returncode}: {' / '.join(lines[-2:])[-300:]}"


def main() -> int:
    """Run all commands with all limits, print a line for each command, and write the counts to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limits", type=int, default=12, help="limits for each command")
    parser.add_argument("--most", type=int, default=1024, help="largest growth, in MiB")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/memory_limits.json"))
    options = parser.parse_args()
    limits = sorted({int(mib) for mib in np.geomspace(1, options.most, options.limits)})
    counts, faults = {}, []
    with TemporaryDirectory() as name, cache_at(Path(name) / "cache"):
        import hsifeat

        place = Path(name)
        store = make_store(place)
        hsifeat.fit_model(hsifeat.open_features(store), "lda", split="random:0.5").save(place / "model")
        np.save(place / "cube.npy", small_cube(75, 53))
        paths = {"STORE": store, "MODEL": place / "model", "CUBE": place / "cube.npy", "BACKBONE": place / "tiny"}
        for title, text in COMMANDS.items():
            outcomes: Counter[str] = Counter()
            for mib in limits:
                out = place / "out" / str(mib)
                out.parent.mkdir(exist_ok=True)
                words = [str(paths.get(word, word)).replace("OUT", str(out)) for word in text.split()]
                outcome, reason = run_once(words, mib)
                outcomes[outcome] += 1
                faults += [f"{title} with {mib} MiB: {reason}"] * (outcome == "fault")
                shutil.rmtree(out.parent)
            counts[title] = dict(outcomes)
            sys.stdout.write(f"{title}: {counts[title]}\n")
            sys.stdout.flush()
    content = {"limits_mib": limits, "counts": counts, "faults": faults}
    about = about_run(("torch", "scikit-learn", "zarr"))
    options.out.write_text(json.dumps({**about, **content}, indent=1) + "\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
