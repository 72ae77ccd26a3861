"""Measure how much suggestions raise the accuracy of a labelled scene, and how fast maps follow clicks.

``.venv/bin/python benchmarks/labelling.py`` extracts a `context` store of Indian Pines. A simulated person labels 80 pixels
by the ground truth, in ten runs with each of three strategies: suggested pixels, random pixels, and pixels of random
superpixels. The code calls a strategy a side. The first ten pixels of a run are random and the same for all sides, because
the classes are unknown at the start. All sides have the same head, columns and smoothing. Only pixels with ground truth can
be labelled. The accuracy is measured on all other pixels with ground truth. Results are in
``benchmarks/results/labelling.json``.

``--study`` compares criteria of suggestions on Houston 2018 and on Indian Pines, with other seeds than the reported runs.
``--times`` measures the time from a click to the map, on Indian Pines and on a scene of 1,000 x 1,000 pixels that repeats the
columns of Indian Pines.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scoring import RESULTS, ROOT, about_run
from study_scenes import SCENES

import hsifeat
from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.labels_db import LabelDatabase
from classifiers.labelling.pixel_order import order_pixels, screen_step
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.scene_columns import SceneColumns, open_scene_columns
from classifiers.labelling.score import LabelScore, score_labels
from classifiers.labelling.segments import Segments, open_segments, segment_places
from classifiers.labelling.suggest import Suggester
from classifiers.multi_scene import select_labels
from hsifeat.errors import HeadError
from hsifeat.mapped_arrays import create_array

RESULT = RESULTS / "labelling.json"
STORES = ROOT / "build" / "labelling"
# Maximum number of rows and columns of the first map.
_SCREEN_PX = 512
FIRST, LABELS, BATCH = 10, 80, 5
REPORTED_RUNS, STUDY_RUNS = range(10), range(100, 105)
SIDES = ("suggestion", "random", "segment")


class Coverage(Suggester):
    """Criterion that prefers pixels that resemble many pixels but no labelled pixel. It ignores the uncertainty of the map."""

    def gains(self, candidates: Any, distances: Any, nearest: Any, uncertainty: Any) -> NDArray[np.float64]:
        """Return the gains of `Suggester.gains` with equal uncertainties."""
        return super().gains(candidates, distances, nearest, np.ones_like(uncertainty))


class Margin(Suggester):
    """Criterion that prefers uncertain pixels."""

    def gains(self, candidates: Any, distances: Any, nearest: Any, uncertainty: Any) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the uncertainty."""
        return np.asarray(uncertainty[candidates])


class UncertainAndUnlike(Suggester):
    """Criterion that prefers uncertain pixels unlike the labelled pixels. It ignores how many pixels resemble a pixel."""

    def gains(self, candidates: Any, distances: Any, nearest: Any, uncertainty: Any) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the uncertainty times the distance to the nearest labelled or suggested superpixel."""
        return np.asarray(uncertainty[candidates] * np.sqrt(nearest[candidates]))


CRITERIA = {"suggestion": Suggester, "coverage": Coverage, "margin": Margin, "uncertain-unlike": UncertainAndUnlike}


class Person:
    """Simulated person who labels a scene by the ground truth.

    Parameters
    ----------
    scene : str
        Key of `study_scenes.SCENES`.
    """

    def __init__(self, scene: str) -> None:
        store = STORES / f"{scene}.zarr"
        if not store.exists():
            hsifeat.extract(SCENES[scene](), backbone="context", out=store)
        features = hsifeat.open_features(store)
        self.columns = open_scene_columns(features)
        self.segments = open_segments(self.columns)
        self.truth = np.where(self.columns.mask, select_labels(features).classes, 0)
        self.mapper = QuickMapper(self.columns)
        self.suggesters = {name: cls(self.mapper, self.segments) for name, cls in CRITERIA.items()}

    def label(self, side: str, run: int) -> tuple[list[float], LabelScore]:
        """Label a scene. Return the accuracy in percent after each batch of clicks, and the cross-validated score of all labels."""
        known = np.flatnonzero(self.truth)
        clicks = np.random.default_rng([run, 0]).choice(known, FIRST, replace=False)
        rng = np.random.default_rng([run, 1])
        classes = np.zeros_like(self.truth)
        curve = []
        while True:
            classes.ravel()[clicks] = self.truth.ravel()[clicks]
            curve.append(self.accuracy(classes))
            if np.count_nonzero(classes) >= LABELS:
                return curve, score_labels(self.mapper, classes)
            clicks = self.choose(side, classes, rng)

    def choose(self, side: str, classes: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the flat indices of the next batch of clicks."""
        free = (self.truth > 0) & (classes == 0)
        if side == "random":
            return rng.choice(np.flatnonzero(free), BATCH, replace=False)
        if side == "segment":
            unlabelled = free & ~np.isin(self.segments.numbers, self.segments.numbers[classes > 0])
            numbers = np.unique(self.segments.numbers[unlabelled])
            chosen = rng.choice(numbers, BATCH, replace=False)
            return np.array([rng.choice(np.flatnonzero(free & (self.segments.numbers == number))) for number in chosen])
        places = self.suggesters[side].suggest(classes, BATCH, among=free)
        return np.array([place.row * classes.shape[1] + place.col for place in places])

    def accuracy(self, classes: NDArray[np.integer]) -> float:
        """Return the accuracy of the map in percent, on the unlabelled pixels with ground truth."""
        try:
            found = self.mapper.predict(self.mapper.fit(classes)).classes
        except HeadError:  # all labels of one class
            found = np.full_like(classes, np.bincount(classes[classes > 0]).argmax())
        judged = (self.truth > 0) & (classes == 0)
        return 100 * float(np.mean(found[judged] == self.truth[judged]))


