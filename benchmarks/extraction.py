"""Measure the speed, memory and size of extraction against the limits of the machine and against the usual way.

``.venv/bin/python benchmarks/extraction.py`` writes ``benchmarks/results/extraction.json`` in about ten minutes and prints a
summary. ``--quick`` measures smaller scenes and writes nothing. Every part runs in its own process with one thread, and
compares only times of that process: processor seconds (user and system), medians of interleaved runs. The time of an
extraction is that of a second one in the process, without imports. ``extract_wall_over_bare`` divides its wall time by the
seconds of the bare forward passes; it means something only if both cores were free. Weights are random.
Floating-point operations (FLOPs) are those of the convolutions and matrix products of the network as published, up to the
last layer. Winograd's convolutions do the same with fewer multiplications, so they can exceed the ceiling of matrix products.
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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import usual_way
from measuring import Peak, ceiling, cpu_seconds, interleaved, matrix_product, stages
from scoring import RESULTS, about_run

RESULT = RESULTS / "extraction.json"
BANDS, REPEATS, WAYS_REPEATS, COPIED_BYTES = 100, 3, 3, 2**26
# The way of MTMSD is a forward pass for each labelled pixel and timestep. A sample of the pixels is scaled to all.
LABELLED_PIXELS, SAMPLED_PIXELS, INDIAN_PINES_PX = 10_249, 4, 145


@dataclass(frozen=True)
class Subject:
    """A network to measure: constructor arguments of ``UNet2DModel``, layers, tiles, sides of scenes in pixels, timesteps."""

    layers: tuple[str, ...]
    tile: int
    side: int
    timesteps: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    quick_side: int = 128
    repeats: int = REPEATS


def unet(
    widths: tuple[int, ...], attention: tuple[int, ...], *, blocks: int, head: int | None, **more: Any
) -> dict[str, Any]:
    """Return constructor arguments of ``UNet2DModel``; `attention` has the levels with attention, where 0 is the finest."""
    kinds = ["AttnDownBlock2D" if level in attention else "DownBlock2D" for level in range(len(widths))]
    return {
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": blocks,
        "block_out_channels": widths,
        "down_block_types": kinds,
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "attention_head_dim": head,
        **more,
    }


GUIDED = {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 32}
TWO_LEVELS = ("up_blocks.1", "up_blocks.2")
CIFAR = unet(
    (128, 256, 256, 256),
    (1,),
    blocks=2,
    head=None,
    norm_eps=1e-6,
    downsample_padding=0,
    flip_sin_to_cos=False,
    freq_shift=1,
)
MTMSD = unet((128, 256, 256), (), blocks=2, head=64) | {"in_channels": 25, "out_channels": 25}
ADM_64 = unet(
    (192, 384, 576, 768), (1, 2, 3), blocks=3, head=64, downsample_type="resnet", upsample_type="resnet", **GUIDED
)
SUBJECTS = {
    "ddpm": Subject(TWO_LEVELS, 64, 512, (0, 50, 100, 200, 400), CIFAR),
    "mtmsd": Subject(("up_blocks.0", "up_blocks.1"), 48, 192, (50, 200), MTMSD, quick_side=96),
    "natural32": Subject(("up_blocks.0", "up_blocks.1"), 128, 512, (50,), quick_side=256),
    "adm64": Subject(TWO_LEVELS, 64, 128, (50,), ADM_64, quick_side=64, repeats=1),
}
# ADM-256 with a quarter of its channels. Its levels and blocks, and so the names of the layers, are those of ADM-256.
NARROW_ADM = Subject(
    tuple(f"output_blocks.{i}" for i in (5, 6, 7, 8, 12)),
    64,
    320,
    (50, 150, 250),
    unet((64, 64, 128, 128, 256, 256), (3, 4, 5), blocks=2, head=64, **GUIDED),
)


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


def network_as_published(subject: Subject) -> Any:
    """Return the network as diffusers runs it, with random weights."""
    import torch
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    return UNet2DModel(**subject.arguments).eval().requires_grad_(requires_grad=False)


def open_subject(name: str, subject: Subject) -> tuple[Any, Any]:
    """Open a backbone; return it and its network as diffusers runs it."""
    import torch

    import hsifeat
    from hsifeat.runtime.allocator import keep_freed_memory

    keep_freed_memory()
    if not subject.arguments:
        backbone = hsifeat.open_backbone(name)
        return backbone, backbone.load().eval()
    schedule = hsifeat.NoiseSchedule.from_betas(torch.linspace(1e-4, 0.02, 1000))
    network = network_as_published(subject)
    channels = subject.arguments["in_channels"]
    return hsifeat.ModuleBackbone(network, schedule, channels, name=name, config=subject.arguments), network


def prepare(backbone: Any, subject: Subject, side: int, **options: Any) -> Any:
    """Prepare the extraction of a scene of random spectra to a temporary store."""
    import hsifeat
    from hsifeat.backbones.unet2d import output_blocks

    random = np.random.default_rng(0)
    scene = hsifeat.Scene(
        "random", random.random((side, side, 32), np.float32) @ random.random((32, BANDS), np.float32)
    )
    names = {alias: name for name, alias in output_blocks(backbone.network).items()}
    values = {
        "backbone": backbone,
        "timesteps": list(subject.timesteps),
        "layers": [names.get(layer, layer) for layer in subject.layers],
        "tile": subject.tile,
        "halo": 0,
        "projection": f"pca:{backbone.channels}",
        **options,
    }
    config = hsifeat.ExtractionConfig.from_options(values)
    return hsifeat.prepare(scene, config, out=Path(tempfile.mkdtemp()) / "store.zarr", device="cpu")


def measure_network(name: str, *, quick: bool) -> dict[str, Any]:
    """Measure the ceilings, the bare forward passes, and a whole extraction with its stages."""
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


def measure_ways(*, quick: bool) -> dict[str, dict[str, Any]]:
    """Measure the usual way and ours in turn, with the layers of ddpm-segmentation, from the loaded model to the features."""
    import hsifeat

    subject = NARROW_ADM
    side = 2 * subject.tile if quick else subject.side
    backbone, network = open_subject("narrow-adm", subject)
    jobs = [prepare(backbone, subject, side, noise="shared") for _ in range(WAYS_REPEATS + 1)]
    layers = list(dict.fromkeys(plane.id.layer for plane in jobs[0].planes))
    image = jobs[0].extractor.model_input.read(jobs[0].extractor.layout.extent)
    usual = partial(usual_way.extract, network, backbone.schedule, image, layers, subject.timesteps)
    gflop = gflop_per_pass(network, backbone, layers, subject.tile)
    usual(tile_px=side // 2)
    hsifeat.run(jobs.pop())
    runs: dict[str, list[tuple[float, float, int, int]]] = {"usual": [], "ours": []}
    matrices = []
    for job in jobs:
        matrices.append(cpu_seconds(matrix_product))
        with Peak() as peak:
            start = time.process_time()
            size = usual(tile_px=subject.tile).nbytes
            seconds = time.process_time() - start
        runs["usual"].append((seconds - peak.cpu_seconds, peak.mib, size, size))
        with Peak() as peak:
            start = time.process_time()
            store = hsifeat.run(job)
            seconds = time.process_time() - start
        size = job.remaining(None).plan.missing_bytes
        runs["ours"].append((seconds - peak.cpu_seconds, peak.mib, size, stored_bytes(store)))
    return {
        way: {
            "parameters": sum(p.numel() for p in network.parameters()),
            "layers": list(subject.layers),
            "tiles": (side // subject.tile) ** 2,
            "timesteps": len(subject.timesteps),
            "gflop_per_pass": gflop[way],
            "cpu_seconds": round(median(row[0] for row in rows), 2),
            "all_cpu_seconds": [round(row[0], 2) for row in rows],
            "ceiling_gflop_s": round(ceiling(matrices) / 1e9, 1),
            "peak_mib_above_model": round(median(row[1] for row in rows), 1),
            "feature_bytes": rows[0][2],
            "stored_bytes": rows[0][3],
        }
        for way, rows in runs.items()
    }


def gflop_per_pass(network: Any, backbone: Any, layers: list[str], tile_px: int) -> dict[str, float]:
    """Return the GFLOPs of a whole pass, as in the usual way, and of ours, which ends after the last layer."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from hsifeat.backbones.network import deterministic_inference
    from hsifeat.backbones.taps import tap

    noisy = torch.zeros(1, backbone.channels, tile_px, tile_px)
    whole = partial(backbone.call, network, noisy, 50)
    counts = {}
    for way, run in (("usual", whole), ("ours", partial(tap, network, layers, whole, 50))):
        with deterministic_inference("cpu"), FlopCounterMode(display=False) as counter:
            run()
        counts[way] = round(counter.get_total_flops() / 1e9, 2)
    return counts


