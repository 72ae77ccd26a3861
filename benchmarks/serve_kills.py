"""Kill `hsifeat serve` many times during extractions, and check that every job ends and no store is damaged.

    python benchmarks/serve_kills.py --kills 28

Each round requests an extraction over HTTP. After the first features are written, it kills the service, its runner or both
with SIGKILL. A killed service is started again. Two rounds in a row request the same extraction, so that some extractions
are interrupted several times. At the end, all jobs must be done or have failed with a reason, and all stores must pass
verification.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from scoring import RESULTS, about_run
from service_process import ServiceProcess, wait_until

import hsifeat
from hsifeat.extraction.repair import verify
from hsifeat.store.location import as_location

SIDE_PX, BANDS = 320, 12
OPTIONS = {"backbone": "natural32", "timesteps": [0, 50], "layers": ["up_blocks.0", "up_blocks.1"]}
PLACES = ("service", "service", "runner", "service and runner")
FINAL = {"done", "failed", "cancelled"}


def run_rounds(folder: Path, kills: int) -> dict[str, Any]:
    """Kill the service and its runner in turn, and return the states of all jobs and the faults."""
    rng = np.random.default_rng(0)
    (folder / "scenes").mkdir()
    np.save(folder / "scenes" / "scene.npy", rng.random((SIDE_PX, SIDE_PX, BANDS), np.float32))
    began, states, killed, attempts = time.time(), [], dict.fromkeys(PLACES, 0), 0
    with ServiceProcess(folder, "--scenes", str(folder / "scenes")) as service:
        service_client = httpx.Client(headers={"Authorization": f"Bearer {service.token}"}, timeout=60)

        def state(job_id: str) -> dict[str, Any]:
            answer: dict[str, Any] = service_client.get(f"{service.url}/jobs/{job_id}").raise_for_status().json()
            return answer

        def working(job_id: str) -> Any:
            job = state(job_id)
            return job["state"] in FINAL or (job["state"] == "running" and (job["progress"] or {}).get("done"))

        jobs: list[str] = []
        for number in range(kills):
            # Two rounds in a row have the same seed, so that some extractions are interrupted several times.
            request = {
                "scene": {"files": ["scene.npy"], "axes": "rows,cols,bands"},
                "options": {**OPTIONS, "seed": number // 2},
            }
            answer = service_client.post(f"{service.url}/extractions", json=request).raise_for_status().json()
            jobs.append(answer["job"]["id"])
            wait_until(lambda: working(jobs[-1]))
            time.sleep(random.Random(number).uniform(0, 1))  # noqa: S311
            before, place = state(jobs[-1]), PLACES[number % len(PLACES)]
            for runner in service.runners() if "runner" in place else []:
                runner.kill()
            if "service" in place:
                service.kill()
                service.start()
            killed[place] += before["state"] == "running"
            print(f"kill {number + 1}: {place}, while job {jobs[-1]} was {before['state']}", flush=True)
        ended = [wait_until(lambda job_id=job_id: (now := state(job_id))["state"] in FINAL and now) for job_id in jobs]
        states = [job["state"] for job in ended]
        attempts = sum(job["attempts"] for job in {job["id"]: job for job in ended}.values())
        service_client.close()
    faults = [f"{job['id']}: {job['state']}" for job in ended if job["state"] != "done" and not job["reason"]]
    for path in sorted((folder / "stores").glob("*.zarr")):
        faults += [f"{path.name}: {damage.kind} {damage.key}" for damage in verify(as_location(path)).damages]
        faults += [f"{path.name}: unfinished"] if hsifeat.open_features(path).unfinished else []
    return {
        "kills": kills,
        "kills_of_running_jobs": killed,
        "jobs": len(set(jobs)),
        "starts_of_jobs": attempts,
        "states": {name: states.count(name) for name in sorted(set(states))},
        "stores": len(list((folder / "stores").glob("*.zarr"))),
        "faults": faults,
        "seconds": round(time.time() - began, 1),
    }


def main() -> None:
    """Run the rounds, print a line for each round, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=28)
    parser.add_argument("--out", type=Path, default=RESULTS / "serve_kills.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run_rounds(Path(folder), options.kills)
    text = json.dumps({**about_run(("hsifeat", "uvicorn", "torch")), **result}, indent=1)
    print(text)
    options.out.write_text(f"{text}\n")
    sys.exit(bool(result["faults"]))


if __name__ == "__main__":
    main()
