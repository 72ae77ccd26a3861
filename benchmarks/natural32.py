"""Judge frozen denoisers by the accuracy of their planes, against their untrained twins and against classical features.

``.venv/bin/python benchmarks/natural32.py NAME=BACKBONE … --folder DIR`` extracts planes of each backbone and of its untrained
twin on Indian Pines, the Houston 2018 subset (its bands, and its companion image of 0.25 m) and the reduced Pavia University,
and scores linear discriminant analysis with shrinkage on several sets of columns:

- few labels: 5 and 20 training pixels per class, scattered over the scene;
- distance: whole 12-px blocks with a tenth of the labelled pixels train, and accuracy is given by the distance of a test pixel
  to the nearest training pixel.

Each group of columns is standardised and reduced to principal components over all pixels of the scene, without labels.
The results of every scene and set of columns are written at once to ``benchmarks/results/natural32.json``; the same command
continues an interrupted run. Differences are paired by draw. Their intervals (Student's t, 95 %) cover the drawing of training
pixels, not the choice of scenes.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from classical_context import companion_context, context_groups, reduce_columns, window_means
from numpy.typing import NDArray
from scipy import stats
from scoring import RESULTS, PrintingListener, about_run
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from study_scenes import SCENES

STUDIED = ("indian-pines", "houston", "houston-companion", "pavia-reduced")
REGIMES = ("per-class:5", "per-class:20", "blocks:12+0:0.1")
BINS_PX = {"0-4": (0, 4), "4-9": (4, 9), "9-16": (9, 16), "over 9": (9, np.inf), "over 16": (16, np.inf)}
GROUP_COMPONENTS, PLANE_COMPONENTS = 40, 60
SPECTRA, WINDOW, CONTEXT = "spectra", "spectra+window", "spectra+window+context"

Scores = dict[str, dict[str, list[float | None]]]


def main() -> None:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", metavar="NAME=BACKBONE")
    parser.add_argument("--folder", type=Path, required=True, help="folder of the stores, which are used again")
    parser.add_argument("--out", type=Path, default=RESULTS / "natural32.json")
    parser.add_argument("--scenes", default=",".join(STUDIED))
    parser.add_argument("--draws", type=int, default=30)
    parser.add_argument("--timesteps", default="50")
    parser.add_argument("--layers", default="up_blocks.0,up_blocks.1")
    parser.add_argument("--projection", default="pca:3")
    options = parser.parse_args()
    # A block may hold a single training pixel of a class.
    warnings.filterwarnings("ignore", message="Only one sample available")
    content = (
        json.loads(options.out.read_text())
        if options.out.exists()
        else {"draws": options.draws, "planes": {}, "scores": {}}
    )
    if content["draws"] != options.draws:
        raise SystemExit(f"{options.out} has {content['draws']} draws; use --draws {content['draws']} or another --out")
    for name in options.scenes.split(","):
        study = Study(name, options.draws, content["scores"].setdefault(name, {}))
        for columns in study.classical():
            save(options.out, content)
            print(name, columns, flush=True)
        for entry in options.backbones:
            label, _, source = entry.partition("=")
            content["planes"][label] = {k: getattr(options, k) for k in ("timesteps", "layers", "projection")}
            for twin in (False, True):
                for columns in study.learned(label, source, options, twin=twin):
                    save(options.out, content)
                    print(name, columns, flush=True)
    content["differences"] = {name: paired_differences(scores) for name, scores in content["scores"].items()}
    save(options.out, content)
    print(table(content))


def save(file: Path, content: dict[str, Any]) -> None:
    """Write the results with the metadata of this run."""
    about = about_run(("torch", "diffusers", "scikit-learn", "scikit-image"))
    file.write_text(json.dumps({**about, **{k: v for k, v in content.items() if k not in about}}, indent=1) + "\n")


class Study:
    """Scores of column sets on one scene, kept in a dict that is the scene's part of the results."""

    def __init__(self, name: str, draws: int, scores: Scores) -> None:
        from classifiers.splits import parse_split, training_distances

        self.name, self.scores = name, scores
        self.scene = SCENES[name]()
        labels = next(iter(self.scene.labels.values()))
        # A class with fewer than four pixels can't be in both parts of a split.
        small = [number for number, count in labels.counts.items() if count < 4]
        self.truth = np.where(np.isin(labels.classes, small), 0, labels.classes)
        self.draws = {regime: [parse_split(regime).draw(labels, seed) for seed in range(draws)] for regime in REGIMES}
        self.distances = [training_distances(draw) for draw in self.draws[REGIMES[-1]]]
        self._groups: dict[str, NDArray[np.float32]] = {}

    def classical(self) -> Any:
        """Score the sets of classical columns, and yield their names."""
        if all(name in self.scores for name in (SPECTRA, WINDOW, CONTEXT)):
            return
        self._prepare()
        for name in (SPECTRA, WINDOW, CONTEXT):
            if self._score(name, self._sets[name]):
                yield name

    def learned(self, label: str, source: str, options: argparse.Namespace, *, twin: bool) -> Any:
        """Score the planes of a backbone or its untrained twin, with and without context; yield the names of the columns."""
        variant = f"{label}{' untrained' if twin else ''}"
        names = {base: f"{base}+{variant}" for base in (WINDOW, CONTEXT)}
        if all(name in self.scores for name in names.values()):
            return
        planes = reduce_group(
            self._read_planes(variant.replace(" ", "-"), source, options, twin=twin), PLANE_COMPONENTS
        )
        self._prepare()
        for base, name in names.items():
            if self._score(name, [*self._sets[base], planes]):
                yield name

    def _read_planes(self, label: str, source: str, options: argparse.Namespace, *, twin: bool) -> NDArray[np.float32]:
        import hsifeat
        from hsifeat.types import Window

        companion = self.name.endswith("-companion")
        folder = options.folder / f"{self.name}-{label}.zarr"
        hsifeat.extract(
            self.scene,
            backbone=f"untrained:{source}" if twin else source,
            timesteps=[int(t) for t in options.timesteps.split(",")],
            layers=options.layers.split(","),
            projection=None if companion else options.projection,
            stitch="whole",
            companion=companion,
            out=folder,
            listen=PrintingListener(),
        )
        features = hsifeat.open_features(folder)
        return features.read(Window(0, 0, self.scene.rows, self.scene.cols))

    def _prepare(self) -> None:
        if self._groups:
            return
        cube = np.asarray(self.scene.cube[:], np.float32)
        groups = {SPECTRA: cube, "window": window_means(cube, 5), **context_groups(cube)}
        if self.name.endswith("-companion"):
            groups["companion"] = companion_context(np.asarray(self.scene.companion), self.scene.companion_factor)
        self._groups = {name: reduce_group(values, GROUP_COMPONENTS) for name, values in groups.items()}

    @property
    def _sets(self) -> dict[str, list[NDArray[np.float32]]]:
        groups = list(self._groups.values())
        return {SPECTRA: groups[:1], WINDOW: groups[:2], CONTEXT: groups}

    def _score(self, name: str, groups: list[NDArray[np.float32]]) -> bool:
        """Score a set of columns under every draw, unless it has scores; return whether it was scored now."""
        if name in self.scores:
            return False
        columns = np.concatenate(groups, axis=2)
        scores: dict[str, list[float | None]] = {}
        for regime, draws in self.draws.items():
            for seed, draw in enumerate(draws):
                train, test = draw.train & (self.truth > 0), draw.test & (self.truth > 0)
                head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(
                    columns[train], self.truth[train]
                )
                correct = head.predict(columns[test]) == self.truth[test]
                scores.setdefault(regime, []).append(round(float(correct.mean()), 5))
                if regime == REGIMES[-1]:
                    distances = self.distances[seed][self.truth[draw.test] > 0]
                    for text, (low, high) in BINS_PX.items():
                        inside = (distances > low) & (distances <= high)
                        # A mean over a handful of pixels says nothing.
                        value = round(float(correct[inside].mean()), 5) if inside.sum() >= 20 else None
                        scores.setdefault(f"{regime}, {text} px", []).append(value)
        self.scores[name] = scores
        return True


