"""Measure which inputs, heads and smoothing rules are worth their cost with few labels, on several real scenes.

``.venv/bin/python benchmarks/worth.py`` extracts a `context` store of each scene, fits every entry under every regime for ten
draws, and writes ``benchmarks/results/worth.json``. Pass ``--planes BACKBONE`` to add the planes of a network to the
inputs with ``planes``. Finished fits are kept in the result file and are not repeated, so an interrupted study continues.

Test pixels take no part in any choice: each fit sees the training pixels of its draw and, for the reduction of columns, a
sample of the scene without labels. The choice of defaults for a scene uses the accuracies on the other scenes only.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scoring import RESULTS, ROOT, about_run
from study_scenes import SCENES

import hsifeat
from classifiers import PixelTable
from classifiers.evaluate import Evaluator
from classifiers.input_sets import InputSet, layout_options
from classifiers.smoothing import parse_smoothing
from classifiers.splits import parse_split
from hsifeat.features.stack import open_stack

RESULT = RESULTS / "worth.json"
STORES = ROOT / "build" / "worth"
DRAWS = 10
# Fill in a scene: few labels per class. Carry over: whole blocks train, and test pixels are more than 16 px away.
REGIMES = {
    "indian-pines": ("per-class:5", "per-class:20", "far:12+16:0.1"),
    "indian-pines-official": ("official",),
    "houston": ("per-class:5", "per-class:20", "far:12+9:0.3"),
    "pavia-reduced": ("per-class:5", "per-class:20"),
    "landsat": ("per-class:5", "per-class:20", "far:12+9:0.3"),
}
# A class with fewer labelled pixels takes no part in the regime.
MIN_CLASS_PIXELS = {("pavia-reduced", "per-class:20"): 30}
# Defaults are chosen among entries without planes, on these scenes and regimes.
CHOICE_SCENES, CHOICE_REGIMES = ("indian-pines", "houston", "pavia-reduced"), ("per-class:5", "per-class:20")


@dataclass(frozen=True)
class Entry:
    """A head with its inputs and options."""

    head: str
    inputs: str
    params: dict[str, Any] = field(default_factory=dict)
    reduction: str = "scene"
    smooth: str = "none"

    @property
    def key(self) -> str:
        """Name of the entry in the result file."""
        params = ",".join(f"{name}={value}" for name, value in sorted(self.params.items()))
        options = [params, f"reduction={self.reduction}", f"smooth={self.smooth}"]
        return " ".join([self.head, self.inputs, *filter(None, options)])


INPUTS = ("spectra", "window", "context", "spectra+window", "spectra+context", "spectra+window+context")
PLANE_INPUTS = ("planes", "spectra+window+planes", "spectra+context+planes", "spectra+window+context+planes")
BEST = "spectra+window+context"
COMPONENTS = {"spectral_components": 60, "context_components": 60}
ENTRIES = (
    *(Entry("lda", inputs) for inputs in INPUTS + PLANE_INPUTS),
    *(Entry("lda", inputs, COMPONENTS) for inputs in (BEST, "spectra+context")),
    *(Entry("lda", BEST, {"spectral_components": n, "context_components": n}) for n in (20, 40)),
    Entry("lda", BEST, COMPONENTS, "train"),
    *(
        Entry("lda", BEST, COMPONENTS, smooth=rule)
        for rule in ("gaussian:1", "gaussian:2", "guided:4", "superpixel:50", "mrf:1")
    ),
    *(Entry(head, "spectra") for head in ("svm", "logistic", "mlp", "film", "random-forest", "lightgbm")),
    *(Entry(head, BEST) for head in ("svm", "logistic", "mlp", "film", "random-forest", "lightgbm")),
)


def main() -> None:
    """Run the study and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", default=",".join(REGIMES))
    parser.add_argument("--heads", default="", help="Comma-separated names. [default: all]")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument(
        "--planes", default="", metavar="BACKBONE", help="Backbone of the inputs with planes. [default: none]"
    )
    options = parser.parse_args()
    fits: dict[str, Any] = json.loads(RESULT.read_text())["fits"] if RESULT.exists() else {}
    for scene in options.scenes.split(","):
        heads = set(options.heads.split(",")) - {""}
        entries = [one for one in ENTRIES if not heads or one.head in heads]
        for _ in run_scene(scene, entries, options.draws, options.planes, fits):
            write(fits)
    write(fits)


def write(fits: dict[str, Any]) -> None:
    """Write the fits and what follows from them."""
    content = {
        **about_run(("scikit-learn", "scikit-image", "torch")),
        "entries": [asdict(one) | {"key": one.key} for one in ENTRIES],
    }
    content |= {"summary": summarise(fits), "defaults_from_other_scenes": cross_choice(fits), "fits": fits}
    part = RESULT.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(RESULT)


