"""Averages of runs over seeds, and the gap between random and disjoint splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from classifiers.comparison.results.model import BenchEntry, EntrySummary, Estimate, RunResult, SplitGap
from classifiers.splits import parse_split_kind

Bounds = tuple[float, float]


@dataclass(frozen=True)
class ScoreIntervals:
    """95 % intervals of the scores of an entry under a split, (low, high).

    Attributes
    ----------
    overall : dict of str to (float, float)
        By the key of a metric over all test pixels.
    by_class : dict of str to dict of int to (float, float)
        By the key of a metric of each class, and the class.
    """

    overall: dict[str, Bounds] = field(default_factory=dict)
    by_class: dict[str, dict[int, Bounds]] = field(default_factory=dict)


def summarise(
    runs: Iterable[RunResult],
    intervals: Mapping[tuple[BenchEntry, str], ScoreIntervals] = MappingProxyType({}),
) -> tuple[EntrySummary, ...]:
    """Average runs over seeds, in the order in which entries and splits first occur.

    Parameters
    ----------
    runs : iterable of RunResult
        Of any entries, splits and seeds.
    intervals : mapping of (BenchEntry, str) to ScoreIntervals, optional
        Intervals of an entry under a split, where available.

    Returns
    -------
    tuple of EntrySummary
        Scores and pixel counts are means, seconds are medians and confusion matrices are sums over seeds. A class is
        averaged over the seeds for which it has test pixels.
    """
    groups: dict[tuple[BenchEntry, str], list[RunResult]] = {}
    for run in runs:
        groups.setdefault((run.entry, run.split), []).append(run)
    return tuple(_summary(group, intervals.get(key, ScoreIntervals())) for key, group in groups.items())


def _summary(runs: list[RunResult], intervals: ScoreIntervals) -> EntrySummary:
    classes = tuple(sorted({number for run in runs for number in run.classes}))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for run in runs:
        index = np.searchsorted(classes, run.classes)
        confusion[np.ix_(index, index)] += run.confusion
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
                    [run.class_scores[key][number] for run in having], intervals.by_class.get(key, {}).get(number)
                )
                for number, having in tested.items()
            }
            for key in runs[0].class_scores
        },
        pixels={number: float(np.mean([run.pixels[number] for run in having])) for number, having in tested.items()},
        class_seeds={number: len(having) for number, having in tested.items()},
        classes=classes,
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def gap_splits(splits: Iterable[str]) -> tuple[str, str] | None:
    """Return the first random and the first disjoint split, or None if either is missing.

    >>> gap_splits(["blocks:12+4:0.1", "official", "random:0.1"])
    ('random:0.1', 'blocks:12+4:0.1')
    """
    first: dict[str, str] = {}
    for split in splits:
        first.setdefault(parse_split_kind(split), split)
    return (first["random"], first["disjoint"]) if {"random", "disjoint"} <= first.keys() else None


def split_gaps(
    summaries: Iterable[EntrySummary], intervals: Mapping[BenchEntry, Bounds] = MappingProxyType({})
) -> tuple[SplitGap, ...]:
    """Return the gap of each entry that was run under both a random and a disjoint split.

    Parameters
    ----------
    summaries : iterable of EntrySummary
        Averages over seeds.
    intervals : mapping of BenchEntry to (float, float), optional
        95 % interval of the gap, where available.
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
