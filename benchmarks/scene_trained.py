"""Compare networks that were trained on Indian Pines for 1, 5 and 20 minutes with the untrained network.

``.venv/bin/python benchmarks/scene_trained.py NETWORK`` trains ``mtmsd`` or ``diffcrn`` of size small on one CPU core. The
trainings of 5 and 20 minutes continue the previous training. One minute means the number of steps that an idle core
computes in a minute. On a shared machine, measure this number with ``--probe`` at a quiet time, and pass it as
``--steps-per-minute``.

The script extracts features with each model and with the untrained network. It then fits heads under a random and a
disjoint split with equal numbers of training pixels, five draws each. It writes mean and standard deviation of the overall
accuracy, and differences paired by draw, to ``benchmarks/results/scene_trained_NETWORK.json``.

``--pixels`` compares two kinds of features of the last model in cost and accuracy: windows around labelled pixels, and
dense planes. ``--quick`` checks in seconds that everything runs, and writes no file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scoring import RESULTS, PrintingListener, about_run, accuracy, draws_of, mean_sd

SCENE, MINUTES = "indian-pines", (1.0, 5.0, 20.0)
SPLITS, DRAWS = ("random:0.1", "blocks:12+4:0.1"), 5
HEADS = ("svm", "lda")
TIMESTEPS = (50, 200, 400)
# Sides in pixels of the patches that the small networks are trained on.
WINDOWS = {"mtmsd": 32, "diffcrn": 16}
LAYERS = {
    "mtmsd": ("mid_block", "output_blocks.1", "output_blocks.3"),
    "diffcrn": ("spatial.1", "spectral.0", "spectral.1"),
}


def main() -> None:
    """Parse the command line, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(LAYERS))
    parser.add_argument("--pixels", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, patches and noise in training")
    parser.add_argument("--probe", action="store_true", help="only print the training steps per minute of this core")
    parser.add_argument(
        "--steps-per-minute",
        type=float,
        help="training steps per minute of an idle core; by default they are measured first",
    )
    parser.add_argument("--folder", type=Path, help="folder of models and stores; by default a temporary one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hsifeat-scene-trained-") as temporary:
        if options.probe:
            print(probe(options.network, Path(temporary)))
            return
        rate = 3.0 if options.quick else options.steps_per_minute or probe(options.network, Path(temporary))
        study = Study(options.network, options.folder or Path(temporary), options.seed, rate, quick=options.quick)
        content = study.pixels() if options.pixels else study.budgets()
    text = json.dumps({**about_run(("torch", "diffusers", "scikit-learn")), **content}, indent=1) + "\n"
    if options.quick:
        print(text)
        return
    seed = f"_seed{options.seed}" if options.seed else ""
    file = RESULTS / f"scene_trained_{options.network}{'_pixels' if options.pixels else ''}{seed}.json"
    file.write_text(text)
    print(f"wrote {file}")


class Study:
    """Models of one network, their stores, and the accuracies of heads on these stores."""

    def __init__(self, network: str, folder: Path, seed: int, rate: float, *, quick: bool) -> None:
        self.network, self.folder, self.seed, self.rate, self.quick = network, folder, seed, rate, quick
        self.timesteps = TIMESTEPS[:1] if quick else TIMESTEPS
        self.draws = 2 if quick else DRAWS
        self.scores: dict[str, dict[str, dict[str, list[float]]]] = {}

    def budgets(self) -> dict[str, Any]:
        """Train for each budget, and compare trained planes with untrained planes, spectra and window means."""
        trained = {f"trained {minutes:g} min": self.train(minutes) for minutes in MINUTES}
        first = next(iter(trained.values()))
        sources = {"untrained": f"untrained:{first['folder']}"} | {
            name: model["folder"] for name, model in trained.items()
        }
        for name, source in sources.items():
            self.score(name, self.table(name, source), spectra=name == "untrained")
        return {
            **self.settings(),
            "training": [
                {"budget_minutes": minutes} | {k: v for k, v in model.items() if k != "folder"}
                for minutes, model in zip(MINUTES, trained.values(), strict=True)
            ],
            "oa": self.summary(),
            "points_of_oa_over_untrained": self.gains("untrained", list(trained)),
        }

    def pixels(self) -> dict[str, Any]:
        """Compare windows centred on labelled pixels with dense planes of the same model."""
        model = self.train(MINUTES[-1])
        side = WINDOWS[self.network]
        options: dict[str, dict[str, Any]] = {"dense": {}, "windows": {"pixels": "ground-truth", "tile": side}}
        cost = {}
        for name, choices in options.items():
            start = time.perf_counter()
            table = self.table(name, model["folder"], **choices)
            cost[name] = {"seconds": round(time.perf_counter() - start, 1), **self.bytes_of(name)}
            self.score(name, table, spectra=name == "dense")
        return {
            **self.settings(),
            "window_px": side,
            "cost": cost,
            "oa": self.summary(),
            "over_dense": self.gains("dense", ["windows"]),
        }

    def settings(self) -> dict[str, Any]:
        """Return the settings of the comparison."""
        return {
            "scene": SCENE,
            "network": self.network,
            "training_seed": self.seed,
            "steps_per_minute_of_one_core": self.rate,
            "splits": SPLITS,
            "draws": self.draws,
            "planes": {"timesteps": self.timesteps, "layers": LAYERS[self.network]},
        }

    def train(self, minutes: float) -> dict[str, Any]:
        """Continue the training up to a number of minutes, and return the folder, steps and seconds of the model."""
        import hsifeat

        folder = self.folder / f"{self.network}-{self.seed}"
        copy = self.folder / f"{folder.name}-{minutes:g}min"
        if not copy.exists():
            hsifeat.pretrain(
                SCENE,
                network=self.network,
                out=folder,
                seed=self.seed,
                steps=round(minutes * self.rate),
                listen=PrintingListener(),
            )
            shutil.copytree(folder, copy)
        record = json.loads((copy / "training.json").read_text())
        return {
            "folder": str(copy),
            "steps": record["steps"],
            "seconds": round(record["seconds"], 1),
            "parameters": record["parameters"],
        }

    def table(self, name: str, backbone: str, **options: Any) -> Any:
        """Extract features with a backbone, and return the table of labelled pixels."""
        import hsifeat
        from classifiers import PixelTable

        store = self.folder / f"{self.network}-{self.seed}-{name.replace(' ', '-')}.zarr"
        layers = LAYERS[self.network][-1:] if self.quick else LAYERS[self.network]
        hsifeat.extract(
            SCENE,
            backbone=backbone,
            timesteps=self.timesteps,
            layers=layers,
            out=store,
            listen=PrintingListener(),
            **options,
        )
        return PixelTable.from_store(store, window=5)

    def bytes_of(self, name: str) -> dict[str, int]:
        """Return the size in bytes of a store's planes."""
        location = self.folder / f"{self.network}-{self.seed}-{name}.zarr" / "planes"
        return {"bytes": sum(p.stat().st_size for p in location.rglob("*") if p.is_file())}

    def score(self, name: str, table: Any, *, spectra: bool) -> None:
        """Score every head on planes, with and without spectra.

        If `spectra` is True, also score every head on spectra alone, with and without window means.
        """
        inputs = {f"planes {name}": "planes", f"spectra+planes {name}": "spectra+planes"}
        if spectra:
            inputs |= {"spectra": "spectra", "spectra+window": "spectra+window"}
        for (split, seed), draw in draws_of(SPLITS, table.labels, self.draws).items():
            for head in HEADS:
                for column, features in inputs.items():
                    oa = accuracy(table, head, features, draw, seed)
                    self.scores.setdefault(split, {}).setdefault(head, {}).setdefault(column, []).append(oa)
        print(
            {
                split: {h: {c: round(100 * float(np.mean(v)), 1) for c, v in cs.items()} for h, cs in heads.items()}
                for split, heads in self.scores.items()
            }
        )

    def summary(self) -> dict[str, Any]:
        """Return the mean and standard deviation over draws, and the accuracy of each draw, for each split, head and input."""
        return {
            split: {
                head: {
                    column: {**mean_sd(oas), "each": [round(oa, 4) for oa in oas]} for column, oas in columns.items()
                }
                for head, columns in heads.items()
            }
            for split, heads in self.scores.items()
        }

    def gains(self, reference: str, names: list[str]) -> dict[str, Any]:
        """Return the accuracy gains of planes over the planes of a reference network, paired by draw."""
        return {
            split: {
                head: {
                    f"{inputs} {name}": mean_sd(
                        np.subtract(columns[f"{inputs} {name}"], columns[f"{inputs} {reference}"])
                    )
                    for inputs in ("planes", "spectra+planes")
                    for name in names
                }
                for head, columns in heads.items()
            }
            for split, heads in self.scores.items()
        }


def probe(network: str, folder: Path) -> float:
    """Train for half a minute, and return the number of training steps per minute."""
    import hsifeat

    model = hsifeat.pretrain(SCENE, network=network, out=folder / "probe", minutes=0.5, listen=PrintingListener())
    record = json.loads((model / "training.json").read_text())
    return round(60 * record["steps"] / record["seconds"], 1)


if __name__ == "__main__":
    main()
