"""Measure the accuracy of spectra, window means and morphological profiles against the distance to the training pixels.

``.venv/bin/python benchmarks/distance_curve.py`` extracts a `context` store of Indian Pines, fits two heads for 30 draws
of whole blocks (``blocks:12+0:0.1``, no buffer), and writes ``benchmarks/results/distance_curve.json``. The accuracy is reported
by bins of the distance from a test pixel to the nearest training pixel.

The first head is a pipeline of scikit-learn. Each column group is standardised, reduced to 40 principal components of the
training pixels, and divided by the standard deviation of the first component. The classifier is
``LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")``. The second head is ``lda`` with its defaults. On spectra alone, the
pipeline is also fitted with other numbers of components.
"""

from __future__ import annotations

import argparse
import json
import warnings
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
BINS = ("all", "0-4_px", "4-9_px", "9-16_px", "over_16_px")


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS)
    options = parser.parse_args()
    hsifeat.extract(indian_pines(), backbone="context", layers=["mean-25", *PROFILES], out=STORE)
    features = hsifeat.open_features(STORE)
    rows: dict[str, Any] = {}
    by_components: dict[int, Any] = {}
    for name, columns in COLUMNS.items():
        table = PixelTable.from_store(features, sample=True, **columns)
        split = parse_split(SPLIT, table.label_maps)
        draws = [split.draw(table.labels, seed) for seed in range(options.draws)]
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
    content = about_run(("scikit-learn", "scikit-image")) | {
        "split": SPLIT,
        "draws": options.draws,
        "columns": rows,
        "spectra_by_components": by_components,
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


def pipeline_accuracies(table: PixelTable, draw: SplitDraw, components: int = COMPONENTS) -> dict[str, float]:
    """Fit the pipeline of scikit-learn on the training pixels of a draw, and return its accuracy on test pixels by bin."""
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