def measure_windows(*, quick: bool) -> dict[str, Any]:
    """Compare a forward pass for each labelled pixel and timestep with tiles over a scene of the size of Indian Pines."""
    import hsifeat

    subject = SUBJECTS["mtmsd"]
    backbone, _ = open_subject("mtmsd", subject)
    count = 2 if quick else SAMPLED_PIXELS
    pixels = np.linspace(24, INDIAN_PINES_PX - 25, count).astype(int)
    jobs = {
        "windows": prepare(backbone, subject, INDIAN_PINES_PX, pixels=(pixels, pixels), halo=None, batch=1),
        "tiles": prepare(backbone, subject, INDIAN_PINES_PX),
    }
    seconds = {name: cpu_seconds(partial(hsifeat.run, job)) for name, job in jobs.items()}
    tiles = jobs["tiles"].extractor.count_tiles(jobs["tiles"].extractor.layout.extent)
    return {
        "what": f"{count} windows of {subject.tile} px, scaled to {LABELLED_PIXELS} pixels; {tiles} tiles of the same side",
        "timesteps": len(subject.timesteps),
        "cpu_seconds": {name: round(value, 2) for name, value in seconds.items()},
        "windows_over_tiles": round(seconds["windows"] * LABELLED_PIXELS / count / seconds["tiles"]),
        "windows_over_tiles_in_flops": round(LABELLED_PIXELS / tiles),
    }


