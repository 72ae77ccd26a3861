"""Measure the speed, memory and size of extraction against the limits of the machine and against the usual way.

``.venv/bin/python benchmarks/extraction.py`` writes ``benchmarks/results/extraction.json`` in about ten minutes and prints
a summary. ``--quick`` measures smaller scenes and writes nothing. Every part runs in a separate process with one thread,
and compares only times of this process. Times are processor seconds (user and system), medians of interleaved runs. An
extraction with a network is the second extraction of its process, so that its time does not include imports.
``extract_wall_over_bare`` is the wall time of the extraction divided by the processor seconds of the bare forward passes.
This ratio has a meaning only if both cores were free. Weights are random, except those of `natural32`.

The number of floating-point operations (FLOPs) counts the convolutions and matrix products of the published network, up to
the last layer. Winograd's convolutions need fewer multiplications for the same result, so they can exceed the ceiling,
which is the speed of matrix products.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from extraction_subjects import BANDS, REPEATS, SUBJECTS, open_subject, prepare, stored_bytes
from measuring import Peak, ceiling, interleaved, matrix_product, stages
from scoring import RESULTS, about_run
from usual_way import compare_heads, compare_ways, measure_ways, measure_windows

RESULT = RESULTS / "extraction.json"
COPIED_BYTES = 2**26


def main() -> None:
    """Run all parts, print a summary, and write the result unless ``--quick`` is set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small scenes; write nothing")
    parser.add_argument("--only", help="parts to measure, separated by commas; write nothing")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](quick=options.quick)))
        return
    parts = options.only.split(",") if options.only else list(PARTS)
    results = {part: in_process(part, quick=options.quick) for part in parts}
    results |= results.pop("ways", {})
    content = {
        **about_run(("torch", "diffusers", "zarr", "numpy")),
        "what": " ".join(__doc__.split()),
        "threads": 1,
        **results,
    }
    if {"usual", "ours"} <= set(results):
        content["usual_over_ours"] = compare_ways(results["usual"], results["ours"])
    if "ddpm" in results:
        content["heads"] = compare_heads(results["ddpm"])
    if not (options.quick or options.only):
        RESULT.write_text(json.dumps(content, indent=1) + "\n")
    shares = ("bare_over_ceiling", "extract_over_ceiling", "extract_over_bare", "extract_wall_over_bare")
    rows = [
        f"{name} " + " ".join(f"{results[name][share]:.2f}" for share in shares) for name in SUBJECTS if name in results
    ]
    print(f"{', '.join(shares)}: {'; '.join(rows)}; usual over ours: {content.get('usual_over_ours')}")


def in_process(part: str, *, quick: bool) -> dict[str, Any]:
    """Measure one part in a process with one thread."""
    print(f"{part} …", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--part", part, *(["--quick"] if quick else [])]
    with tempfile.TemporaryDirectory(prefix="hsifeat-extraction-") as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HSIFEAT_CACHE": f"{folder}/cache", "TMPDIR": folder}
        output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(json.dumps(result), file=sys.stderr, flush=True)
    return result


def measure_network(name: str, *, quick: bool) -> dict[str, Any]:
    """Measure the ceilings of the machine, the bare forward passes of a network, and a whole extraction with its stages."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import hsifeat
    from hsifeat.backbones.network import deterministic_inference
    from hsifeat.backbones.taps import tap

    subject = SUBJECTS[name]
    backbone, network = open_subject(name, subject)
    job = prepare(backbone, subject, subject.quick_side if quick else subject.side)
    tiles = job.extractor.count_tiles(job.extractor.layout.extent)
    layers, batch = list(dict.fromkeys(plane.id.layer for plane in job.planes)), min(job.extractor.batch, tiles)
    noisy = torch.randn(batch, backbone.channels, subject.tile, subject.tile)

    def published() -> object:
        with deterministic_inference("cpu"):
            return tap(network, layers, lambda: backbone.call(network, noisy, 50), 50)

    with FlopCounterMode(display=False) as counter:
        published()
    flops = counter.get_total_flops() / batch
    ways: dict[str, Callable[[], object]] = {
        "matrix": matrix_product,
        "bare": lambda: backbone.forward_to(noisy, 50, layers),
        "published": published,
    }
    runs = interleaved(ways, subject.repeats)
    hsifeat.run(prepare(backbone, subject, subject.tile, timesteps=[subject.timesteps[0]]))  # imports and first uses
    source, target = (torch.ones(COPIED_BYTES, dtype=torch.uint8) for _ in range(2))
    copied = interleaved({"copy": partial(target.copy_, source)}, REPEATS)["copy"]
    with stages() as by_stage, Peak() as peak:
        start, wall = time.process_time(), time.perf_counter()
        store = hsifeat.run(job)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
    seconds -= peak.cpu_seconds
    again = interleaved({name: ways[name] for name in ("matrix", "bare")}, subject.repeats)
    limit = ceiling(runs["matrix"] + again["matrix"])
    bare, as_published = median(runs["bare"] + again["bare"]) / batch, median(runs["published"]) / batch
    passes = tiles * len(subject.timesteps)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "layers": layers,
        "tile_px": subject.tile,
        "batch": batch,
        "scene_px": job.extractor.scene.rows,
        "passes": passes,
        "gflop_per_pass": round(flops / 1e9, 2),
        "ceiling_gflop_s": round(limit / 1e9, 1),
        "copy_gb_s": round(COPIED_BYTES / median(copied) / 1e9, 1),
        "seconds_per_pass": {
            "as published": round(as_published, 4),
            "bare": round(bare, 4),
            "extract": round(seconds / passes, 4),
        },
        "passes_per_second": round(passes / seconds, 2),
        "published_over_ceiling": round(flops / as_published / limit, 3),
        "bare_over_ceiling": round(flops / bare / limit, 3),
        "extract_over_ceiling": round(flops * passes / seconds / limit, 3),
        "extract_over_bare": round(seconds / (bare * passes), 3),
        "extract_wall_over_bare": round(wall / (bare * passes), 3),
        "extract_seconds": {"cpu": round(seconds, 2), "wall": round(wall, 2)},
        "cpu_seconds_by_stage": by_stage,
        "peak_mib_above_model": peak.mib,
        "feature_bytes": job.remaining(None).plan.missing_bytes,
        "stored_bytes": stored_bytes(store),
    }


def measure_context(*, quick: bool) -> dict[str, Any]:
    """Measure the extraction of the default context layers."""
    import hsifeat

    side = 128 if quick else 512
    random = np.random.default_rng(0)
    scene = hsifeat.Scene("random", random.random((side, side, BANDS), np.float32))
    config = hsifeat.ExtractionConfig.from_options({"backbone": "context"})
    job = hsifeat.prepare(scene, config, out=Path(tempfile.mkdtemp()) / "store.zarr", device="cpu")
    with Peak() as peak:
        start = time.process_time()
        store = hsifeat.run(job)
        seconds = time.process_time() - start
    return {
        "scene_px": side,
        "planes": len(job.planes),
        "extract_seconds": {"cpu": round(seconds, 2)},
        "peak_mib_above_start": peak.mib,
        "stored_bytes": stored_bytes(store),
    }


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    **{name: partial(measure_network, name) for name in SUBJECTS},
    "context": measure_context,
    "ways": measure_ways,
    "windows": measure_windows,
}

if __name__ == "__main__":
    main()
