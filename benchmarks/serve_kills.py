"""Kill a service many times during extractions, and check that every job ends and no store is damaged.

    python benchmarks/serve_kills.py --kills 20 --out benchmarks/results/serve_kills.json

Each round submits an extraction, and kills the service or its runner by SIGKILL after the first features are written. A killed
service is started again. Two rounds in a row request the same extraction, so that some extractions are interrupted several
times. At the end, all jobs must be done or have failed with a reason, and all stores must pass verification.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from hsifeat.extraction.repair import verify
from hsifeat.service.jobs.records import JobKind
from hsifeat.store.location import as_location
from tests.helpers.forked_commands import ForkedFunction
from tests.helpers.job_runners import EXTRACTION, Jobs, job_config, serve_jobs
from tests.helpers.small import save_unet


def main() -> None:
    """Run the rounds, print a line for each, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HSIFEAT_CACHE"] = f"{folder}/cache"
        result = run_rounds(Path(folder), options.kills)
    text = json.dumps({"command": " ".join(["python", *sys.argv]), **result}, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")
    sys.exit(bool(result["faults"]))


def run_rounds(folder: Path, kills: int) -> dict[str, object]:
    """Kill the service and its runner in turn, and return the states of all jobs and the faults."""
    save_unet(folder / "backbones/tiny")
    config = job_config(folder, folder / "backbones")
    jobs, submitted, began = Jobs(config), [], time.time()
    service = ForkedFunction(serve_jobs, config)
    for number in range(kills):
        # Two rounds in a row have the same seed, so that some extractions are interrupted several times.
        request = {**EXTRACTION, "options": {**EXTRACTION["options"], "seed": number // 2}}
        job = jobs.submit(JobKind.EXTRACT, request).job
        submitted.append(job)
        jobs.advanced(job)
        if number % 4 == 3:
            # The fork server is the parent of both the service and its runner.
            for process in psutil.Process(service.process.pid).parent().children():
                if process.pid != service.process.pid:
                    process.kill()
        else:
            service.signal(signal.SIGKILL)
            service.wait()
            service = ForkedFunction(serve_jobs, config)
        print(f"kill {number + 1}: job {job.id} was {jobs.state(job).state}", flush=True)
    ended = [jobs.ended(job) for job in submitted]
    service.signal(signal.SIGKILL)
    service.wait()
    faults = [f"{job.id}: {job.state} {job.reason}" for job in ended if not (job.state == "done" or job.reason)]
    for path in sorted((folder / "stores").glob("*.zarr")):
        faults += [f"{path.name}: {damage.kind} {damage.key}" for damage in verify(as_location(path)).damages]
    states = [str(job.state) for job in ended]
    return {
        "kills": kills,
        "jobs": len({job.id for job in ended}),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "stores": len(list((folder / "stores").glob("*.zarr"))),
        "faults": faults,
        "seconds": round(time.time() - began, 1),
    }


if __name__ == "__main__":
    main()