def simulate(scene: str, sides: tuple[str, ...], runs: range) -> dict[str, Any]:
    """Simulate runs on a scene, and return curves, means, scores and paired differences of the strategies `sides`."""
    person = Person(scene)
    curves: dict[str, list[list[float]]] = {side: [] for side in sides}
    scores: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for run in runs:
        for side in sides:
            curve, score = person.label(side, run)
            curves[side].append([round(value, 2) for value in curve])
            scores[side].append(describe_score(score))
        print(scene, run, {side: curves[side][-1][-1] for side in sides}, flush=True)
    counts = list(range(FIRST, LABELS + 1, BATCH))
    means = {side: np.mean(values, axis=0).round(2).tolist() for side, values in curves.items()}
    others = [side for side in sides if side != "random"]
    return {
        "runs": [runs.start, runs.stop],
        "labels": counts,
        "mean": means,
        "gain_over_random": {side: difference(curves[side], curves["random"]) for side in others},
        "score": {side: judge_scores(scores[side], curves[side]) for side in sides},
        "scores": scores,
        "curves": curves,
    }


def describe_score(score: LabelScore) -> dict[str, Any]:
    """Return the cross-validated accuracy of labels and the interval of this accuracy, in percent."""
    if score.scores is None or score.interval is None:
        return {"oa": None}
    return {"oa": round(100 * score.scores.oa, 2), "interval": [round(100 * bound, 2) for bound in score.interval]}


def judge_scores(scores: list[dict[str, Any]], curves: list[list[float]]) -> dict[str, Any]:
    """Compare cross-validated accuracies with the accuracy of the map."""
    pairs = [(score, curve[-1]) for score, curve in zip(scores, curves, strict=True) if score["oa"] is not None]
    inside = [score["interval"][0] <= truth <= score["interval"][1] for score, truth in pairs]
    return {
        "mean": round(float(np.mean([score["oa"] for score, _ in pairs])), 2),
        "mean_of_map": round(float(np.mean([truth for _, truth in pairs])), 2),
        "interval_holds_map": f"{sum(inside)} of {len(pairs)}",
    }


def difference(curves: list[list[float]], others: list[list[float]]) -> dict[str, Any]:
    """Return the mean paired difference between two sets of curves.

    The result has the mean difference at the end of the curves with its 95 % interval, and the mean difference over all
    points.
    """
    differences = np.array(curves) - np.array(others)
    last = differences[:, -1]
    margin = float(stats.t.ppf(0.975, len(last) - 1) * stats.sem(last))
    return {
        "at_the_end": round(float(last.mean()), 2),
        "interval": [round(float(last.mean()) - margin, 2), round(float(last.mean()) + margin, 2)],
        "better": f"{int((last > 0).sum())} of {len(last)}",
        "over_the_curve": round(float(differences.mean()), 2),
    }


def measure_times(folder: Path) -> dict[str, Any]:
    """Return the times of `click_times` for Indian Pines and for a scene of 1,000 x 1,000 pixels."""
    person = Person("indian-pines")
    large = repeated_columns(person.columns, 1000, folder)
    numbers = np.tile(person.segments.numbers, (7, 7))[:1000, :1000]
    times = {"145x145": click_times(person.columns, person.segments, person.truth, folder)}
    copies = np.repeat(np.repeat(np.arange(49).reshape(7, 7), 145, 0), 145, 1)[:1000, :1000] * person.segments.count
    truth = np.tile(person.truth, (7, 7))[:1000, :1000]
    numbers = np.unique(numbers + copies, return_inverse=True)[1].reshape(numbers.shape) + 1
    segments = Segments(numbers.astype(np.int32), segment_places(large, numbers.astype(np.int32)))
    times["1000x1000"] = click_times(large, segments, truth, folder)
    return {"load": os.getloadavg()[0], **times}


