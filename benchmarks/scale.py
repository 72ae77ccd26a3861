"""Measure how the Dask executor scales: two workers against one, overhead per task, client memory, and requests to the store.

``.venv/bin/python benchmarks/scale.py PART…`` measures the named parts, by default all parts, and writes the results to
``benchmarks/results/scale.json``. ``throughput``, ``overhead`` and ``lightgbm`` need two free cores. All other parts
measure processor time or count requests. ``--small`` runs fewer tasks.

- ``throughput``: extraction of a scene by one worker and by two workers, with one thread each. The processor time of this
  process (client and scheduler) and of the workers is measured. The network of ddpm-cifar10, with random weights, spends
  almost all time on arithmetic. ``natural32`` is the smallest network, so the time for copying the scene to the store
  matters;
- ``overhead``: tasks that compute for one second, so that all other time is spent on scheduling;
- ``tiny``: 10,000 tasks that compute nothing, and the memory growth of this process, which is both client and scheduler;
- ``lightgbm``: LightGBM in one process with two threads, and its Dask estimator with two workers, on the same table;
- ``requests``: requests of a worker to the store, for a unit with one plane;
- ``capacity``: processor time and bytes of an extraction with the default options, per million pixels;
- ``simulation``: the load of a scheduler and of a store with 1,000 workers, in a discrete-event simulation with the results
  of ``tiny`` and ``requests``.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import psutil
from cache_bench import save_cifar
from scoring import RESULTS, about_run

from hsifeat import Scene, extract, open_scene
from hsifeat.runtime.dask_executor import dask_executor
from hsifeat.store.plane_layout import UNIT_PX, SceneLayout

OPTIONS: dict[str, dict[str, Any]] = {
    "ddpm": {"timesteps": [50], "layers": ["up_blocks.2"], "tile": 64, "halo": 0},
    "natural32": {"timesteps": [50, 100, 200], "layers": ["up_blocks.1"]},
}
UNITS = {"ddpm": 16, "natural32": 24}
UNIT_SECONDS = (1.0, 10.0, 60.0)
WORKERS = 1000
FILE = RESULTS / "scale.json"


def main() -> None:
    """Measure the named parts, and add their results to the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    for part in arguments.parts or PARTS:
        content = json.loads(FILE.read_text()) if FILE.exists() else {}
        measured = PARTS[part](arguments.small, content)
        content[part] = {**about_run(("torch", "distributed", "zarr")), "measured": measured}
        print(part, json.dumps(measured, indent=1))
        FILE.write_text(json.dumps(content, indent=1) + "\n")


def measure_throughput(small: bool, _: dict[str, Any]) -> dict[str, Any]:
    """Extract a scene with one worker and with two workers. Return the durations, the processor times and the speedup."""
    with tempfile.TemporaryDirectory(prefix="hsifeat-scale-") as folder:
        save_cifar(Path(folder) / "ddpm", quick=small)
        backbones = {"ddpm": str(Path(folder) / "ddpm"), "natural32": "natural32"}
        return {
            name: measure_speedup(Path(folder), 2 if small else UNITS[name], backbone=backbone, **OPTIONS[name])
            for name, backbone in backbones.items()
        }


