"""Confidence intervals, planned contrasts and pairwise tests of entries (a head on an input), from recorded predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.differences import Contrast, ContrastTest, EntryPair
from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.results.summary import Bounds, ScoreIntervals, gap_splits
from classifiers.comparison.results.summary_text import interval_text
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.stats.bootstrap import (
    FORMULAS,
    MIN_REGIONS,
    accuracy,
    agreement,
    bootstrap,
    holm,
    interval,
    mcnemar,
    sign_p,
)
from classifiers.comparison.stats.contrast_tests import assess_contrasts
from classifiers.comparison.stats.counts import PixelCounts, count_pixels, resample_count
from hsifeat.scenes import Labels
from hsifeat.scenes.labels.regions import label_regions

# Metric of the pairwise tests.
_TEST_METRIC = "oa"
_MAX_NAMES = 4


@dataclass
class Assessment:
    """The statistics of a benchmark.

    Attributes
    ----------
    contrasts : list of ContrastTest
        Tests of the planned contrasts, corrected within each split for the number of planned contrasts.
    pairs : list of EntryPair
        Exploratory pairwise tests of all entries, corrected within each split for the number of pairs.
    verdicts : dict of str to str
        For each split, a sentence that states which entries differ significantly.
    intervals : dict of (BenchEntry, str) to ScoreIntervals
        Intervals of the scores for each entry and split, where available.
    gap_intervals : dict of BenchEntry to (float, float)
        95 % interval of the gap of each entry, where available. The gap is the overall accuracy under the first random
        split minus the overall accuracy under the first disjoint split.
    """

    contrasts: list[ContrastTest] = field(default_factory=list)
    pairs: list[EntryPair] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    intervals: dict[tuple[BenchEntry, str], ScoreIntervals] = field(default_factory=dict)
    gap_intervals: dict[BenchEntry, Bounds] = field(default_factory=dict)


def assess_entries(
    runs: Sequence[RunResult], run_records: RunRecords, labels: Labels, contrasts: Sequence[Contrast] = ()
) -> Assessment:
    """Compute intervals and pairwise tests of the entries, separately for each split.

    Parameters
    ----------
    runs : sequence of RunResult
        Runs of all entries. All entries must have the same seeds, splits and draws (training and test pixels).
    run_records : RunRecords
        Recorded predictions and draws of the runs.
    labels : Labels
        True classes.
    contrasts : sequence of Contrast
        Contrasts that were declared before the runs. They are tested under each split.
    """
    regions = label_regions(labels.classes)
    assessment = Assessment()
    splits = list(dict.fromkeys(run.split for run in runs))
    gap = gap_splits(splits) or ()
    gap_counts = {}
    for split in splits:
        split_runs = [run for run in runs if run.split == split]
        draw_keys = sorted({run.seed: run.draw for run in split_runs}.items())
        draws = {seed: run_records.read_draw(key) for seed, key in draw_keys}
        entries = list(dict.fromkeys(run.entry for run in split_runs))
        predictions = ((run.entry, run.seed, run_records.read_predictions(run.key)) for run in split_runs)
        counts = count_pixels(entries, draws, predictions, regions)
        _assess_split(split, counts, contrasts, assessment)
        if split in gap:
            gap_counts[split] = counts
    if gap:
        assessment.gap_intervals = _gap_intervals(*(gap_counts[split] for split in gap))
    return assessment


def _assess_split(
    split: str, counts: PixelCounts[BenchEntry], contrasts: Sequence[Contrast], assessment: Assessment
) -> None:
    couples = list(combinations(range(len(counts.entries)), 2))
    obstacle, means = counts.obstacle, counts.mean_accuracy
    drawn = None
    if obstacle is None:
        statistic = agreement(counts.assigned, counts.truth, len(counts.seeds))
        scores = bootstrap(statistic, len(counts.seeds), [len(counts.classes)], resamples=resample_count(len(couples)))
        drawn = scores[:, list(FORMULAS).index(_TEST_METRIC)]
        for entry, entry_scores, recall in zip(counts.entries, scores, _recall_intervals(counts), strict=True):
            overall = {key: interval(values) for key, values in zip(FORMULAS, entry_scores, strict=True)}
            assessment.intervals[entry, split] = ScoreIntervals(overall, {"recall": recall})
    assessment.contrasts += assess_contrasts(split, counts, contrasts, drawn)
    p = p_holm = None
    if drawn is not None:
        p = np.array([sign_p(drawn[i] - drawn[j]) for i, j in couples])
        p_holm = holm(p)
    mcnemar_p = np.array([mcnemar(counts.first_seed_correct[i], counts.first_seed_correct[j]) for i, j in couples])
    mcnemar_p_holm = holm(mcnemar_p)
    pairs = []
    for k, (i, j) in enumerate(couples):
        low, high = (None, None) if drawn is None else interval(drawn[i] - drawn[j])
        pair = EntryPair(
            split=split,
            first=counts.entries[i],
            second=counts.entries[j],
            difference=float(means[i] - means[j]),
            low=low,
            high=high,
            p=None if p is None else float(p[k]),
            p_holm=None if p_holm is None else float(p_holm[k]),
            mcnemar_p=float(mcnemar_p[k]),
            mcnemar_p_holm=float(mcnemar_p_holm[k]),
            verdict="",
        )
        pairs.append(pair.model_copy(update={"verdict": _pair_verdict(pair, obstacle)}))
    assessment.pairs += pairs
    assessment.verdicts[split] = _split_verdict(split, counts, pairs)


def _recall_intervals(counts: PixelCounts[BenchEntry]) -> list[dict[int, Bounds]]:
    """Compute the interval of the recall, for each entry and class.

    The result has one dictionary for each entry. The dictionary maps class numbers to intervals. Classes with fewer
    than `MIN_REGIONS` regions are omitted. The regions of each class are resampled separately.
    """
    intervals: list[dict[int, Bounds]] = [{} for _ in counts.entries]
    for number, region_count in zip(*np.unique(counts.classes, return_counts=True), strict=True):
        if region_count < MIN_REGIONS:
            continue
        in_class = counts.classes == number
        statistic = accuracy(counts.correct[:, :, in_class], counts.pixels[:, in_class])
        drawn = bootstrap(statistic, len(counts.seeds), [region_count])
        for class_intervals, values in zip(intervals, drawn, strict=True):
            class_intervals[int(number)] = interval(values)
    return intervals


def _gap_intervals(random: PixelCounts[BenchEntry], disjoint: PixelCounts[BenchEntry]) -> dict[BenchEntry, Bounds]:
    """Return for each entry the interval of the gap between a random and a disjoint split.

    The gap is the overall accuracy under the random split minus the overall accuracy under the disjoint split. Seeds are
    resampled jointly for both splits, and regions separately for each split. The result is empty if one of the splits has
    no intervals, or if the splits have different seeds.
    """
    if random.obstacle or disjoint.obstacle or random.seeds != disjoint.seeds:
        return {}
    entries = [entry for entry in random.entries if entry in disjoint.entries]
    regions = [len(counts.classes) for counts in (random, disjoint)]
    first, second = (
        accuracy(counts.correct[[counts.entries.index(entry) for entry in entries]], counts.pixels)
        for counts in (random, disjoint)
    )
    drawn = bootstrap(
        lambda region_counts: first(region_counts[: regions[0]]) - second(region_counts[regions[0] :]),
        len(random.seeds),
        regions,
    )
    return {entry: interval(values) for entry, values in zip(entries, drawn, strict=True)}


def _pair_verdict(pair: EntryPair, obstacle: str | None) -> str:
    if obstacle is not None or pair.low is None or pair.high is None:
        return f"{pair.first} and {pair.second} can't be compared under {pair.split}: {obstacle}"
    if pair.significant:
        positive = pair.difference > 0
        better, worse = (pair.first, pair.second) if positive else (pair.second, pair.first)
        low, high = (pair.low, pair.high) if positive else (-pair.high, -pair.low)
        return (
            f"{better} is better than {worse} under {pair.split}, by {100 * abs(pair.difference):.1f} points of OA "
            f"({interval_text(low, high)})"
        )
    return (
        f"{pair.first} and {pair.second} do not differ significantly under {pair.split}: {100 * pair.difference:+.1f} points "
        f"of OA ({interval_text(pair.low, pair.high)})"
    )


def _split_verdict(split: str, counts: PixelCounts[BenchEntry], pairs: Sequence[EntryPair]) -> str:
    best = counts.entries[int(counts.mean_accuracy.argmax())]
    if len(counts.entries) == 1:
        return f"{best} is the only entry under {split}"
    if counts.obstacle is not None:
        return f"{best} has the highest OA under {split}, but differences can't be tested: {counts.obstacle}"
    best_pairs = [pair for pair in pairs if best in (pair.first, pair.second)]
    equal = [str(_other(pair, best)) for pair in best_pairs if not pair.significant]
    if not equal:
        others = f"each of the {len(best_pairs)} others" if len(best_pairs) > 1 else str(_other(best_pairs[0], best))
        return f"{best} is the best under {split}, significantly better than {others}"
    if len(counts.entries) == 2:
        return f"{best} and {equal[0]} do not differ significantly under {split}"
    if len(equal) == len(best_pairs):
        return (
            f"{best} has the highest OA under {split}, but none of the {len(best_pairs)} others is significantly worse"
        )
    names = equal if len(equal) <= _MAX_NAMES else [*equal[: _MAX_NAMES - 1], f"{len(equal) - _MAX_NAMES + 1} others"]
    enumeration = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    worse = f"{len(best_pairs) - len(equal)} of the {len(best_pairs)} others are significantly worse"
    return f"{best} has the highest OA under {split}, not significantly above {enumeration}; {worse}"


def _other(pair: EntryPair, entry: BenchEntry) -> BenchEntry:
    return pair.second if pair.first == entry else pair.first
