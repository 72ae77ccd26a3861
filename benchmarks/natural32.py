"""Train the backbone natural32, and measure the accuracy of its planes on Indian Pines.

``.venv/bin/python benchmarks/natural32.py train --minutes 4`` trains on the images in ``../shared/data/cifar10`` with
`hsifeat.pretrain`. It writes the training loss, and the loss on held-out images by timestep, to
``benchmarks/results/natural32_train.json``. On two CPU cores, the training only shows that the trainer works. The page
docs/user/pretrain.md has the command for training on a GPU.

``.venv/bin/python benchmarks/natural32.py compare --backbone FOLDER`` compares three inputs under a disjoint split of Indian
Pines with 10 draws: spectra with planes of the backbone, spectra with planes of the untrained network, and spectra with
window means. It writes the accuracy of each head to ``benchmarks/results/natural32_compare.json``, and pairs differences by
draw. ``--quick`` uses two draws and one fast head, and writes only to the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scoring import RESULTS, ROOT, PrintingListener, about_run, accuracy, mean_sd

IMAGES = ROOT.parent / "shared" / "data" / "cifar10" / "CIFAR-10-images.tar.gz"
ATTRIBUTION = (
    "CIFAR-10 (Krizhevsky 2009, Learning multiple layers of features from tiny images): pictures from the web, given out for "
    "research without a licence of their own"
)
CURVE_POINTS = 60
SPLIT, DRAWS = "blocks:12+4:0.1", 10
# In preliminary trials, natural images helped at timesteps with little noise and in decoder layers of strides 4 and 8.
TIMESTEPS, STRIDES, PROJECTION = (0, 20, 50), (4, 8), "pca:3"


def main() -> None:
    """Parse the command line, and run the training or the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train")
    train.add_argument("--minutes", type=float, required=True)
    train.add_argument("--steps", type=int, help="maximum number of steps")
    train.add_argument("--size", default="small", choices=["small", "paper"])
    train.add_argument("--dtype", default="float32", help="precision of the saved weights; float16 to publish them")
    train.add_argument("--start", type=Path, help="model with the initial weights")
    train.add_argument("--images", type=Path, default=IMAGES)
    train.add_argument("--out", type=Path, help="folder of the model; by default a temporary one")
    compare = verbs.add_parser("compare")
    compare.add_argument("--backbone", required=True)
    compare.add_argument("--quick", action="store_true")
    compare.add_argument("--folder", type=Path, help="folder of the stores; by default a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hsifeat-natural32-") as temporary:
        if options.verb == "train":
            file, content = RESULTS / "natural32_train.json", run_training(options, Path(temporary))
        else:
            folder = options.folder or Path(temporary)
            file = folder / "quick.json" if options.quick else RESULTS / "natural32_compare.json"
            content = compare_inputs(options.backbone, folder, quick=options.quick)
        # Training does not use heads, so the packages of heads need not be installed.
        packages = (
            "torch",
            "diffusers",
            "numpy",
            "pillow",
            *(("scikit-learn", "lightgbm") if options.verb == "compare" else ()),
        )
        text = json.dumps({**about_run(packages), **content}, indent=1) + "\n"
        file.write_text(text)
        print(text if options.verb == "compare" and options.quick else f"wrote {file}")


def run_training(options: argparse.Namespace, temporary: Path) -> dict[str, Any]:
    """Train the network, and return the training record with a shortened loss curve."""
    import hsifeat

    folder = hsifeat.pretrain(
        options.images,
        network="natural32",
        size=options.size,
        out=options.out or temporary / "natural32",
        steps=options.steps,
        minutes=options.minutes,
        dtype=options.dtype,
        start=options.start,
        attribution=ATTRIBUTION,
        listen=PrintingListener(),
    )
    record = json.loads((folder / "training.json").read_text())
    edges = np.linspace(0, record["steps"], min(CURVE_POINTS, record["steps"]) + 1).astype(int)
    return {
        "what": "a proof of the trainer on a short run; weights this young are not shipped"
        if record["steps"] < 10_000
        else "the training of weights",
        "images": record["images"],
        "size": record["size"],
        "parameters": record["parameters"],
        "settings": record["settings"],
        "steps": record["steps"],
        "images_seen": record["steps"] * record["settings"]["batch"],
        "seconds": round(record["seconds"], 1),
        "device": record["device"],
        "loss": [
            {"to_step": int(stop), "mean": round(float(np.mean(record["losses"][start:stop])), 4)}
            for start, stop in pairwise(edges)
        ],
        "held_out_loss_by_tenth_of_the_timesteps": {
            step: [round(loss, 4) for loss in losses] for step, losses in record["held_out"].items()
        },
    }


