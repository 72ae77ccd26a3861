"""Which entries differ, and how sure that is: intervals, pairs and a plain sentence, from recorded predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from classifiers.comparison.results.model import Pair
from classifiers.comparison.results.run import Entry, Intervals, RunResult, gap_splits
from classifiers.comparison.run_store import RunStore
from classifiers.comparison.stats.bootstrap import (
    FIELDS_AT_LEAST,
    LEVEL,
    accuracy,
    agreement,
    bootstrap,
    holm,
    interval,
    label_fields,
    mcnemar,
    sign_p,
)
from classifiers.comparison.stats.counts import Outcomes, outcomes, resamples_for
from hsifeat.scenes import Labels


@dataclass(frozen=True)
class Judgement:
    """What can be told of the entries.

    Attributes
    ----------
    pairs : list of Pair
        Every two entries under every split.
    verdicts : dict of str to str
        A sentence a split.
    intervals : dict of (Entry, str) to Intervals
        Those of an entry under a split, where any can be given.
    gap_intervals : dict of Entry to (low, high)
        95 % interval of the OA on the first random split less that on the first disjoint one, where one can be given.
    """

    pairs: list[Pair] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    intervals: dict[tuple[Entry, str], Intervals] = field(default_factory=dict)
    gap_intervals: dict[Entry, tuple[float, float]] = field(default_factory=dict)


def judge(results: Sequence[RunResult], record: RunStore, labels: Labels) -> Judgement:
    """Compare the entries of each split, from their recorded predictions.

    Parameters
    ----------
    results : sequence of RunResult
        Under a split, every entry has the same seeds, and under a seed the same draw.
    record : Record
        Where predictions and draws lie.
    labels : Labels
        True classes.
    """
    fields = label_fields(labels.classes)
    told = Judgement()
    splits = list(dict.fromkeys(r.run.split for r in results))
    between = gap_splits(splits) or ()
    beside = {}
    for split in splits:
        mine = [r for r in results if r.run.split == split]
        draws = {seed: record.read_draw(draw) for seed, draw in sorted({r.run.seed: r.draw for r in mine}.items())}
        entries = list(dict.fromkeys(r.run.entry for r in mine))
        predictions = ((r.run.entry, r.run.seed, record.read_predictions(r.key)) for r in mine)
        counted = outcomes(entries, draws, predictions, fields)
        _judge_split(split, counted, told)
        if split in between:
            beside[split] = counted
    if between:
        told.gap_intervals.update(_gap_intervals(*(beside[split] for split in between)))
    return told


def _judge_split(split: str, of: Outcomes[Entry], told: Judgement) -> None:
    couples = list(combinations(range(len(of.entries)), 2))
    why, means = of.why_not, of.accuracy
    drawn = None
    if why is None:
        score = agreement(of.given, of.truth, len(of.seeds))
        scores = bootstrap(score, len(of.seeds), [len(of.classes)], resamples=resamples_for(len(couples)))
        drawn = scores[:, 0]
        recall = _recall_intervals(of)
        for entry, of_entry, of_classes in zip(of.entries, scores, recall, strict=True):
            oa, aa, kappa = (interval(draws) for draws in of_entry)
            told.intervals[entry, split] = Intervals(oa, aa, kappa, of_classes)
    p = p_holm = None
    if drawn is not None:
        p = np.array([sign_p(drawn[i] - drawn[j]) for i, j in couples])
        p_holm = holm(p)
    plain = np.array([mcnemar(of.first[i], of.first[j]) for i, j in couples])
    plain_holm = holm(plain)
    for k, (i, j) in enumerate(couples):
        low, high = (None, None) if drawn is None else interval(drawn[i] - drawn[j])
        pair = Pair(
            split=split,
            first=of.entries[i],
            second=of.entries[j],
            difference=float(means[i] - means[j]),
            low=low,
            high=high,
            p=None if p is None else float(p[k]),
            p_holm=None if p_holm is None else float(p_holm[k]),
            mcnemar_p=float(plain[k]),
            mcnemar_p_holm=float(plain_holm[k]),
            verdict="",
        )
        told.pairs.append(_with_verdict(pair, why))
    told.verdicts[split] = _verdict(split, of, [p for p in told.pairs if p.split == split], why)


def _recall_intervals(of: Outcomes[Entry]) -> list[dict[int, tuple[float, float]]]:
    """Return for each entry the interval of the recall of each class that lies in enough fields, which are drawn alone."""
    found: list[dict[int, tuple[float, float]]] = [{} for _ in of.entries]
    for number, count in zip(*np.unique(of.classes, return_counts=True), strict=True):
        if count < FIELDS_AT_LEAST:
            continue
        mine = of.classes == number
        drawn = bootstrap(accuracy(of.right[:, :, mine], of.pixels[:, mine]), len(of.seeds), [count])
        for of_entry, draws in zip(found, drawn, strict=True):
            of_entry[int(number)] = interval(draws)
    return found


def _gap_intervals(there: Outcomes[Entry], apart: Outcomes[Entry]) -> dict[Entry, tuple[float, float]]:
    """Return for each entry the interval of its accuracy in one split less that in another, whose seeds are the same.

    Seeds are drawn in pairs, and the fields of each split on their own.
    """
    if there.why_not or apart.why_not or there.seeds != apart.seeds:
        return {}
    both = [entry for entry in there.entries if entry in apart.entries]
    fields = [len(of.classes) for of in (there, apart)]
    first, second = (
        accuracy(of.right[[of.entries.index(entry) for entry in both]], of.pixels) for of in (there, apart)
    )
    drawn = bootstrap(
        lambda of_fields: first(of_fields[: fields[0]]) - second(of_fields[fields[0] :]), len(there.seeds), fields
    )
    return {entry: interval(draws) for entry, draws in zip(both, drawn, strict=True)}


def _with_verdict(pair: Pair, why: str | None) -> Pair:
    if why is not None or pair.low is None or pair.high is None:
        return replace(pair, verdict=f"{pair.first} and {pair.second} can't be compared on {pair.split}: {why}")
    if told_apart(pair):
        better, worse = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
        low, high = (pair.low, pair.high) if pair.difference > 0 else (-pair.high, -pair.low)
        text = (
            f"{better} is better than {worse} on {pair.split}, by {100 * abs(pair.difference):.1f} points of OA "
            f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})"
        )
    else:
        text = (
            f"{pair.first} and {pair.second} can't be told apart on {pair.split}: {100 * pair.difference:+.1f} points of OA "
            f"(95 % interval {100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
        )
    return replace(pair, verdict=text)


def told_apart(pair: Pair) -> bool:
    """Tell whether a pair differs by more than chance, corrected for all pairs of its split."""
    return pair.p_holm is not None and pair.p_holm < 1 - LEVEL


def _verdict(split: str, of: Outcomes[Entry], pairs: Sequence[Pair], why: str | None) -> str:
    best = of.entries[int(of.accuracy.argmax())]
    if len(of.entries) == 1:
        return f"{best} is the only entry on {split}, so there is nothing to compare it with"
    if why is not None:
        return f"{best} has the highest OA on {split}, but nothing can be told apart: {why}"
    beside = [p for p in pairs if best in (p.first, p.second)]
    alike = [str(p.second if p.first == best else p.first) for p in beside if not told_apart(p)]
    if not alike:
        return f"{best} is the best on {split}: it is told apart from each of the {len(beside)} others"
    if len(of.entries) == 2:
        return f"{best} and {alike[0]} can't be told apart on {split}"
    if len(alike) == len(beside):
        return f"{best} has the highest OA on {split}, but can't be told apart from any of the {len(beside)} others"
    shown = alike if len(alike) <= 4 else [*alike[:3], f"{len(alike) - 3} others"]
    said = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    worse = f"it is better than {len(beside) - len(alike)} of the {len(beside)} others"
    return f"{best} has the highest OA on {split} and can't be told apart from {said}; {worse}"
