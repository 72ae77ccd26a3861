"""Measure the accuracy of spectra, window means and morphological profiles against the distance to the training pixels.

``.venv/bin/python benchmarks/distance_curve.py`` extracts a `context` store of Indian Pines, fits two heads for 30 draws of
whole blocks (``blocks:12+0:0.1``, no buffer), and writes ``benchmarks/results/distance_curve.json``. The accuracy is
reported by bins of the distance from a test pixel to the nearest training pixel.

The first head is a pipeline of scikit-learn. Each column group is standardised, reduced to 40 principal components of the
training pixels, and divided by the standard deviation of the first component. The classifier is
``LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")``. The second head is ``lda`` with its defaults. On spectra
alone, the pipeline is also fitted with other numbers of components. Finally, ``hsifeat bench`` measures the same curve with
``lda`` and the numbers of components in `BENCH_PARAMS`. The result file contains the commands.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scoring import RESULTS, ROOT, about_run
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from study_scenes import indian_pines

import hsifeat
from classifiers import PixelTable
from classifiers.comparison.config import BenchConfig, bench_command
from classifiers.distance_bins import bin_accuracies, distance_bins
from classifiers.evaluate import Evaluation, Evaluator
from classifiers.splits import SplitDraw, parse_split, training_distances
from hsifeat.features.scene_set import SceneSet

RESULT = RESULTS / "distance_curve.json"
STORE = ROOT / "build" / "distance_curve" / "indian-pines-context.zarr"
SPLIT, WINDOW_PX, DRAWS, COMPONENTS = "blocks:12+0:0.1", 5, 30, 40
OTHER_COMPONENTS = (20, 30, 60)
PROFILES = [f"profile-{size}" for size in (3, 5, 7, 9, 13, 17)]
COLUMNS: dict[str, dict[str, Any]] = {
    "spectra": {"context": []},
    "spectra + 5 px means": {"context": [], "window": WINDOW_PX},
    "spectra + 5 px means + 25 px means": {"context": ["t0/mean-25"], "window": WINDOW_PX},
    "spectra + 5 px means + profiles": {"context": [f"t0/{name}" for name in PROFILES], "window": WINDOW_PX},
}
BENCH_INPUTS = ("spectra", "spectra+window", "spectra+window+context")
BENCH_PARAMS = {"lda": {"spectral_components": 20, "context_components": 20}}
# Context layers of each store of ``hsifeat bench``, and the columns of the input sets.
BENCHES = {
    "mean-25": (["mean-25"], ["spectra", "spectra + 5 px means", "spectra + 5 px means + 25 px means"]),
    "profiles": (PROFILES, ["spectra", "spectra + 5 px means", "spectra + 5 px means + profiles"]),
}
BINS = ("all", "0-4_px", "4-9_px", "9-16_px", "over_16_px")


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--bench", action="store_true", help="run the commands of hsifeat bench only")
    options = parser.parse_args()
    content = json.loads(RESULT.read_text()) if options.bench else run_heads(options.draws)
    content["bench"] = bench_curves(options.draws)
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


def run_heads(draws_count: int) -> dict[str, Any]:
    """Return the accuracies of both heads by distance."""
    hsifeat.extract(indian_pines(), backbone="context", layers=["mean-25", *PROFILES], out=STORE)
    features = hsifeat.open_features(STORE)
    rows: dict[str, Any] = {}
    by_components: dict[int, Any] = {}
    for name, columns in COLUMNS.items():
        table = PixelTable.from_store(features, sample=True, **columns)
        split = parse_split(SPLIT, table.label_maps)
        draws = [split.draw(table.labels, seed) for seed in range(draws_count)]
        evaluator = Evaluator(SceneSet([features]), table, "lda", 0, {})
        pipeline = summary([pipeline_accuracies(table, draw) for draw in draws])
        lda = summary([accuracies(evaluator.evaluate(split, draw)[1]) for draw in draws])
        rows[name] = {"pipeline": pipeline, "lda": lda}
        print(
            name,
            *(f"{key}: {pipeline['oa'][key]} (lda {lda['oa'][key]})" for key in pipeline["oa"]),
            flush=True,
        )
        if name == "spectra":
            for count in OTHER_COMPONENTS:
                by_components[count] = summary([pipeline_accuracies(table, draw, count) for draw in draws])
                print(f"{count} components of spectra: {by_components[count]['oa']}", flush=True)
    return about_run(("scikit-learn", "scikit-image")) | {
        "split": SPLIT,
        "draws": draws_count,
        "columns": rows,
        "spectra_by_components": by_components,
    }


def bench_curves(draws: int) -> dict[str, Any]:
    """Return the accuracies of ``hsifeat bench`` by distance, and its commands. Finished fits are not repeated."""
    commands: list[str] = []
    rows: dict[str, Any] = {}
    for name, (layers, columns) in BENCHES.items():
        store, report = STORE.with_name(f"{name}.zarr"), STORE.with_name(f"report-{name}")
        hsifeat.extract(indian_pines(), backbone="context", layers=layers, out=store)
        # With splits of one kind only, `compare` would add one of the other kind and thin the training pixels.
        options = {"heads": ("lda",), "splits": (SPLIT, "per-class:5"), "seeds": draws, "inputs": BENCH_INPUTS}
        config = BenchConfig(**options, reduction="train", params=BENCH_PARAMS, sweep=False)
        comparison = hsifeat.compare(store, **dict(config), out=report)
        commands += [
            f"hsifeat extract indian-pines --backbone context --layers {','.join(layers)} --out {store.name}",
            bench_command(config, [store.name], Path(report.name)),
        ]
        overall = {row.entry: row.oa for row in comparison.summary if row.split == SPLIT}
        for one in comparison.distances:
            if one.split == SPLIT:
                scores = dict(zip(BINS, (overall[one.entry], *(score.oa for score in one.bins)), strict=True))
                rows[columns[BENCH_INPUTS.index(one.entry.inputs)]] = {
                    "oa": {key: round(100 * score.mean, 1) for key, score in scores.items()},
                    "se": {key: round(100 * score.sd / draws**0.5, 2) for key, score in scores.items()},
                    "interval": {key: [round(100 * end, 1) for end in score.interval] for key, score in scores.items()},
                }
    return {**about_run(("scikit-learn", "scikit-image")), "bench_commands": commands, "columns": rows}


def pipeline_accuracies(table: PixelTable, draw: SplitDraw, components: int = COMPONENTS) -> dict[str, float]:
    """Fit the pipeline of scikit-learn on the training pixels of a draw, and return the accuracy on test pixels in each distance bin."""
    train, test = (table[side[table.rows, table.cols]] for side in (draw.train, draw.test))
    families: dict[str, list[Any]] = {}
    for group in table.layout:
        families.setdefault(group.family if group.layer else str(group), []).append(group)
    columns = [table.layout.columns(*groups) for groups in families.values()]
    fitted = [group_reduction(components).fit(train.X[:, one]) for one in columns]
    first = [steps.transform(train.X[:, one])[:, 0].std() for steps, one in zip(fitted, columns, strict=True)]
    x_train, x_test = (
        np.hstack([steps.transform(side.X[:, one]) / sd for steps, one, sd in zip(fitted, columns, first, strict=True)])
        for side in (train, test)
    )
    # scikit-learn warns about each class with a single training pixel, because its covariance is undefined.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        head = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x_train, train.y)
    correct = head.predict(x_test) == test.y
    bins = bin_accuracies(correct, training_distances(draw), distance_bins())
    return {"all": float(correct.mean()), **{one.bin.key: one.oa for one in bins}}


def group_reduction(components: int) -> Pipeline:
    """Return an unfitted pipeline that standardises one column group and reduces it to `components` principal components."""
    return make_pipeline(StandardScaler(), PCA(components, svd_solver="full"))


def accuracies(evaluation: Evaluation) -> dict[str, float]:
    """Return the accuracy on all test pixels and in each distance bin."""
    return {"all": evaluation.scores.oa, **{one.bin.key: one.oa for one in evaluation.distances}}


def summary(draws: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the mean, standard deviation and standard error over draws of the accuracy in each bin, in percent."""
    values = {key: 100 * np.array([draw[key] for draw in draws if key in draw]) for key in BINS}
    return {
        "oa": {key: round(float(one.mean()), 1) for key, one in values.items()},
        "sd": {key: round(float(one.std(ddof=1)), 1) for key, one in values.items()},
        "se": {key: round(float(one.std(ddof=1) / len(one) ** 0.5), 2) for key, one in values.items()},
    }


if __name__ == "__main__":
    main()
