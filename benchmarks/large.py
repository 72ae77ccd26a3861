"""Measure time, memory and disk space of `hsifeat extract` and `hsifeat bench` on a scene of 10,000 x 10,000 pixels.

``.venv/bin/python benchmarks/large.py`` writes ``benchmarks/results/large.json`` in about half an hour. It first writes a
GeoTIFF of 8 bands (1.6 GB) with 400 labelled fields of 6 classes to a temporary folder below ``--folder``. This folder
needs about 12 GB of free space. The network is small and has random weights, because the benchmark measures everything
except the network.

The measured memory is the anonymous memory (RssAnon in /proc/PID/status) of a command and its workers together. It is read
every 0.2 s, and the result has the maximum. ``--side 1000`` is a quick run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from memory import make_backbone
from PIL import Image
from rasterio.transform import from_origin
from scoring import RESULTS, about_run

HSIFEAT = Path(sys.executable).with_name("hsifeat")
SIDE_PX, BANDS, CLASSES, FIELDS, FIELD_PX = 10_000, 8, 6, 400, 24
STRIP_PX = 100
HEADS, SPLITS, SEEDS = ("lda", "logistic"), ("random:0.1", "blocks:12+4:0.1"), 5
POLL_S = 0.2


def main() -> None:
    """Write the scene, extract it, compare heads on it, and check the files of the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder")
    parser.add_argument("--side", type=int, default=SIDE_PX, help="side of the scene in pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hsifeat-large-", dir=options.folder) as name:
        folder = Path(name)
        make_backbone(folder / "backbone")
        make_scene(folder, options.side)
        extract = run_measured(
            folder, "extract", "scene.tif", "--labels", "labels.tif", "--backbone", "backbone", "--projection", "bands:5,3,1",
            "--timesteps", "100", "--layers", "mid_block,up_blocks.2", "--tile", "272", "--halo", "8", "--out", "s.zarr",
        )  # fmt: skip
        bench = [
            "bench", "s.zarr", "--heads", ",".join(HEADS), "--inputs", "spectra,spectra+planes", "--splits", ",".join(SPLITS),
            "--seeds", str(SEEDS), "--out", "report",
        ]  # fmt: skip
        content = {
            **about_run(("numpy", "zarr", "rasterio", "scikit-learn")),
            "scene": {"side_px": options.side, "bands": BANDS, "fields": FIELDS, "field_px": FIELD_PX},
            "heads": HEADS,
            "splits": SPLITS,
            "seeds": SEEDS,
            "extract": extract,
            "bench": run_measured(folder, *bench),
            "bench_again": run_measured(folder, *bench),
            "store_gb": round(gigabytes(folder / "s.zarr"), 3),
            "report": check_report(folder / "report", options.side),
        }
    if options.side == SIDE_PX:
        (RESULTS / "large.json").write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def make_scene(folder: Path, side: int) -> None:
    """Write ``scene.tif`` and ``labels.tif``: labelled fields on a noisy background."""
    random = np.random.default_rng(0)
    spectra = random.uniform(500, 6000, (CLASSES + 1, BANDS)).astype(np.float32)
    classes = np.zeros((side, side), np.uint8)
    for number, (top, left) in enumerate(random.integers(0, side - FIELD_PX, (FIELDS, 2))):
        classes[top : top + FIELD_PX, left : left + FIELD_PX] = 1 + number % CLASSES
    grid = {"crs": "EPSG:32616", "transform": from_origin(500_000, 4_500_000, 10, 10), "width": side, "height": side}
    tiles = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "BIGTIFF": "YES"}
    with rasterio.open(folder / "labels.tif", "w", count=1, dtype="uint8", compress="deflate", **grid, **tiles) as file:
        file.write(classes, 1)
    with rasterio.open(folder / "scene.tif", "w", count=BANDS, dtype="uint16", **grid, **tiles) as file:
        for top in range(0, side, STRIP_PX):
            part = classes[top : top + STRIP_PX]
            values = spectra[part] + random.normal(0, 900, (*part.shape, BANDS)).astype(np.float32)
            window = rasterio.windows.Window(0, top, side, len(part))
            file.write(np.clip(values, 0, None).astype(np.uint16).transpose(2, 0, 1), window=window)


def run_measured(folder: Path, *arguments: str) -> dict[str, float]:
    """Run a hsifeat command in a folder, and return its duration and the maximum memory of its processes."""
    print("hsifeat", *arguments, file=sys.stderr, flush=True)
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [HSIFEAT, *arguments], cwd=folder, env={**os.environ, "HSIFEAT_CACHE": str(folder / "cache")}
    )
    while process.poll() is None:
        peak = max(peak, sum(anonymous_gib(pid) for pid in family(process.pid)))
        time.sleep(POLL_S)
    if process.returncode:
        sys.exit(process.returncode)
    usage = {"seconds": round(time.perf_counter() - start, 1), "peak_gib": round(peak, 2)}
    print(usage, file=sys.stderr, flush=True)
    return usage


def family(pid: int) -> list[int]:
    """Return the ids of a process and of all its child processes, recursively."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(other for child in children for other in family(child))]


def anonymous_gib(pid: int) -> float:
    """Return the anonymous memory of a process in GiB, or 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("RssAnon:")), 0.0)


def gigabytes(folder: Path) -> float:
    """Return the total size of the files in a folder, in GB."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9


def check_report(report: Path, side: int) -> dict[str, Any]:
    """Check the size and georeference of the GeoTIFF maps, and return the sizes of maps, pictures and page."""
    geotiffs = sorted(report.rglob("*.tif"))
    for file in geotiffs:
        with rasterio.open(file) as raster:
            if (raster.height, raster.width) != (side, side) or raster.crs != "EPSG:32616" or raster.transform.a != 10:
                sys.exit(f"{file} is {raster.height} x {raster.width}, {raster.crs}, {raster.transform}")
    pictures = [Image.open(file).size for file in report.rglob("*.png")]
    return {
        "geotiffs": len(geotiffs),
        "geotiff_px": [side, side],
        "page_mb": round((report / "report.html").stat().st_size / 1e6, 2),
        "largest_picture_px": max(pictures, default=None),
        "folder_gb": round(gigabytes(report), 3),
    }


if __name__ == "__main__":
    main()