def measure_speedup(folder: Path, units: int, **options: Any) -> dict[str, Any]:
    """Extract a scene of `units` units with one worker and with two workers. Return the durations, the processor times and the speedup."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=folder) as stores:
        tiny = Scene("tiny", random.random((16, 16, 24), np.float32))
        side = cast("SceneLayout", extract(tiny, **options, out=Path(stores) / "tiny.zarr").layout).unit_px
        scene = Scene("scale", random.random((side, side * units, 24), np.float32))
        one, two = (measure_extraction(scene, side, Path(stores), workers, options) for workers in (1, 2))
    stated = {name: value for name, value in options.items() if name != "backbone"}
    speedup = round(one["seconds"] / two["seconds"], 3)
    return {"units": units, "unit_px": side, **stated, "1_worker": one, "2_workers": two, "speedup": speedup}


def measure_extraction(
    scene: Scene, unit_px: int, folder: Path, workers: int, options: dict[str, Any]
) -> dict[str, float]:
    """Return the duration and the processor seconds of an extraction.

    Each worker first computes a task that is not measured, so that the time in which workers load the backbone does not
    count.
    """
    with dask_executor(f"local:{workers}") as executor:
        warm = Scene("warm", np.asarray(scene.cube)[:, : unit_px * workers])
        extract(warm, **options, executor=executor, out=folder / f"warm-{workers}.zarr")
        client = psutil.Process()
        processes = [client, *client.children(recursive=True)]
        before, start = [cpu_seconds(process) for process in processes], time.perf_counter()
        extract(scene, **options, executor=executor, out=folder / f"{workers}.zarr")
        seconds = time.perf_counter() - start
        cpu = [cpu_seconds(process) - earlier for process, earlier in zip(processes, before, strict=True)]
    return {
        "seconds": round(seconds, 2),
        "client_cpu_seconds": round(cpu[0], 2),
        "worker_cpu_seconds": round(sum(cpu[1:]), 2),
    }


def cpu_seconds(process: psutil.Process) -> float:
    """Return the processor time of all threads of a process, in user and system mode."""
    times = process.cpu_times()
    return float(times.user + times.system)


def count_requests(_: bool, __: dict[str, Any]) -> dict[str, float]:
    """Return the number of requests to the store per unit of a worker, by kind of request.

    The number is a fourth of the difference between a scene of five units and a scene of one unit.
    """
    from zarr.storage import LocalStore

    from hsifeat.store.location import LocalLocation
    from tests.helpers.executors import InThisProcess

    counts: Counter[str] = Counter()

    def counted(owner: type, name: str, label: str) -> Any:
        plain = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            counts[label] += 1
            return plain(*arguments, **options)

        return patch.object(owner, name, call)

    def extracted(units: int) -> Counter[str]:
        counts.clear()
        cube = np.random.default_rng(0).random((UNIT_PX, UNIT_PX * units, 8), np.float32)
        with tempfile.TemporaryDirectory(prefix="hsifeat-scale-") as folder:
            out = Path(folder) / "s.zarr"
            extract(Scene("counted", cube), backbone="context", layers=["mean-5"], executor=InThisProcess(), out=out)
        return Counter(counts)

    with (
        counted(LocalLocation, "get", "get"),
        counted(LocalLocation, "put", "put"),
        counted(LocalLocation, "delete", "delete"),
        counted(LocalStore, "get", "get"),
    ):
        one, five = extracted(1), extracted(5)
    return {label: (five[label] - one[label]) / 4 for label in sorted(five)}


def busy(seconds: float) -> float:
    """Compute until this thread has used `seconds` of processor time, and return `seconds`."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))
    return seconds


def nothing(number: int) -> int:
    """Return `number` without any computation."""
    return number


def measure_overhead(small: bool, _: dict[str, Any]) -> dict[str, float]:
    """Compare the wall time of tasks of one second with the time that the workers spend in these tasks."""
    tasks = 8 if small else 60
    with dask_executor("local:2") as executor:
        list(executor.run(busy, [0.1] * 4))
        start = time.perf_counter()
        spent = [seconds for _, seconds in executor.run(timed_busy, [1.0] * tasks)]
        wall = time.perf_counter() - start
    ideal = sum(spent) / 2
    return {
        "tasks": tasks,
        "wall_seconds": round(wall, 3),
        "in_tasks_seconds": round(ideal, 3),
        "share": round(wall / ideal - 1, 4),
    }


def timed_busy(seconds: float) -> float:
    """Compute until this thread has used `seconds` of processor time, and return the wall time in seconds."""
    start = time.perf_counter()
    busy(seconds)
    return time.perf_counter() - start