def run_scene(name: str, entries: list[Entry], draws: int, backbone: str, fits: dict[str, Any]) -> Iterator[None]:
    """Fit and score all entries that are missing; yield after each group of draws."""
    features = open_stores(name, backbone)
    entries = [one for one in entries if backbone or "planes" not in one.inputs]
    sets = [InputSet.parse(one.inputs) for one in entries]
    table = PixelTable.from_store(features, sample=True, **layout_options(sets, features))
    for regime in REGIMES[name]:
        split = parse_split(regime, table.label_maps)
        pixels = without_small_classes(table, MIN_CLASS_PIXELS.get((name, regime), 0))
        for entry in entries:
            done = fits.setdefault(name, {}).setdefault(regime, {}).setdefault(entry.key, {})
            seeds = [seed for seed in range(1 if regime == "official" else draws) if str(seed) not in done]
            if not seeds:
                continue
            part = pixels.select_groups(InputSet.parse(entry.inputs).includes)
            if entry.reduction == "train":
                part = replace(part, sample=None)
            for seed in seeds:
                rule = parse_smoothing(entry.smooth)
                evaluator = Evaluator(features, part, entry.head, seed, dict(entry.params), rule=rule)
                evaluation = evaluator.evaluate(split, split.draw(pixels.labels, seed))[1]
                scores = evaluation.scores if evaluation.smoothed is None else evaluation.smoothed.scores
                done[str(seed)] = round(100 * scores.oa, 3)
            mean = np.mean(list(done.values()))
            print(
                f"{name} {regime} {entry.key}: {mean:.1f} % ({len(done)} draws, {evaluation.train_pixels} training pixels)",
                flush=True,
            )
            yield


def open_stores(name: str, backbone: str) -> Any:
    """Extract the context store of a scene, and a store of a network if one is named; return them side by side."""
    scene, stores = SCENES[name](), []
    for source in ["context", *([backbone] if backbone else [])]:
        path = STORES / f"{name}-{Path(source).name}.zarr"
        hsifeat.extract(scene, backbone=source, out=path)
        stores.append(hsifeat.open_features(path))
    return open_stack(stores)


def without_small_classes(table: PixelTable, least: int) -> PixelTable:
    """Return the rows of classes with at least `least` labelled pixels."""
    small = [c for c, count in table.labels.counts.items() if count < least]
    if not small:
        return table
    print("left out:", ", ".join(f"{table.labels.class_names[c]} ({table.labels.counts[c]} px)" for c in small))
    classes = np.where(np.isin(table.labels.classes, small), 0, table.labels.classes)
    return replace(table[~np.isin(table.y, small)], labels=replace(table.labels, classes=classes))


def summarise(fits: dict[str, Any]) -> list[dict[str, Any]]:
    """Return mean, standard deviation and standard error of each entry, in points of overall accuracy."""
    rows = []
    for scene, regimes in fits.items():
        for regime, entries in regimes.items():
            for key, draws in entries.items():
                values = np.array(list(draws.values()))
                sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                rows.append(
                    {
                        "scene": scene,
                        "regime": regime,
                        "entry": key,
                        "draws": len(values),
                        "oa": round(float(values.mean()), 2),
                        "sd": round(sd, 2),
                        "se": round(sd / len(values) ** 0.5, 2),
                    }
                )
    return rows


def cross_choice(fits: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, for each scene, the accuracy of the entry that is best on average over the other scenes, and of its own best."""
    means: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in summarise(fits):
        if row["scene"] in CHOICE_SCENES and row["regime"] in CHOICE_REGIMES and "planes" not in row["entry"]:
            means[row["scene"], row["regime"]][row["entry"]] = row["oa"]
    choices = []
    for scene in CHOICE_SCENES:
        others = [values for (other, _), values in means.items() if other != scene]
        own = [values for (other, _), values in means.items() if other == scene]
        shared = set.intersection(*(set(values) for values in others + own)) if others and own else set()
        if not shared:
            continue
        chosen = max(sorted(shared), key=lambda key: sum(values[key] for values in others))
        for (other, regime), values in means.items():
            if other == scene:
                best = max(sorted(values), key=lambda key, values=values: values[key])
                choices.append(
                    {
                        "scene": scene,
                        "regime": regime,
                        "entry": chosen,
                        "oa": values[chosen],
                        "best_entry": best,
                        "best_oa": values[best],
                    }
                )
    return choices


if __name__ == "__main__":
    main()
