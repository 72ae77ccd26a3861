"""Scores of runs in each scene of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.sampling import Draws
from classifiers.scene_scores import score_scenes
from hsifeat.scenes import Labels


def score_by_scene(runs: Sequence[RunResult], run_records: RunRecords, labels: Labels, draws: Draws) -> list[RunResult]:
    """Score the predictions of each run separately in each scene that has test pixels.

    Parameters
    ----------
    runs : sequence of RunResult
        Runs of all entries, which were trained and tested on the pixels in `draws`.
    run_records : RunRecords
        Recorded predictions of the runs.
    labels : Labels
        True classes.
    draws : dict of (str, int) to SplitDraw
        Training and test pixels for each split and seed.

    Returns
    -------
    list of RunResult
        Copies of the runs with `RunResult.scenes`. If the labels are of one scene, `runs` is returned unchanged.
    """
    if not labels.parts:
        return list(runs)
    tests = {key: np.flatnonzero(draw.test) for key, draw in draws.items()}
    scored = []
    for run in runs:
        pixels = tests[run.split, run.seed]
        truth, rows = labels.classes.flat[pixels], pixels // labels.cols
        scenes = score_scenes(labels, rows, truth, run_records.read_predictions(run.key))
        scored.append(run.model_copy(update={"scenes": scenes}))
    return scored
