"""Which entries differ and how certain that is: intervals, pairwise tests and verdicts, from recorded predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from classifiers.comparison.results.model import BenchEntry, EntryPair, RunResult
from classifiers.comparison.results.summary import Bounds, ScoreIntervals, gap_splits
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
from classifiers.comparison.stats.counts import PixelCounts, count_pixels, resample_count
from hsifeat.scenes import Labels
from hsifeat.scenes.labels.regions import label_regions

# Differences are tested by this metric.
_TEST_METRIC = "oa"
_MAX_NAMES = 4


@dataclass
class Assessment:
    """The statistics of a benchmark.

    Attributes
    ----------
    pairs : list of EntryPair
        Every two entries under every split.
    verdicts : dict of str to str
        For each split, which entries differ, as a sentence.
    intervals : dict of (BenchEntry, str) to ScoreIntervals
        Intervals of the scores of an entry under a split, where available.
    gap_intervals : dict of BenchEntry to (float, float)
        95 % interval of the OA under the first random split minus that under the first disjoint one, where available.
    """

    pairs: list[EntryPair] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    intervals: dict[tuple[BenchEntry, str], ScoreIntervals] = field(default_factory=dict)
    gap_intervals: dict[BenchEntry, Bounds] = field(default_factory=dict)


def assess_entries(runs: Sequence[RunResult], run_records: RunRecords, labels: Labels) -> Assessment:
    """Compare the entries of each split by their recorded predictions.

    Parameters
    ----------
    runs : sequence of RunResult
        Under a split every entry has the same seeds, and for a seed the same draw.
    run_records : RunRecords
        Holds predictions and draws.
    labels : Labels
        True classes.
    """
    regions = label_regions(labels.classes)
    assessment = Assessment()
    splits = list(dict.fromkeys(run.split for run in runs))
    gap = gap_splits(splits) or ()
    gap_counts = {}
    for split in splits:
        of_split = [run for run in runs if run.split == split]
        draws = {seed: run_records.read_draw(draw) for seed, draw in sorted({r.seed: r.draw for r in of_split}.items())}
        entries = list(dict.fromkeys(run.entry for run in of_split))
        predictions = ((run.entry, run.seed, run_records.read_predictions(run.key)) for run in of_split)
        counts = count_pixels(entries, draws, predictions, regions)
        _assess_split(split, counts, assessment)
        if split in gap:
            gap_counts[split] = counts
    if gap:
        assessment.gap_intervals = _gap_intervals(*(gap_counts[split] for split in gap))
    return assessment


def _assess_split(split: str, counts: PixelCounts[BenchEntry], assessment: Assessment) -> None:
    couples = list(combinations(range(len(counts.entries)), 2))
    obstacle, means = counts.obstacle, counts.mean_accuracy
    drawn = None
    if obstacle is None:
        statistic = agreement(counts.assigned, counts.truth, len(counts.seeds))
        scores = bootstrap(statistic, len(counts.seeds), [len(counts.classes)], resamples=resample_count(len(couples)))
        drawn = scores[:, list(FORMULAS).index(_TEST_METRIC)]
        for entry, of_entry, recall in zip(counts.entries, scores, _recall_intervals(counts), strict=True):
            overall = {key: interval(values) for key, values in zip(FORMULAS, of_entry, strict=True)}
            assessment.intervals[entry, split] = ScoreIntervals(overall, {"recall": recall})
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
    """Return for each entry the interval of recall of each class with enough regions; only these are resampled."""
    intervals: list[dict[int, Bounds]] = [{} for _ in counts.entries]
    for number, region_count in zip(*np.unique(counts.classes, return_counts=True), strict=True):
        if region_count < MIN_REGIONS:
            continue
        of_class = counts.classes == number
        statistic = accuracy(counts.correct[:, :, of_class], counts.pixels[:, of_class])
        drawn = bootstrap(statistic, len(counts.seeds), [region_count])
        for of_entry, values in zip(intervals, drawn, strict=True):
            of_entry[int(number)] = interval(values)
    return intervals


def _gap_intervals(random: PixelCounts[BenchEntry], disjoint: PixelCounts[BenchEntry]) -> dict[BenchEntry, Bounds]:
    """Return for each entry the interval of its accuracy under a random split minus that under a disjoint one.

    Seeds, which must be the same for both, are resampled in pairs, and the regions of each split separately.
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
            f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
        )
    return (
        f"{pair.first} and {pair.second} do not differ significantly under {pair.split}: {100 * pair.difference:+.1f} points "
        f"of OA (95 % interval {100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
    )


def _split_verdict(split: str, counts: PixelCounts[BenchEntry], pairs: Sequence[EntryPair]) -> str:
    best = counts.entries[int(counts.mean_accuracy.argmax())]
    if len(counts.entries) == 1:
        return f"{best} is the only entry under {split}"
    if counts.obstacle is not None:
        return f"{best} has the highest OA under {split}, but differences can't be tested: {counts.obstacle}"
    of_best = [pair for pair in pairs if best in (pair.first, pair.second)]
    equal = [str(pair.second if pair.first == best else pair.first) for pair in of_best if not pair.significant]
    if not equal:
        return f"{best} is the best under {split}, significantly better than each of the {len(of_best)} others"
    if len(counts.entries) == 2:
        return f"{best} and {equal[0]} do not differ significantly under {split}"
    if len(equal) == len(of_best):
        return f"{best} has the highest OA under {split}, but none of the {len(of_best)} others is significantly worse"
    names = equal if len(equal) <= _MAX_NAMES else [*equal[: _MAX_NAMES - 1], f"{len(equal) - _MAX_NAMES + 1} others"]
    enumeration = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    worse = f"{len(of_best) - len(equal)} of the {len(of_best)} others are significantly worse"
    return f"{best} has the highest OA under {split}, not significantly above {enumeration}; {worse}"
