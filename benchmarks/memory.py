"""Measure the peak memory of extractions, prediction and sampling on a small and on a large scene.

``.venv/bin/python benchmarks/memory.py`` writes ``benchmarks/results/memory.json`` in about an hour. It first writes two
ENVI files of 50 bands, with 512 x 512 and 4096 x 4096 pixels (1.7 GB), to a temporary folder below ``--folder``. Each task
runs in a separate process. A thread reads the anonymous memory of this process (RssAnon in /proc/self/status) every 10 ms.
Memory-mapped files do not count, because the operating system can release them. ``--large 1024`` is a quick run. ``--only
context`` measures one task, and keeps the other measurements in the result file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "memory.json"
SMALL_PX, LARGE_PX, BANDS, CLASSES = 512, 4096, 50, 4
TIMESTEP, LAYER, TILE_PX, HALO_PX = 100, "up_blocks.2", 80, 8
SAMPLED_PIXELS = 10_000
VERBS = ("extract", "context", "fit", "predict", "sample")
LIMITED = ("extract", "context", "predict", "sample")
ALLOWED_RATIO = 1.2
POLL_S = 0.01
ENVIRONMENT = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "MALLOC_ARENA_MAX": "2"}


def main() -> None:
    """Write the scenes and the network, run each task on each scene, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder")
    parser.add_argument("--large", type=int, default=LARGE_PX, help="side of the large scene in pixels")
    parser.add_argument("--only", choices=VERBS[:2], help="task to measure")
    parser.add_argument("--verb", choices=VERBS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.verb:
        print(json.dumps(measure(options.verb, options.folder)))
        return
    from scoring import about_run

    about = about_run(("numpy", "torch", "zarr", "spectral", "diffusers", "pillow"))
    before = json.loads(RESULT.read_text()) if options.only else {}
    verbs = [options.only] if options.only else VERBS
    with tempfile.TemporaryDirectory(prefix="hsifeat-memory-", dir=options.folder) as name:
        folder = Path(name)
        check_disk(folder, options.large)
        parameters = make_backbone(folder / "backbone")
        runs = {}
        for side in (SMALL_PX, options.large):
            make_scene(folder / str(side), side)
            known = before.get("runs", {}).get(f"{side} x {side}", {})
            runs[side] = {**known, **{verb: run(verb, folder / str(side)) for verb in verbs}}
            shutil.rmtree(folder / str(side))
    small, large = runs[SMALL_PX], runs[options.large]
    ratios = {verb: round(large[verb]["peak_mib"] / small[verb]["peak_mib"], 3) for verb in large}
    content = {
        "measured": before.get("measured", {}) | dict.fromkeys(verbs, about),
        "method": (
            "one process per verb and size; a thread reads RssAnon from /proc/self/status every 10 ms from the start of Python; "
            "peak_mib is the largest value, imports_mib the value once numpy alone is imported"
        ),
        "environment": ENVIRONMENT,
        "scene": {"bands": BANDS, "dtype": "uint16", "interleave": "bil", "sides_px": [SMALL_PX, options.large]},
        "backbone_parameters": parameters,
        "context_layers": context_layers(),
        "plane": {"t": TIMESTEP, "layer": LAYER, "tile_px": TILE_PX, "halo_px": HALO_PX},
        "head": "mlp on the plane, a few hundred labelled pixels; fit is measured too, but not limited",
        "sampled_pixels": SAMPLED_PIXELS,
        "runs": {f"{side} x {side}": verbs for side, verbs in runs.items()},
        "large_over_small": ratios,
        "allowed": ALLOWED_RATIO,
        "within": all(ratios[verb] <= ALLOWED_RATIO for verb in LIMITED if verb in large),
    }
    if options.large == LARGE_PX:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content["runs"], indent=1))
    print(f"large over small: {ratios}, {'' if content['within'] else 'NOT '}within {ALLOWED_RATIO}")


def check_disk(folder: Path, side: int) -> None:
    """Exit if the disk can't hold the large scene, its copy in the store and the planes."""
    need, free = round(side**2 * 12 * BANDS), shutil.disk_usage(folder).free
    if free < need:
        sys.exit(
            f"the benchmark needs {need / 1e9:.1f} GB in {folder}; {free / 1e9:.1f} GB are free: choose another --folder"
        )


def make_backbone(folder: Path) -> int:
    """Write a U-Net with random weights in the layout of diffusers, and return its number of parameters."""
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=TILE_PX,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3,
        attention_head_dim=8,
        norm_num_groups=4,
    )
    network.save_pretrained(folder / "unet")
    DDPMScheduler().save_pretrained(folder / "scheduler")
    return int(network.num_parameters())


