"""Record or compare digests of planes, weights, maps and scores, to check that a change of the code changes no values.

``python benchmarks/golden.py --write`` computes the digests and records them in ``benchmarks/results/golden.json``. Without
``--write``, the script compares new digests with the recorded digests, and lists new digests that have no recorded digest.
``--weights`` restricts the script to the digest of the trained weights; all other digests stay unchanged. The last bits of
values depend on the processor, so both runs must use the same machine.
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
# Columns of results.csv whose values must not change.
SCORES = ("head", "split", "seed", "oa", "aa", "kappa")


def digest(array: np.ndarray[Any, Any]) -> str:
    """Return a short sha256 of an array's shape, dtype and values."""
    content = hashlib.sha256(f"{array.shape}{array.dtype}".encode())
    content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def hsifeat(*arguments: str, cwd: Path) -> None:
    """Run a hsifeat command in the folder `cwd`, with one thread and a cache folder below `cwd`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HSIFEAT_CACHE": str(cwd / "cache")}
    print("hsifeat", *arguments, file=sys.stderr, flush=True)
    program = Path(sys.executable).with_name("hsifeat")
    subprocess.run([program, *arguments], cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)


def planes(store: Path) -> dict[str, str]:
    """Return a dict that maps the path of each plane of a store to the digest of the plane."""
    import zarr

    group = zarr.open_group(store, mode="r")["planes"]
    return {
        f"{t}/{layer}": digest(np.asarray(array[:]))
        for t, planes_at_t in sorted(group.groups())
        for layer, array in sorted(planes_at_t.arrays())
    }


def scores(file: Path) -> str:
    """Return a digest of the scores in a results.csv."""
    import pandas as pd

    table = pd.read_csv(file)
    return hashlib.sha256(table[list(SCORES)].to_csv(index=False).encode()).hexdigest()[:16]


def golden(folder: Path, *, weights_only: bool) -> dict[str, Any]:
    """Compute all digests in an empty folder, or only the digests of the weights."""
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
    digests: dict[str, Any] = {
        "weights": {
            file.name: digest(np.concatenate([v.ravel() for _, v in sorted(load_file(file).items())]))
            for file in weights
        }
    }
    if weights_only:
        return digests
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
        digests[name] = planes(folder / name)
    digests["maps"] = {}
    for head in HEADS:
        model, where = f"model-{head}", f"{head}.npy"
        hsifeat(
            "fit", "core.zarr", "--head", head, "--split", "per-class:10", "--seed", "1", "--out", model, cwd=folder
        )
        # Without smoothing, the digest of a map depends on the head only.
        hsifeat("predict", model, "core.zarr", "--smooth", "none", "--out", where, cwd=folder)
        digests["maps"][head] = digest(np.load(folder / where))
    hsifeat("bench", "core.zarr", "--heads", "film,svm,lda", "--seeds", "2", "--out", "report", cwd=folder)
    digests["bench"] = scores(folder / "report" / "results.csv")
    return digests


def flatten(digests: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested digests as one dict.

    >>> flatten({"maps": {"lda": "5f"}, "bench": "07"})
    {'maps/lda': '5f', 'bench': '07'}
    """
    flat = {}
    for name, value in digests.items():
        flat |= flatten(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def main() -> None:
    """Compute all digests, and record them or compare them with the recorded digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="record the digests instead of comparing them")
    parser.add_argument("--weights", action="store_true", help="compute the digests of the weights only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        digests = golden(Path(folder), weights_only=options.weights)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if options.write:
        RESULTS.write_text(json.dumps({**known, **digests} if options.weights else digests, indent=1) + "\n")
        return
    recorded = flatten({name: known[name] for name in known if name in digests or not options.weights})
    computed = flatten(digests)
    differing = [name for name in recorded if recorded[name] != computed.get(name)]
    for name in differing:
        print(f"{name}: recorded {recorded[name]}, now {computed.get(name)}")
    if unrecorded := sorted(computed.keys() - recorded.keys()):
        print(f"not recorded: {', '.join(unrecorded)}")
    print("all recorded digests are equal" if not differing else f"differing: {', '.join(differing)}")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