def compare_ways(usual: dict[str, Any], ours: dict[str, Any]) -> dict[str, float]:
    """Return ratios of the usual way to ours; that of the times is the median of the ratios of adjacent runs."""
    pairs = zip(usual["all_cpu_seconds"], ours["all_cpu_seconds"], strict=True)
    ratios = {
        name: round(usual[name] / ours[name], 1)
        for name in ("gflop_per_pass", "peak_mib_above_model", "feature_bytes", "stored_bytes")
    }
    return {"time": round(median(one / other for one, other in pairs), 2), **ratios}


def compare_heads(ddpm: dict[str, Any]) -> dict[str, Any]:
    """Compare fits from one store with an extraction for each fit, by the recorded processor seconds of the fits of every head in heads.json."""
    heads = json.loads((RESULTS / "heads.json").read_text())
    fits, seeds = [row["fit_seconds"] for row in heads["heads"]], heads["seeds"]
    fitting = seeds * sum(fits)
    extraction = ddpm["extract_seconds"]["cpu"]
    count = seeds * len(fits)
    return {
        "what": f"{count} fits of heads.json; an extraction of {ddpm['passes']} passes of ddpm before each, or a finished store",
        "fits": count,
        "fit_seconds": round(fitting, 1),
        "extract_seconds": extraction,
        "anew_over_cache": round((count * extraction + fitting) / fitting, 1),
        "anew_over_cache_with_its_extraction": round((count * extraction + fitting) / (extraction + fitting), 1),
    }


def stored_bytes(store: Any) -> int:
    """Return the bytes of the planes of a store on the disk."""
    return sum(file.stat().st_size for file in (Path(str(store.location)) / "planes").rglob("*") if file.is_file())


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    **{name: partial(measure_network, name) for name in SUBJECTS},
    "context": measure_context,
    "ways": measure_ways,
    "windows": measure_windows,
}

if __name__ == "__main__":
    main()