def compare_inputs(backbone: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return the accuracies of all heads on each input, for planes of the trained and of the untrained network."""
    import hsifeat
    from classifiers import PixelTable
    from classifiers.input_sets import WINDOW_PX
    from classifiers.splits import parse_split

    layers, timesteps = decoder_layers(backbone), TIMESTEPS
    if quick:
        layers, timesteps = layers[-1:], timesteps[:1]
    tables = {}
    for name, source in (("trained", backbone), ("untrained", f"untrained:{backbone}")):
        store = folder / f"{name}.zarr"
        hsifeat.extract(
            "indian-pines",
            backbone=source,
            timesteps=timesteps,
            layers=layers,
            projection=PROJECTION,
            out=store,
            listen=PrintingListener(),
        )
        tables[name] = PixelTable.from_store(store, window=WINDOW_PX)
    columns = {
        "spectra+window": ("trained", "spectra+window"),
        "spectra+planes, untrained": ("untrained", "spectra+planes"),
        "spectra+planes, trained": ("trained", "spectra+planes"),
    }
    labels = tables["trained"].labels
    scores: dict[str, dict[str, list[float]]] = {}
    draws = 2 if quick else DRAWS
    for seed in range(draws):
        draw = parse_split(SPLIT).draw(labels, seed)
        for head in ("mlp",) if quick else head_names(columns):
            for column, (store, features) in columns.items():
                if fits(head, features):
                    oa = accuracy(tables[store], head, features, draw, seed)
                    scores.setdefault(head, {}).setdefault(column, []).append(oa)
                    print(f"draw {seed}, {head} on {column}: {100 * oa:.1f}", flush=True)
    best = max(scores, key=lambda head: np.mean(scores[head]["spectra+planes, trained"]))
    return {
        "backbone": backbone,
        "identity": {"weights": weights_digest(backbone)},
        "scene": "indian-pines",
        "split": SPLIT,
        "draws": draws,
        "planes": {"projection": PROJECTION, "timesteps": timesteps, "layers": layers},
        "oa": {
            head: {column: {**mean_sd(oas), "each": oas} for column, oas in by_column.items()}
            for head, by_column in scores.items()
        },
        "best_head": {
            "name": best,
            "chosen_by": "mean OA of spectra with the trained network's planes",
            "points_of_oa_above": margins(scores, best),
        },
        "wanted": "at least 3 points above both",
    }


def decoder_layers(backbone: str) -> list[str]:
    """List the decoder layers with the strides in `STRIDES`, or all decoder layers if none has such a stride."""
    from hsifeat.backbones.open_backbone import open_backbone
    from hsifeat.backbones.taps import is_block

    taps = [t for t in open_backbone(backbone).taps if t.name.startswith("up_blocks.") and is_block(t.name)]
    return [t.name for t in taps if t.stride in STRIDES and t.alias] or [t.name for t in taps if t.alias]


def head_names(columns: dict[str, tuple[str, str]]) -> list[str]:
    """Return the heads that accept spectra with planes."""
    from classifiers.comparison.entries import fitting_heads

    return fitting_heads([features for _, features in columns.values() if "planes" in features])


def fits(head: str, features: str) -> bool:
    """Return whether a head accepts an input set."""
    from classifiers.comparison.entries import fitting_heads

    return head in fitting_heads([features])


def margins(scores: dict[str, dict[str, list[float]]], head: str) -> dict[str, dict[str, Any]]:
    """Return the accuracy gain of a head on trained planes over its other inputs, paired by draw.

    If the head does not accept window means, the best head on window means takes its place.
    """
    trained_oa = np.asarray(scores[head]["spectra+planes, trained"])
    gains = {}
    for column in ("spectra+planes, untrained", "spectra+window"):
        accepting = [h for h in scores if column in scores[h]]
        other = head if head in accepting else max(accepting, key=lambda h: np.mean(scores[h][column]))
        gains[column] = {"head": other, **mean_sd(trained_oa - np.asarray(scores[other][column]))}
    return gains


def weights_digest(backbone: str) -> str:
    """Return the digest of a backbone's weights."""
    from hsifeat.backbones.open_backbone import open_backbone

    return str(open_backbone(backbone).identity()["weights"])


if __name__ == "__main__":
    main()