def make_scene(folder: Path, side: int) -> None:
    """Write an ENVI scene with BIL interleave and its labels to ``scene.img``, ``scene.hdr`` and ``labels.npy``."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    spectra = rng.uniform(500, 6000, (CLASSES, BANDS)).astype(np.float32)
    noise = rng.normal(0, 60, (16, BANDS, side)).astype(np.float32)
    nm = ", ".join(f"{wavelength:.1f}" for wavelength in np.linspace(400, 2400, BANDS))
    facts = f"samples = {side}\nlines = {side}\nbands = {BANDS}\nheader offset = 0\ndata type = 12\ninterleave = bil\n"
    (folder / "scene.hdr").write_text(
        f"ENVI\n{facts}byte order = 0\nwavelength units = Nanometers\nwavelength = {{{nm}}}\n"
    )
    with (folder / "scene.img").open("wb") as file:
        for row in range(0, side, 16):
            shares = mixture(np.arange(row, row + 16), np.arange(side))
            values = np.einsum("crs,cb->rbs", shares, spectra, optimize=True)
            (values + noise).astype("<u2").tofile(file)
    labels = np.zeros((side, side), np.uint8)
    for top, left in rng.integers(0, side - 7, (10, 2)):
        square = slice(top, top + 7), slice(left, left + 7)
        labels[square] = 1 + mixture(np.arange(top, top + 7), np.arange(left, left + 7)).argmax(axis=0)
    labels[8 : 8 + CLASSES, 8] = 1 + np.arange(CLASSES)  # at least one pixel of every class
    np.save(folder / "labels.npy", labels)


def mixture(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return the fraction of each class at each pixel, a (classes, rows, cols) float32 array of smooth waves."""
    waves = [1.05 + np.sin(rows[:, None] / (9 + 4 * c) + c) * np.cos(cols / (13 + 3 * c)) for c in range(CLASSES)]
    return (np.stack(waves) / np.sum(waves, axis=0)).astype(np.float32)


def run(verb: str, folder: Path) -> dict[str, float]:
    """Run one task on one scene in a separate process, and return the peak memory and the duration."""
    print(f"{verb} {folder.name} …", file=sys.stderr, flush=True)
    output = subprocess.run(
        [sys.executable, __file__, "--verb", verb, "--folder", str(folder)],
        env={**os.environ, **ENVIRONMENT, "HSIFEAT_CACHE": str(folder / "cache")},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    usage: dict[str, float] = json.loads(output.splitlines()[-1])
    print(usage, file=sys.stderr, flush=True)
    return usage


def measure(verb: str, folder: Path) -> dict[str, float]:
    """Run one task while a thread records the anonymous memory of this process."""
    done, readings = threading.Event(), [anonymous_mib()]

    def watch() -> None:
        while not done.wait(POLL_S):
            readings.append(max(readings[-1], anonymous_mib()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        {"extract": extract, "context": context, "fit": fit, "predict": predict, "sample": sample}[verb](folder)
    finally:
        done.set()
        watcher.join()
    peak = max(readings[-1], anonymous_mib())
    return {
        "peak_mib": round(peak, 1),
        "imports_mib": round(readings[0], 1),
        "seconds": round(time.perf_counter() - start, 1),
    }


def anonymous_mib() -> float:
    """Return the anonymous memory of this process in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    sys.exit("/proc/self/status has no RssAnon: run the benchmark on Linux 4.5 or later")


def extract(folder: Path) -> None:
    """Extract one plane of the scene."""
    import hsifeat

    hsifeat.extract(
        hsifeat.open_scene(folder / "scene.hdr", labels=folder / "labels.npy"),
        backbone=folder.parent / "backbone",
        timesteps=[TIMESTEP],
        layers=[LAYER],
        projection="rgb",
        tile=TILE_PX,
        halo=HALO_PX,
        out=folder / "store.zarr",
        device="cpu",
    )


def context(folder: Path) -> None:
    """Extract the default context layers of finite reach."""
    import hsifeat

    scene = hsifeat.open_scene(folder / "scene.hdr")
    hsifeat.extract(scene, backbone="context", layers=context_layers(), out=folder / "context.zarr")
    shutil.rmtree(folder / "context.zarr")


def context_layers() -> list[str]:
    """Return the names of the default context layers of finite reach."""
    from hsifeat.context.layer_names import DEFAULT_LAYERS

    return [layer.name for layer in DEFAULT_LAYERS if not layer.is_reconstruction]


def fit(folder: Path) -> None:
    """Fit a head on the plane, and save the model."""
    from classifiers.fit import fit_model
    from hsifeat.features.open_features import open_features

    features = open_features(folder / "store.zarr")
    fit_model(features, "mlp", inputs="planes", params={"epochs": 10, "device": "cpu"}).save(folder / "model")


def predict(folder: Path) -> None:
    """Write a map of the scene with the saved model."""
    from classifiers.model import load_model
    from classifiers.predict import predict_map
    from hsifeat.features.open_features import open_features
    from hsifeat.scenes.maps import write_map

    model, features = load_model(folder / "model"), open_features(folder / "store.zarr")
    model.match_store(features)
    write_map(folder / "map.png", predict_map(features, model), model.legend)


def sample(folder: Path) -> None:
    """Read the plane at random pixels."""
    from hsifeat.features.open_features import open_features

    features = open_features(folder / "store.zarr")
    rows, cols = np.random.default_rng(1).integers(0, features.shape[:2], (SAMPLED_PIXELS, 2)).T
    values = features.sample(rows, cols)
    if values.shape[0] != SAMPLED_PIXELS or not np.isfinite(values).all():
        sys.exit(f"sample returned an array of shape {values.shape} that is short or not finite")


if __name__ == "__main__":
    main()
