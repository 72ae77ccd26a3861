"""Averages of runs over seeds, and gaps between random and disjoint splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from classifiers.comparison.results.base_records import BenchEntry, Estimate
from classifiers.comparison.results.differences import SplitGap
from classifiers.comparison.results.scores import EntrySummary, RunResult, SceneSummaryScore
from classifiers.scene_scores import SceneScore
from classifiers.splits import is_matched, parse_split_kind

Bounds = tuple[float, float]


@dataclass(frozen=True)
class ScoreIntervals:
    """95 % intervals (low, high) of the scores of an entry under a split.

    Attributes
    ----------
    overall : dict of str to (float, float)
        Maps the key of a metric to its interval over all test pixels.
    by_class : dict of str to dict of int to (float, float)
        Maps the key of a metric to a dict, which maps each class number to the interval of the class.
    """

    overall: dict[str, Bounds] = field(default_factory=dict)
    by_class: dict[str, dict[int, Bounds]] = field(default_factory=dict)


def summarise(
    runs: Iterable[RunResult],
    intervals: Mapping[tuple[BenchEntry, str], ScoreIntervals] = MappingProxyType({}),
) -> tuple[EntrySummary, ...]:
    """Average runs over seeds, separately for each entry and split.

    Parameters
    ----------
    runs : iterable of RunResult
        Runs to average.
    intervals : mapping of (BenchEntry, str) to ScoreIntervals, optional
        Intervals of the scores for each entry and split, where available.

    Returns
    -------
    tuple of EntrySummary
        Summaries in the order in which entries and splits first occur. Scores and pixel counts are means over seeds, times
        are medians, and confusion matrices are sums. Scores of a class are averaged over the seeds under which the class has
        test pixels.
    """
    groups: dict[tuple[BenchEntry, str], list[RunResult]] = {}
    for run in runs:
        groups.setdefault((run.entry, run.split), []).append(run)
    return tuple(_summary(group, intervals.get(key, ScoreIntervals())) for key, group in groups.items())


def _summary(runs: list[RunResult], intervals: ScoreIntervals) -> EntrySummary:
    classes = tuple(sorted({number for run in runs for number in run.classes}))
    confusion_classes = tuple(sorted({number for run in runs for number in run.confusion_classes}))
    confusion = np.zeros((len(confusion_classes), len(confusion_classes)), dtype=np.int64)
    for run in runs:
        index = np.searchsorted(confusion_classes, run.confusion_classes)
        confusion[np.ix_(index, index)] += run.confusion
    smoothed = [run.smoothed_oa for run in runs if run.smoothed_oa is not None]
    tested = {number: [run for run in runs if number in run.pixels] for number in classes}
    return EntrySummary(
        entry=runs[0].entry,
        split=runs[0].split,
        seeds=len(runs),
        train_pixels=float(np.mean([run.train_pixels for run in runs])),
        test_pixels=float(np.mean([run.test_pixels for run in runs])),
        left_out=dict(sorted(Counter(number for run in runs for number in run.left_out).items())),
        class_counts=tuple(sorted({len(run.classes) for run in runs})),
        scores={
            key: Estimate.from_values([run.scores[key] for run in runs], intervals.overall.get(key))
            for key in runs[0].scores
        },
        fit_seconds=float(np.median([run.fit_seconds for run in runs])),
        predict_seconds=float(np.median([run.predict_seconds for run in runs])),
        class_scores={
            key: {
                number: Estimate.from_values(
                    [run.class_scores[key][number] for run in tested_runs], intervals.by_class.get(key, {}).get(number)
                )
                for number, tested_runs in tested.items()
            }
            for key in runs[0].class_scores
        },
        pixels={
            number: float(np.mean([run.pixels[number] for run in tested_runs]))
            for number, tested_runs in tested.items()
        },
        class_seeds={number: len(tested_runs) for number, tested_runs in tested.items()},
        confusion=tuple(map(tuple, confusion.tolist())),
        confusion_classes=confusion_classes,
        scenes=_scene_summaries(runs),
        smoothed_oa=Estimate.from_values(smoothed) if smoothed else None,
        smoothing_gain=Estimate.from_values(np.subtract(smoothed, [run.oa for run in runs])) if smoothed else None,
    )


def _scene_summaries(runs: list[RunResult]) -> tuple[SceneSummaryScore, ...]:
    """Average the scores in each scene over the runs of one entry under one split."""
    by_scene: dict[str, list[SceneScore]] = {}
    for run in runs:
        for score in run.scenes:
            by_scene.setdefault(score.scene, []).append(score)
    return tuple(
        SceneSummaryScore(
            scene=scene,
            seeds=len(found),
            test_pixels=float(np.mean([score.test_pixels for score in found])),
            scores={
                key: Estimate.from_values([score.scores[key] for score in found if key in score.scores])
                for key in found[0].scores
            },
        )
        for scene, found in by_scene.items()
    )


def gap_splits(splits: Iterable[str]) -> tuple[str, str] | None:
    """Return the first random split and the first disjoint split, or None if there is no random or no disjoint split.

    Only splits that a benchmark reduces to equal numbers of training pixels are considered; see
    `classifiers.splits.is_matched`. All other splits, such as ``per-class:5``, are skipped.

    >>> gap_splits(["blocks:12+4:0.1", "per-class:5", "random:0.1"])
    ('random:0.1', 'blocks:12+4:0.1')
    """
    first: dict[str, str] = {}
    for split in filter(is_matched, splits):
        first.setdefault(parse_split_kind(split), split)
    return (first["random"], first["disjoint"]) if {"random", "disjoint"} <= first.keys() else None


def split_gaps(
    summaries: Iterable[EntrySummary], intervals: Mapping[BenchEntry, Bounds] = MappingProxyType({})
) -> tuple[SplitGap, ...]:
    """Return for each entry the gap between the first random and the first disjoint split.

    The gap is the overall accuracy of the random split minus that of the disjoint split. `gap_splits` selects the two
    splits. Entries that were not run under both splits are omitted.

    Parameters
    ----------
    summaries : iterable of EntrySummary
        Results averaged over seeds.
    intervals : mapping of BenchEntry to (float, float), optional
        95 % interval of the gap of each entry, where available.
    """
    summaries = list(summaries)
    pair = gap_splits(dict.fromkeys(summary.split for summary in summaries))
    if pair is None:
        return ()
    random, disjoint = (
        {summary.entry: summary.oa.mean for summary in summaries if summary.split == split} for split in pair
    )
    gaps = []
    for entry, oa in random.items():
        if entry in disjoint:
            low, high = intervals.get(entry, (None, None))
            gaps.append(
                SplitGap(
                    entry=entry, random=pair[0], disjoint=pair[1], difference=oa - disjoint[entry], low=low, high=high
                )
            )
    return tuple(gaps)
