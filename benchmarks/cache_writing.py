"""Measure how much writing adds to the wall time of an extraction with the network of google/ddpm-cifar10-32."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cache_bench import Bench, digits, indian_pines, save_cifar

if TYPE_CHECKING:
    from hsifeat.backbones.protocol import Backbone
    from hsifeat.scenes import Scene

_TIMESTEPS = (0, 50, 100, 200, 400)
# Tile and halo in pixels: the default, and the tiling that writes the most bytes per second, because it has no halo.
_DEFAULT, _HARDEST = (64, 16), (32, 0)


def measure(bench: Bench) -> dict[str, Any]:
    """Time pairs of extractions: an extraction that writes, and an extraction whose `Store.write` does nothing.

    The order within a pair is reversed after each repetition.
    """
    from hsifeat.backbones.open_backbone import open_backbone

    folder = bench.folder / "cifar"
    size = save_cifar(folder, quick=bench.quick)
    scene, backbone = indian_pines(), open_backbone(folder)
    timesteps = _TIMESTEPS[:1] if bench.quick else _TIMESTEPS
    out = bench.folder / "writing.zarr"
    return {
        "what": "extraction of Indian Pines, middle block and all decoder blocks",
        "parameters": size,
        "timesteps": list(timesteps),
        "default_tiling": _pairs(scene, backbone, timesteps, out, _DEFAULT, bench.repetitions(5)),
        "every_cell_kept": _pairs(scene, backbone, timesteps, out, _HARDEST, bench.repetitions(7)),
    }


def _pairs(
    scene: Scene, backbone: Backbone, timesteps: tuple[int, ...], out: Path, tiling: tuple[int, int], repetitions: int
) -> dict[str, Any]:
    _run(scene, backbone, timesteps[:1], out, tiling, writing=True)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    raw = 0
    for turn in range(repetitions):
        for writing in (True, False) if turn % 2 == 0 else (False, True):
            duration, raw = _run(scene, backbone, timesteps, out, tiling, writing=writing)
            seconds[writing].append(duration)
    ratios = [a / b for a, b in zip(seconds[True], seconds[False], strict=True)]
    return {
        "tile_px": tiling[0],
        "halo_px": tiling[1],
        "values_bytes": raw,
        "repetitions": repetitions,
        "seconds_with": digits(median(seconds[True])),
        "seconds_without": digits(median(seconds[False])),
        "all_seconds": {"with": [digits(s) for s in seconds[True]], "without": [digits(s) for s in seconds[False]]},
        "ratios": [digits(r) for r in ratios],
        "ratio": digits(median(ratios)),
        "added_percent": digits(100 * (median(ratios) - 1), 3),
    }


def _run(
    scene: Scene,
    backbone: Backbone,
    timesteps: tuple[int, ...],
    out: Path,
    tiling: tuple[int, int],
    *,
    writing: bool,
) -> tuple[float, int]:
    """Extract to a new store, and return the duration in seconds and the uncompressed bytes of the planes."""
    from contextlib import nullcontext

    import hsifeat
    from hsifeat.store.plane_layout import size_bytes
    from hsifeat.store.store import Store

    shutil.rmtree(out, ignore_errors=True)
    config = hsifeat.ExtractionConfig(backbone=backbone, timesteps=timesteps, tile=tiling[0], halo=tiling[1])
    job = hsifeat.prepare(scene, config, out=out)
    with nullcontext() if writing else patch.object(Store, "write", lambda *_: None):
        start = time.perf_counter()
        store = hsifeat.run(job)
        seconds = time.perf_counter() - start
    done = all(store.done(plane.id).all() for plane in store.planes)
    if done != writing:
        raise AssertionError(f"{'with' if writing else 'without'} writing, planes are{'' if done else ' not'} complete")
    return seconds, sum(size_bytes(store.layout, plane, store.layout.extent) for plane in store.planes)
