"""The backbone natural32: how its training goes, and what its planes are worth on Indian Pines.

``.venv/bin/python benchmarks/natural32.py train --minutes 4`` trains on the images of ``../shared/data/cifar10`` by `hsifeat.pretrain`
and writes ``benchmarks/results/natural32_train.json``: the loss, and the loss on held-out images by timestep. On two CPU cores
that shows that the trainer works, and no more; docs/user/pretrain.md has the command that makes the weights on a GPU.

``.venv/bin/python benchmarks/natural32.py compare --backbone FOLDER`` writes ``benchmarks/results/natural32_compare.json``: on disjoint
blocks of Indian Pines, over 10 draws, each head on spectra with the planes of the backbone, with those of the same network
untrained, and on spectra with window means; differences are paired by draw. ``--quick`` takes two draws and a fast head, and
writes into the working folder only.
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
# Near-clean timesteps and the decoder at a quarter and an eighth of the resolution, where natural images helped in trials.
TIMESTEPS, STRIDES, PROJECTION = (0, 20, 50), (4, 8), "pca:3"


def main() -> None:
    """Parse, and do the one or the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train")
    train.add_argument("--minutes", type=float, required=True)
    train.add_argument("--steps", type=int, help="stop there if it comes first")
    train.add_argument("--size", default="small", choices=["small", "paper"])
    train.add_argument("--dtype", default="float32", help="how weights are kept; float16 for shipping")
    train.add_argument("--start", type=Path, help="a model whose weights are the first ones")
    train.add_argument("--images", type=Path, default=IMAGES)
    train.add_argument("--out", type=Path, help="where the model is kept; by default it is thrown away")
    judged = verbs.add_parser("compare")
    judged.add_argument("--backbone", required=True)
    judged.add_argument("--quick", action="store_true")
    judged.add_argument("--folder", type=Path, help="where stores lie; by default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hsifeat-natural32-") as temporary:
        if options.verb == "train":
            file, content = RESULTS / "natural32_train.json", trained(options, Path(temporary))
        else:
            folder = options.folder or Path(temporary)
            file = folder / "quick.json" if options.quick else RESULTS / "natural32_compare.json"
            content = compared(options.backbone, folder, quick=options.quick)
        # Training takes no head, so a machine that only trains has none.
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


def trained(options: argparse.Namespace, temporary: Path) -> dict[str, Any]:
    """Train, and return what the record says, its curve thinned."""
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


def compared(backbone: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Extract with the backbone and with its network untrained, fit heads on every input and draw, and pair them."""
    import hsifeat
    from classifiers import PixelTable
    from classifiers.feature_sets import WINDOW_PX
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
        "oa": {h: {c: {**mean_sd(oas), "each": oas} for c, oas in of.items()} for h, of in scores.items()},
        "best_head": {
            "name": best,
            "chosen_by": "mean OA of spectra with the trained network's planes",
            "points_of_oa_above": margins(scores, best),
        },
        "wanted": "at least 3 points above both",
    }


def decoder_layers(backbone: str) -> list[str]:
    """Return the decoder's blocks and their members at the wanted strides; all blocks where there is none."""
    from hsifeat.backbones.open_backbone import open_backbone
    from hsifeat.backbones.taps import is_block

    taps = [t for t in open_backbone(backbone).taps if t.name.startswith("up_blocks.") and is_block(t.name)]
    return [t.name for t in taps if t.stride in STRIDES and t.alias] or [t.name for t in taps if t.alias]


def head_names(columns: dict[str, tuple[str, str]]) -> list[str]:
    """Return the heads that can work on spectra with planes."""
    from classifiers.comparison.entries import fitting_heads

    return fitting_heads([features for _, features in columns.values() if "planes" in features])


def fits(head: str, features: str) -> bool:
    """Tell whether a head can work on an input."""
    from classifiers.comparison.entries import fitting_heads

    return head in fitting_heads([features])


def margins(scores: dict[str, dict[str, list[float]]], head: str) -> dict[str, dict[str, Any]]:
    """Return how far a head on the trained planes stands above its other inputs, paired by draw.

    A head that can't work on window means is compared with the head that does best on them.
    """
    trained_oa = np.asarray(scores[head]["spectra+planes, trained"])
    found = {}
    for column in ("spectra+planes, untrained", "spectra+window"):
        able = [h for h in scores if column in scores[h]]
        other = head if head in able else max(able, key=lambda h: np.mean(scores[h][column]))
        found[column] = {"head": other, **mean_sd(trained_oa - np.asarray(scores[other][column]))}
    return found


def weights_digest(backbone: str) -> str:
    """Return the digest of the weights."""
    from hsifeat.backbones.open_backbone import open_backbone

    return str(open_backbone(backbone).identity()["weights"])


if __name__ == "__main__":
    main()