def reduce_group(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Standardise a group of channels and reduce it to principal components, the first of unit variance."""
    columns = values.reshape(-1, values.shape[2])
    standard = (columns - columns.mean(0)) / (columns.std(0) + 1e-9)
    return reduce_columns(standard, count, whiten=False).reshape(*values.shape[:2], -1)


def paired_differences(scores: Scores) -> dict[str, dict[str, Any]]:
    """Return the gains of planes over their untrained twin and over the same columns without planes, in percentage points."""
    gains: dict[str, dict[str, Any]] = {}
    for name, by_regime in scores.items():
        base, _, label = name.rpartition("+")
        if base not in (WINDOW, CONTEXT) or label == "context" or label.endswith(" untrained"):
            continue
        for other in (f"{name} untrained", base, CONTEXT):
            if other in scores:
                gains[f"{name} - {other}"] = {r: gain(values, scores[other][r]) for r, values in by_regime.items()}
    return gains


def gain(values: list[float | None], others: list[float | None]) -> dict[str, Any] | None:
    """Return the mean of paired differences, its 95 % interval, and the number of draws with a gain."""
    pairs = np.array([(a, b) for a, b in zip(values, others, strict=True) if a is not None and b is not None])
    if len(pairs) < 3:
        return None
    points = 100 * (pairs[:, 0] - pairs[:, 1])
    margin = float(stats.t.ppf(0.975, len(points) - 1) * stats.sem(points))
    mean = float(points.mean())
    return {
        "mean": round(mean, 2),
        "interval": [round(mean - margin, 2), round(mean + margin, 2)],
        "better": f"{int((points > 0).sum())} of {len(points)}",
    }


def table(content: dict[str, Any]) -> str:
    """Return the mean accuracy of every scene and set of columns as text."""
    lines = []
    for scene, scores in content["scores"].items():
        for name, by_regime in scores.items():
            means = [
                f"{regime.replace('blocks:12+0:0.1', 'blocks')} "
                f"{100 * np.mean([v for v in values if v is not None]):.1f}"
                for regime, values in by_regime.items()
                if any(v is not None for v in values)
            ]
            lines.append(f"{scene:18} {name:45} " + "  ".join(means))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
