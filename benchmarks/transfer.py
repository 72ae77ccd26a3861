"""Measure how well features carry over from one half of a scene to the other half, which has no training labels.

    .venv/bin/python benchmarks/transfer.py

The stores of both halves have one recipe with one projection, fitted on the first half. In each draw, a head learns from 20
labels of each class in one half. It is tested in the other half, on all labelled pixels of the classes that both halves
have. Then the halves change places, and the accuracy of the draw is the mean of both directions. Columns are reduced on
pixels of the training half. ``benchmarks/results/transfer.json`` has the overall accuracies of each draw, their means, and
differences paired by draw with 95 % intervals of Student's t.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scoring import RESULTS, PrintingListener, about_run, mean_sd
from study_scenes import indian_pines, reduced_pavia

import hsifeat
from classifiers import PixelTable, make_head, parse_split
from classifiers.comparison.sampling import limit_per_class
from classifiers.input_sets import InputSet
from hsifeat.features.scene_set import open_scenes

SCENES = {"indian-pines": indian_pines, "pavia-reduced": reduced_pavia}
PER_CLASS = 20
RIVAL = "spectra+window+context"
# The name of each entry, its backbones and its input.
ENTRIES = {
    "spectra": ((), "spectra"),
    "spectra+window": ((), "spectra+window"),
    RIVAL: ((), RIVAL),
    "spectra+window+natural32": (("natural32",), "spectra+window+planes"),
    "spectra+window+untrained": (("untrained:natural32",), "spectra+window+planes"),
    f"{RIVAL}+natural32": (("natural32",), f"{RIVAL}+planes"),
    f"{RIVAL}+untrained": (("untrained:natural32",), f"{RIVAL}+planes"),
}
# Entry and rival of each difference.
DIFFERENCES = (
    ("spectra+window", "spectra"),
    (RIVAL, "spectra+window"),
    ("spectra+window+natural32", "spectra+window"),
    ("spectra+window+natural32", "spectra+window+untrained"),
    (f"{RIVAL}+natural32", RIVAL),
    (f"{RIVAL}+natural32", f"{RIVAL}+untrained"),
)


def halves(scene: hsifeat.Scene) -> list[hsifeat.Scene]:
    """Cut a scene into two halves, and return them. The cut is along the axis that leaves more classes in both halves."""

    def half(number: int, axis: int) -> hsifeat.Scene:
        middle = (scene.rows, scene.cols)[axis] // 2
        part = [slice(None), slice(None)]
        part[axis] = slice(0, middle) if number == 0 else slice(middle, None)
        pixels = tuple(part)
        labels = {
            name: replace(one, classes=one.classes[pixels], georeference=None) for name, one in scene.labels.items()
        }
        return hsifeat.Scene(
            f"{scene.name}-{'ab'[number]}",
            np.asarray(scene.cube[:])[pixels],
            scene.wavelengths_nm,
            labels,
            mask=scene.valid[pixels],
        )

    def common(pair: list[hsifeat.Scene]) -> int:
        first, second = (set(next(iter(one.labels.values())).counts) for one in pair)
        return len(first & second)

    return max(([half(0, axis), half(1, axis)] for axis in (0, 1)), key=common)


def tables(pair: list[hsifeat.Scene], folder: Path, listen: PrintingListener) -> dict[str, Any]:
    """Extract the stores of both halves, and return the joint table of both halves for each backbone of `ENTRIES`."""
    backbones = {"context": {}, "natural32": {}, "untrained:natural32": {"preset": "natural32"}}
    stores: dict[str, list[Any]] = {}
    for backbone, options in backbones.items():
        outcomes = hsifeat.extract_scenes(
            pair,
            backbone=backbone,
            **options,
            shared_projection=True,
            out=folder / backbone.replace(":", "-"),
            listen=listen,
        )
        stores[backbone] = [outcome.store for outcome in outcomes]
    return {
        backbone: PixelTable.from_store(open_scenes([*stores["context"], *stores[backbone]]), window=5, sample=True)
        for backbone in ("natural32", "untrained:natural32")
    }


def accuracies(by_backbone: dict[str, Any], draws: int) -> dict[str, list[float]]:
    """Return the accuracy of each entry for each draw, averaged over both directions."""
    names = next(iter(by_backbone.values())).scene_names
    scores: dict[str, Any] = {entry: np.zeros((2, draws)) for entry in ENTRIES}
    for direction, (train, test) in enumerate((names, names[::-1])):
        split = parse_split(f"scenes:{train}/{test}")
        for entry, (backbone, inputs) in ENTRIES.items():
            table = by_backbone[backbone[0] if backbone else "natural32"]
            labels, places = table.labels, table.coordinates
            columns = table.select_groups(InputSet.parse(inputs).includes)
            for seed in range(draws):
                draw = limit_per_class(split.draw(labels, seed), labels, PER_CLASS, seed)
                learned, tested = columns[draw.train[places]], columns[draw.test[places]]
                head = make_head("lda", layout=columns.layout)
                head.fit(learned.X, learned.y, unlabelled=learned.unlabelled, positions=learned.positions)
                scores[entry][direction, seed] = np.mean(head.predict(tested.X) == tested.y)
            print(f"{train} to {test}, {entry}: {100 * scores[entry][direction].mean():.1f}", flush=True)
    return {entry: values.mean(axis=0).tolist() for entry, values in scores.items()}


def difference(first: list[float], second: list[float]) -> dict[str, float]:
    """Return the mean of differences paired by draw, in percentage points, and its 95 % interval of Student's t."""
    gains = 100 * (np.array(first) - np.array(second))
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5
    mean = gains.mean()
    return {
        name: round(float(value), 2) for name, value in (("mean", mean), ("low", mean - half), ("high", mean + half))
    }


def main() -> None:
    """Measure all scenes, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10)
    draws = parser.parse_args().draws
    content: dict[str, Any] = {
        **about_run(("hsifeat", "numpy", "scikit-learn", "torch")),
        "per_class": PER_CLASS,
        "draws": draws,
    }
    content["scenes"] = {}
    for name, opener in SCENES.items():
        pair = halves(opener())
        with tempfile.TemporaryDirectory() as folder:
            by_backbone = tables(pair, Path(folder), PrintingListener())
            fits = accuracies(by_backbone, draws)
        shared = set.intersection(*(set(next(iter(one.labels.values())).counts) for one in pair))
        content["scenes"][name] = {
            "halves": [list(one.cube.shape[:2]) for one in pair],
            "common_classes": len(shared),
            "oa": {entry: [round(value, 5) for value in values] for entry, values in fits.items()},
            "summary": {entry: mean_sd(values) for entry, values in fits.items()},
            "differences": [
                {"entry": entry, "rival": rival, **difference(fits[entry], fits[rival])} for entry, rival in DIFFERENCES
            ],
        }
    (RESULTS / "transfer.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