def measure_tiny(small: bool, _: dict[str, Any]) -> dict[str, float]:
    """Run many tasks that compute nothing, and measure the time and memory of this process (client and scheduler)."""
    tasks = 300 if small else 10_000
    with dask_executor("local:2") as executor:
        list(executor.run(nothing, range(100)))
        process = psutil.Process()
        memory, cpu, start = process.memory_info().rss, time.process_time(), time.perf_counter()
        results = sum(1 for _ in executor.run(nothing, range(tasks)))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        grown = process.memory_info().rss - memory
    return {
        "tasks": results,
        "seconds": round(seconds, 1),
        "wall_ms_per_task": round(1e3 * seconds / tasks, 2),
        "cpu_ms_per_task": round(1e3 * cpu / tasks, 2),
        "memory_growth_mb": round(grown / 1e6, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }


def measure_lightgbm(small: bool, _: dict[str, Any]) -> list[dict[str, float]]:
    """Compare LightGBM with its Dask estimator on tables of several sizes."""
    return [fit_lightgbm(rows) for rows in ((2_000,) if small else (10_000, 100_000, 400_000))]


def fit_lightgbm(rows: int, *, columns: int = 100) -> dict[str, float]:
    """Fit LightGBM on a table with eight classes, in one process and with its Dask estimator, and return both durations in seconds."""
    from dask import array
    from distributed import Client, LocalCluster
    from lightgbm import DaskLGBMClassifier, LGBMClassifier

    random = np.random.default_rng(0)
    X, y = random.random((rows, columns), np.float32), random.integers(0, 8, rows)
    options = {"n_estimators": 10, "num_leaves": 31, "verbose": -1}
    start = time.perf_counter()
    LGBMClassifier(**options, n_jobs=2).fit(X, y)
    alone = time.perf_counter() - start
    with LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        parts = array.from_array(X, (rows // 2, columns)), array.from_array(y, rows // 2)
        persisted = client.persist(parts)
        start = time.perf_counter()
        DaskLGBMClassifier(**options, client=client).fit(*persisted)
        shared = time.perf_counter() - start
    return {
        "rows": rows,
        "table_mb": round(X.nbytes / 1e6, 1),
        "one_process_s": round(alone, 2),
        "dask_s": round(shared, 2),
    }


def measure_capacity(_: bool, __: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure the processor time and the bytes of an extraction of Indian Pines, with the defaults of two backbones.

    The extraction uses one thread, and follows a first extraction that is not measured.
    """
    import torch

    torch.set_num_threads(1)
    scene, rows = open_scene("indian-pines"), []
    pixels = scene.rows * scene.cols
    for backbone in ("natural32", "context"):
        with tempfile.TemporaryDirectory(prefix="hsifeat-scale-") as folder:
            extract(scene, backbone=backbone, out=Path(folder) / "first.zarr")
            start = time.process_time()
            store = extract(scene, backbone=backbone, out=Path(folder) / "second.zarr")
            seconds = time.process_time() - start
            files = store.location.files()
        size = sum(count for key, count in files.items() if key.startswith("planes/"))
        rows.append(
            {
                "backbone": backbone,
                "planes": len(store.planes),
                "core_seconds_per_megapixel": round(1e6 * seconds / pixels, 1),
                "plane_mb_per_megapixel": round(size / pixels, 1),
            }
        )
    return rows


def simulate_workers(_: bool, content: dict[str, Any]) -> list[dict[str, float]]:
    """Simulate 1,000 workers, with the measured costs of a task and the counted requests of a unit."""
    task_s = content["tiny"]["measured"]["cpu_ms_per_task"] / 1e3
    requests = sum(content["requests"]["measured"].values())
    return [simulate(seconds, task_s, requests) for seconds in UNIT_SECONDS]


def simulate(
    unit_s: float, scheduler_s: float, requests: float, *, workers: int = WORKERS, seed: int = 0
) -> dict[str, float]:
    """Simulate workers that request units from one scheduler, and return the loads of scheduler, workers and store.

    The time of a unit varies by a fifth around `unit_s` seconds. The scheduler serves one task at a time, in `scheduler_s`
    seconds. Each worker keeps one task in reserve. The first tasks of the workers are not counted, because all workers
    receive them at once.
    """
    random = np.random.default_rng(seed)
    start_units, units = 4 * workers, 60 * workers
    done, busy_until, began, finished, idle = 0, 0.0, 0.0, 0.0, 0.0
    # The next task of each worker arrives while the current one runs.
    ready = np.zeros(workers)
    events = [(random.uniform(0.8, 1.2) * unit_s, worker) for worker in range(workers)]
    heapq.heapify(events)
    while done < units:
        now, worker = heapq.heappop(events)
        done, finished = done + 1, now
        if done == start_units:
            began, idle = now, 0.0
        start = max(now, ready[worker])
        idle += start - now
        busy_until = max(busy_until, now) + scheduler_s
        ready[worker] = busy_until
        heapq.heappush(events, (start + random.uniform(0.8, 1.2) * unit_s, worker))
    seconds, counted = finished - began, done - start_units
    return {
        "workers": workers,
        "unit_seconds": unit_s,
        "units_per_second": round(counted / seconds, 1),
        "scheduler_load": round(counted * scheduler_s / seconds, 3),
        "worker_idle_share": round(idle / (seconds * workers), 4),
        "store_requests_per_second": round(requests * counted / seconds, 1),
    }


PARTS: dict[str, Callable[[bool, dict[str, Any]], Any]] = {
    "throughput": measure_throughput,
    "overhead": measure_overhead,
    "tiny": measure_tiny,
    "lightgbm": measure_lightgbm,
    "requests": count_requests,
    "capacity": measure_capacity,
    "simulation": simulate_workers,
}

if __name__ == "__main__":
    main()
