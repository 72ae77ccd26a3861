"""The usual way to extract features of a denoiser, as papers describe it, and comparisons of the usual way with hsifeat.

``benchmarks/extraction.py`` runs the comparisons. The usual way processes one tile and one timestep at a time. It runs the
whole forward pass with torch and diffusers, and upsamples every layer to the resolution of the scene. All features of the
scene are in memory, as float32.
"""

from __future__ import annotations

import json
import time
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from extraction_subjects import NARROW_ADM, SUBJECTS, open_subject, prepare, stored_bytes
from measuring import Peak, ceiling, cpu_seconds, matrix_product
from scoring import RESULTS

WAYS_REPEATS = 3
# The way of MTMSD is a forward pass for each labelled pixel and timestep. A sample of the pixels is scaled to all.
LABELLED_PIXELS, SAMPLED_PIXELS, INDIAN_PINES_PX = 10_249, 4, 145


def extract(
    network: Any, schedule: Any, image: np.ndarray, layers: list[str], timesteps: list[int], tile_px: int
) -> np.ndarray:
    """Return the features of a (channels, rows, cols) image, as a (features, rows, cols) float32 array.

    The height and width of the image are multiples of `tile_px`.
    """
    import torch
    from torch.nn.functional import interpolate

    maps: dict[str, Any] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _m, _i, output, name=name: maps.update({name: output}))
        for name in layers
    ]
    random = torch.Generator().manual_seed(0)
    rows, cols = (side // tile_px for side in image.shape[1:])
    lines = []
    with torch.inference_mode():
        for row in range(rows):
            line = []
            for col in range(cols):
                window = (slice(row * tile_px, (row + 1) * tile_px), slice(col * tile_px, (col + 1) * tile_px))
                clean = torch.tensor(image[:, *window])[None]
                noise = torch.randn(clean.shape, generator=random)
                stack = []
                for t in timesteps:
                    network(schedule.add_noise(clean, noise, t), t)
                    stack += [interpolate(maps[name], size=(tile_px, tile_px), mode="bilinear")[0] for name in layers]
                line.append(torch.cat(stack).numpy())
            lines.append(np.concatenate(line, axis=2))
    for hook in hooks:
        hook.remove()
    return np.concatenate(lines, axis=1)


def measure_ways(*, quick: bool) -> dict[str, dict[str, Any]]:
    """Measure the usual way and hsifeat in turn, for the layers of ddpm-segmentation.

    Loading the model is not measured.
    """
    import hsifeat

    subject = NARROW_ADM
    side = 2 * subject.tile if quick else subject.side
    backbone, network = open_subject("narrow-adm", subject)
    jobs = [prepare(backbone, subject, side, noise="shared") for _ in range(WAYS_REPEATS + 1)]
    layers = list(dict.fromkeys(plane.id.layer for plane in jobs[0].planes))
    image = jobs[0].extractor.model_input.read(jobs[0].extractor.layout.extent)
    usual = partial(extract, network, backbone.schedule, image, layers, subject.timesteps)
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
    """Return the GFLOPs of a whole forward pass (the usual way), and of a pass that ends after the last layer (hsifeat)."""
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
    """Compare the cost of a forward pass for each labelled pixel with the cost of tiles that cover the scene, at the same timesteps.

    The scene has the size of Indian Pines. The cost of a few labelled pixels is scaled to all labelled pixels.
    """
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
    """Return the cost of the usual way divided by the cost of hsifeat, for times, memory and sizes.

    The ratio of times is the median of the ratios of adjacent runs.
    """
    pairs = zip(usual["all_cpu_seconds"], ours["all_cpu_seconds"], strict=True)
    ratios = {
        name: round(usual[name] / ours[name], 1)
        for name in ("gflop_per_pass", "peak_mib_above_model", "feature_bytes", "stored_bytes")
    }
    return {"time": round(median(one / other for one, other in pairs), 2), **ratios}


def compare_heads(ddpm: dict[str, Any]) -> dict[str, Any]:
    """Compare the fits of all heads from one store with the same fits, each after an extraction of its own.

    The processor seconds of the fits are read from ``benchmarks/results/heads.json``.
    """
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
