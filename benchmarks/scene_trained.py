"""What training on the scene is worth: networks trained on Indian Pines for 1, 5 and 20 minutes beside the same ones untrained.

``.venv/bin/python benchmarks/scene_trained.py NETWORK`` trains the small preset of ``mtmsd`` or ``diffcrn`` on one CPU core, each
budget going on from the one before (a minute is as many steps as a quiet core does in one: where others use the machine, measure
that first, with ``--probe``, and give it), extracts with each and with the untrained network, and fits heads under a random and a disjoint
split, five draws each, with equal numbers of training pixels. It writes ``benchmarks/results/scene_trained_NETWORK.json``: mean and
standard deviation of the overall accuracy, differences paired by draw. ``--pixels`` compares windows centred on labelled pixels with
the dense way on the last model instead, in cost and accuracy. ``--quick`` sees in seconds that everything runs, and keeps nothing.
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
# Sides in pixels of the patches that the small presets are trained on.
WINDOWS = {"mtmsd": 32, "diffcrn": 16}
LAYERS = {
    "mtmsd": ("mid_block", "output_blocks.1", "output_blocks.3"),
    "diffcrn": ("spatial.1", "spectral.0", "spectral.1"),
}


def main() -> None:
    """Parse, measure, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(LAYERS))
    parser.add_argument("--pixels", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0, help="of weights, patches and noise in training")
    parser.add_argument("--probe", action="store_true", help="only tell how many steps a minute this core does")
    parser.add_argument("--steps-per-minute", type=float, help="of a quiet core; by default measured first")
    parser.add_argument("--folder", type=Path, help="where models and stores lie; by default a temporary folder")
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
    """One network: its models by budget, their stores, and what heads make of them."""

    def __init__(self, network: str, folder: Path, seed: int, rate: float, *, quick: bool) -> None:
        self.network, self.folder, self.seed, self.rate, self.quick = network, folder, seed, rate, quick
        self.timesteps = TIMESTEPS[:1] if quick else TIMESTEPS
        self.draws = 2 if quick else DRAWS
        self.scores: dict[str, dict[str, dict[str, list[float]]]] = {}

    def budgets(self) -> dict[str, Any]:
        """Train to each budget, and score its planes beside spectra, window means and the untrained network."""
        trained = {f"trained {minutes:g} min": self.train(minutes) for minutes in MINUTES}
        first = next(iter(trained.values()))
        sources = {"untrained": f"untrained:{first['folder']}"} | {name: of["folder"] for name, of in trained.items()}
        for name, source in sources.items():
            self.score(name, self.table(name, source), spectra=name == "untrained")
        return {
            **self.about(),
            "training": [
                {"budget_minutes": minutes} | {k: v for k, v in of.items() if k != "folder"}
                for minutes, of in zip(MINUTES, trained.values(), strict=True)
            ],
            "oa": self.summary(),
            "points_of_oa_over_untrained": self.over("untrained", list(trained)),
        }

    def pixels(self) -> dict[str, Any]:
        """Compare windows centred on labelled pixels with dense planes of the same model."""
        model = self.train(MINUTES[-1])
        side = WINDOWS[self.network]
        ways: dict[str, dict[str, Any]] = {"dense": {}, "windows": {"pixels": "ground-truth", "tile": side}}
        cost = {}
        for name, how in ways.items():
            start = time.perf_counter()
            table = self.table(name, model["folder"], **how)
            cost[name] = {"seconds": round(time.perf_counter() - start, 1), **self.bytes_of(name)}
            self.score(name, table, spectra=name == "dense")
        return {
            **self.about(),
            "window_px": side,
            "cost": cost,
            "oa": self.summary(),
            "over_dense": self.over("dense", ["windows"]),
        }

    def about(self) -> dict[str, Any]:
        """Say what is compared."""
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
        """Train to a budget, from the one before; keep a copy of the model as it is then."""
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
        facts = json.loads((copy / "training.json").read_text())
        return {
            "folder": str(copy),
            "steps": facts["steps"],
            "seconds": round(facts["seconds"], 1),
            "parameters": facts["parameters"],
        }

    def table(self, name: str, backbone: str, **how: Any) -> Any:
        """Extract, and read the labelled pixels."""
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
            **how,
        )
        return PixelTable.from_store(store, window=5)

    def bytes_of(self, name: str) -> dict[str, int]:
        """Return the bytes that a store's planes take."""
        location = self.folder / f"{self.network}-{self.seed}-{name}.zarr" / "planes"
        return {"bytes": sum(p.stat().st_size for p in location.rglob("*") if p.is_file())}

    def score(self, name: str, table: Any, *, spectra: bool) -> None:
        """Score every head on a table's planes, alone and with spectra; on spectra and window means too where asked."""
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
                split: {h: {c: round(100 * float(np.mean(v)), 1) for c, v in cs.items()} for h, cs in of.items()}
                for split, of in self.scores.items()
            }
        )

    def summary(self) -> dict[str, Any]:
        """Return mean, standard deviation and each draw's accuracy, by split, head and input."""
        return {
            split: {
                head: {
                    column: {**mean_sd(oas), "each": [round(oa, 4) for oa in oas]} for column, oas in columns.items()
                }
                for head, columns in of.items()
            }
            for split, of in self.scores.items()
        }

    def over(self, reference: str, names: list[str]) -> dict[str, Any]:
        """Return how far planes stand above those of a reference, paired by draw."""
        return {
            split: {
                head: {
                    f"{given} {name}": mean_sd(np.subtract(columns[f"{given} {name}"], columns[f"{given} {reference}"]))
                    for given in ("planes", "spectra+planes")
                    for name in names
                }
                for head, columns in of.items()
            }
            for split, of in self.scores.items()
        }


def probe(network: str, folder: Path) -> float:
    """Return how many training steps this core does in a minute, from half a minute of them."""
    import hsifeat

    model = hsifeat.pretrain(SCENE, network=network, out=folder / "probe", minutes=0.5, listen=PrintingListener())
    facts = json.loads((model / "training.json").read_text())
    return round(60 * facts["steps"] / facts["seconds"], 1)


if __name__ == "__main__":
    main()
