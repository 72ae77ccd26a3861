"""Digests of planes, weights, maps and scores, so that a redesign can be shown to move no bit.

``python benchmarks/golden.py --write`` records them in ``benchmarks/results/golden.json``; without ``--write`` the digests
are computed anew and compared with the recorded ones. Last bits depend on the processor, so both runs have to be made on
one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "golden.json"
HEADS = (
    "diffcrn", "film", "hyperfeatures", "lda", "lightgbm", "logistic", "mlp", "mtmsd", "random-forest", "svm",
)  # fmt: skip
# Columns of results.csv that hold seconds, bytes of other files, or texts that may be reworded.
SCORES = ("head", "split", "seed", "oa", "aa", "kappa")


def digest(array: np.ndarray[Any, Any]) -> str:
    """Return a short sha256 of an array's shape, dtype and values."""
    content = hashlib.sha256(f"{array.shape}{array.dtype}".encode())
    content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def hsifeat(*arguments: str, cwd: Path) -> None:
    """Run the command line with one thread and a cache folder of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HSIFEAT_CACHE": str(cwd / "cache")}
    print("hsifeat", *arguments, file=sys.stderr, flush=True)
    program = Path(sys.executable).with_name("hsifeat")
    subprocess.run([program, *arguments], cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)


def planes(store: Path) -> dict[str, str]:
    """Return the digest of every plane of a store, by its path."""
    import zarr

    group = zarr.open_group(store, mode="r")["planes"]
    return {
        f"{t}/{layer}": digest(np.asarray(array[:]))
        for t, planes_at_t in sorted(group.groups())
        for layer, array in sorted(planes_at_t.arrays())
    }


def scores(file: Path) -> str:
    """Return the digest of a benchmark's scores, row by row."""
    import pandas as pd

    table = pd.read_csv(file)
    return hashlib.sha256(table[list(SCORES)].to_csv(index=False).encode()).hexdigest()[:16]


def golden(folder: Path) -> dict[str, Any]:
    """Compute all digests in an empty folder."""
    from safetensors.numpy import load_file

    hsifeat(
        "pretrain",
        "indian-pines",
        "--network",
        "mtmsd",
        "--size",
        "small",
        "--steps",
        "8",
        "--out",
        "backbone",
        cwd=folder,
    )
    weights = sorted(folder.glob("backbone/**/*.safetensors"))
    found: dict[str, Any] = {
        "weights": {
            file.name: digest(np.concatenate([v.ravel() for _, v in sorted(load_file(file).items())]))
            for file in weights
        }
    }
    extractions = {
        "core.zarr": ("--timesteps", "0,100"),
        "hann.zarr": (
            "--timesteps",
            "0,250",
            "--stitch",
            "hann",
            "--noise",
            "inversion:4",
            "--seed",
            "3",
            "--dtype",
            "float32",
        ),
        "pixels.zarr": ("--timesteps", "50", "--pixels", "ground-truth", "--tile", "16", "--noise", "shared"),
    }
    for name, options in extractions.items():
        hsifeat("extract", "indian-pines", "--backbone", "backbone", *options, "--out", name, cwd=folder)
        found[name] = planes(folder / name)
    found["maps"] = {}
    for head in HEADS:
        model, where = f"model-{head}", f"{head}.npy"
        hsifeat(
            "fit", "core.zarr", "--head", head, "--split", "per-class:10", "--seed", "1", "--out", model, cwd=folder
        )
        hsifeat("predict", model, "core.zarr", "--out", where, cwd=folder)
        found["maps"][head] = digest(np.load(folder / where))
    hsifeat("bench", "core.zarr", "--heads", "film,svm,lda", "--seeds", "2", "--out", "report", cwd=folder)
    found["bench"] = scores(folder / "report" / "results.csv")
    return found


def main() -> None:
    """Record the digests, or compare with those recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="record the digests instead of comparing them")
    write = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        found = golden(Path(folder))
    if write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        return
    recorded = json.loads(RESULTS.read_text())
    differing = [name for name in recorded if recorded[name] != found[name]]
    for name in differing:
        print(f"{name}: recorded {recorded[name]}, found {found[name]}")
    print("the same bits" if not differing else f"differing: {', '.join(differing)}")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
