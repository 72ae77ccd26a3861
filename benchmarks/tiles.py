"""Measure the cost and accuracy of tile sizes, halos and stitching methods, with the demo's network on Indian Pines.

Run ``make demo-pretrain`` first, then ``.venv/bin/python benchmarks/tiles.py``. The script writes
``benchmarks/results/tiles.json``. It compares each tiling with one forward pass over the whole scene, which has no seams.
The measures are the relative difference of the planes, the number of computed pixels per scene pixel, and the accuracy of a
head under a random and a disjoint split.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scoring import about_run

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "tiles.json"
LAYERS, T, SEEDS = ("mid_block", "up_blocks.0", "up_blocks.1"), 50, 5
SPLITS = ("random:0.1", "blocks:12+4:0.1")
TILINGS: dict[str, dict[str, Any]] = {
    "whole": {"stitch": "whole"},
    **{
        f"{stitch} {tile}+{halo}": {"stitch": stitch, "tile": tile, "halo": halo}
        for stitch, tile, halo in (
            ("core", 16, 0), ("core", 32, 0), ("core", 32, 8), ("core", 64, 0), ("core", 64, 16), ("core", 128, 0),
            ("core", 128, 32), ("mean", 64, 16), ("hann", 64, 16),
        )
    },
}  # fmt: skip


def main() -> None:
    """Extract features with each tiling, measure cost and accuracy, and write the result."""
    import hsifeat
    from classifiers import compare

    backbone = ROOT / "demo" / "backbone"
    if not backbone.is_dir():
        raise SystemExit("no demo/backbone: run make demo-pretrain first")
    scene = hsifeat.open_scene("indian-pines")
    rows = []
    with tempfile.TemporaryDirectory(prefix="hsifeat-tiles-") as folder:
        reference: dict[str, Any] = {}
        for name, options in TILINGS.items():
            location = Path(folder) / "store.zarr"
            shutil.rmtree(location, ignore_errors=True)
            config = hsifeat.ExtractionConfig.from_options({
                "backbone": backbone, "timesteps": [T], "layers": LAYERS, **options
            })  # fmt: skip
            job = hsifeat.prepare(scene, config, out=location)
            side = job.extractor.tiling.tile
            computed = job.remaining(None).plan.total_passes * side[0] * side[1] / (scene.rows * scene.cols)
            store = hsifeat.run(job)
            planes = {p.id.layer: np.asarray(store.plane(p.id)[:], np.float32) for p in store.planes}
            reference = reference or planes
            comparison = compare(
                location,
                heads=["svm"],
                inputs=["planes"],
                splits=SPLITS,
                seeds=SEEDS,
                out=Path(folder) / name.replace(" ", "-"),
                sweep=False,
            )
            rows.append(
                {
                    "way": name,
                    "pixels_run_per_pixel": round(computed, 2),
                    "relative_difference": {
                        layer: round(float(np.linalg.norm(v - reference[layer]) / np.linalg.norm(reference[layer])), 4)
                        for layer, v in planes.items()
                    },
                    "oa": {row.split: [round(float(v), 4) for v in row.oa] for row in comparison.summary},
                }
            )
            print(rows[-1], flush=True)
    content = {
        **about_run(("torch", "diffusers", "scikit-learn")),
        "what": f"layers {', '.join(LAYERS)} at t = {T} of the demo's network on Indian Pines; svm on planes alone, {SEEDS} seeds",
        "ways": rows,
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