def click_times(columns: SceneColumns, segments: Segments, truth: NDArray[np.integer], folder: Path) -> dict[str, Any]:
    """Return the shortest time of each step after a click, with five labels per class and a few more labels.

    On a busy machine, compare the processor seconds rather than the seconds.
    """
    mapper = QuickMapper(columns)
    rng = np.random.default_rng(0)
    with LabelDatabase(folder / f"{columns.shape[0]}.sqlite") as database:
        labels = database.open_set("scene", columns.shape)
        for number in np.unique(truth[truth > 0]).tolist():
            database.add_class(labels.id, "person", f"class {number}", number=number)
            members = rng.choice(np.flatnonzero(truth == number), 5, replace=False)
            database.paint(labels.id, "person", LabelEdit.of_class("pixel", members, number))
        steps: dict[str, list[NDArray[np.float64]]] = {}

        def click() -> NDArray[np.uint16]:
            pixel = rng.choice(np.flatnonzero(truth))
            database.paint(
                labels.id, "person", LabelEdit.of_class("pixel", np.array([pixel]), int(truth.ravel()[pixel]))
            )
            return database.class_map(labels.id)[1]

        step = screen_step(columns.shape, _SCREEN_PX)
        for each in {step, 1}:  # fills the caches of the mapper
            mapper.predict(mapper.fit(click()), step=each)
        for _ in range(5):
            clocks = [clock()]
            classes = click()
            clocks.append(clock())
            head = mapper.fit(classes)
            mapper.predict(head, step=step)
            clocks.append(clock())
            if step > 1:
                mapper.predict(head)
            clocks.append(clock())
            for name, now in zip(("store_the_click", "map_in_view", "map_in_full_resolution"), clocks[1:], strict=True):
                steps.setdefault(name, []).append(now - clocks[0])
        suggester, started = timed(lambda: Suggester(mapper, segments))
        steps["prepare_suggestions"] = [started]
        steps["suggest_5"] = [timed(lambda: suggester.suggest(classes, 5))[1] for _ in range(3)]
        steps["score"] = [timed(lambda: score_labels(mapper, classes))[1]]
    return {
        "labels": int(np.count_nonzero(classes)),
        "columns": int(columns.values.shape[1]),
        "step_of_first_map": step,
        "maps": 1 if step == 1 else 2,
        "seconds": {name: round(float(np.min(values, axis=0)[0]), 3) for name, values in steps.items()},
        "cpu_seconds": {name: round(float(np.min(values, axis=0)[1]), 3) for name, values in steps.items()},
    }


def clock() -> NDArray[np.float64]:
    """Return the time and the processor time of this process, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def timed(function: Callable[[], Any]) -> tuple[Any, NDArray[np.float64]]:
    """Call a function, and return its result, its duration in seconds, and its processor time in seconds."""
    start = clock()
    return function(), clock() - start


def repeated_columns(columns: SceneColumns, side: int, folder: Path) -> SceneColumns:
    """Return the columns of a scene of `side` x `side` pixels that repeats the scene of `columns`."""
    rows, cols = columns.shape
    pixels = order_pixels(np.ones((side, side), np.bool_))
    values = create_array(folder / "values.npy", (len(pixels), columns.values.shape[1]), "float32")
    for start in range(0, len(pixels), 2**16):
        row, col = np.divmod(pixels[start : start + 2**16], side)
        values[start : start + 2**16] = columns.values[columns.row_of_pixel[row % rows * cols + col % cols]]
    guide = np.tile(columns.guide, (-(-side // rows), -(-side // cols), 1))[:side, :side]
    return replace(columns, shape=(side, side), values=values, pixels=pixels, guide=guide)


def main() -> None:
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", action="store_true", help="Compare criteria, on other scenes and runs.")
    parser.add_argument("--times", action="store_true", help="Measure the time from a click to the map.")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    if options.study:
        sides = ("random", *CRITERIA)
        results["study"] = {scene: simulate(scene, sides, STUDY_RUNS) for scene in ("houston", "indian-pines")}
    elif options.times:
        with TemporaryDirectory(dir=ROOT / "build") as folder:
            results["times"] = measure_times(Path(folder))
    else:
        results["indian-pines"] = simulate("indian-pines", SIDES, REPORTED_RUNS)
    content: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name, values in results.items():
        content[name] = {"about": about_run(("scikit-learn", "scikit-image", "scipy", "numpy")), **values}
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
