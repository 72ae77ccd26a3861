"""Which entries differ, and how sure that is: intervals, pairs and a plain sentence, from recorded predictions."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.record import Record
from classifiers.comparison.results import Pair
from classifiers.comparison.runs import Entry, RunResult
from classifiers.comparison.statistics import (
    FIELDS_AT_LEAST,
    LEVEL,
    RESAMPLES,
    holm,
    interval,
    label_fields,
    mcnemar,
    resample,
    sign_p,
    tally,
)
from hsifeat.scenes import Labels

# So many draws for each of the tests that a p-value is corrected for, or none could ever be small enough.
_RESAMPLES_PER_TEST = 100


@dataclass(frozen=True)
class Judgement:
    """What can be told of the entries.

    Attributes
    ----------
    pairs : list of Pair
        Every two entries under every split.
    verdicts : dict of str to str
        A sentence a split.
    intervals : dict of (Entry, str) to (low, high)
        95 % interval of OA of an entry under a split, where one can be given.
    recall_intervals : dict of (Entry, str) to dict of int to (low, high)
        And of the recall of the classes for which one can be given.
    """

    pairs: list[Pair] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    intervals: dict[tuple[Entry, str], tuple[float, float]] = field(default_factory=dict)
    recall_intervals: dict[tuple[Entry, str], dict[int, tuple[float, float]]] = field(default_factory=dict)


E = TypeVar("E", bound=Hashable)


@dataclass(frozen=True)
class Outcomes(Generic[E]):
    """What entries have right of the same test pixels: per seed and field, and pixel by pixel under the first seed."""

    entries: list[E]
    accuracy: NDArray[np.float64]  # (entries,)
    right: NDArray[np.float64]  # (entries, seeds, fields)
    pixels: NDArray[np.float64]  # (seeds, fields)
    classes: NDArray[np.integer]  # (fields,) class of each field
    first: NDArray[np.bool_]  # (entries, test pixels of the first seed)


def judge(results: Sequence[RunResult], record: Record, labels: Labels) -> Judgement:
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
    for split in dict.fromkeys(r.run.split for r in results):
        mine = [r for r in results if r.run.split == split]
        draws = {seed: record.read_draw(draw) for seed, draw in sorted({r.run.seed: r.draw for r in mine}.items())}
        entries = list(dict.fromkeys(r.run.entry for r in mine))
        predictions = ((r.run.entry, r.run.seed, record.read_predictions(r.key)) for r in mine)
        _judge_split(split, outcomes(entries, draws, predictions, fields), told)
    return told


def outcomes(
    entries: list[E],
    draws: Mapping[int, Mapping[str, NDArray[np.integer]]],
    predictions: Iterable[tuple[E, int, NDArray[np.integer]]],
    fields: NDArray[np.int32],
) -> Outcomes[E]:
    """Count what entries have right in each field under each seed.

    Parameters
    ----------
    entries : list
        Whoever predicted.
    draws : dict of int to dict
        For each seed, as `Record.read_draw` gives it.
    predictions : iterable of (entry, seed, (n,) integer array)
        For each entry and seed, the predicted class of each test pixel.
    fields : (rows, cols) int32 array
        As `label_fields` gives it.
    """
    # Only fields with test pixels count.
    tested, codes = np.unique(np.concatenate([fields.flat[d["test"]] for d in draws.values()]), return_inverse=True)
    at = dict(zip(draws, np.split(codes, np.cumsum([len(d["test"]) for d in draws.values()])[:-1]), strict=True))
    truth = np.zeros(len(tested), np.int64)
    for seed, draw in draws.items():
        truth[at[seed]] = draw["truth"]
    seeds = list(draws)
    right = np.zeros((len(entries), len(seeds), len(tested)))
    first = np.zeros((len(entries), len(at[seeds[0]])), np.bool_)
    for who, seed, predicted in predictions:
        correct = predicted == draws[seed]["truth"]
        entry = entries.index(who)
        right[entry, seeds.index(seed)] = tally(correct, at[seed], len(tested))
        if seed == seeds[0]:
            first[entry] = correct
    pixels = np.stack([tally(np.ones(len(at[seed]), np.bool_), at[seed], len(tested)) for seed in seeds])
    accuracy = (right.sum(axis=2) / pixels.sum(axis=1)).mean(axis=1)
    return Outcomes(entries, accuracy, right, pixels, truth, first)


def draw_accuracies(of: Outcomes[E], tests: int) -> NDArray[np.float64]:
    """Draw the accuracies (entries, resamples) by `resample`, often enough for p-values that are corrected for so many tests."""
    return resample(of.right, of.pixels, resamples=max(RESAMPLES, _RESAMPLES_PER_TEST * tests))


def _judge_split(split: str, of: Outcomes[Entry], told: Judgement) -> None:
    couples = list(combinations(range(len(of.entries)), 2))
    seeds, fields = of.pixels.shape
    why = _why_not(seeds, fields)
    drawn = None
    if why is None:
        drawn = draw_accuracies(of, len(couples))
        for entry, draws in zip(of.entries, drawn, strict=True):
            told.intervals[entry, split] = interval(draws)
        _judge_classes(split, of, told)
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
            difference=float(of.accuracy[i] - of.accuracy[j]),
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


def _judge_classes(split: str, of: Outcomes[Entry], told: Judgement) -> None:
    for number, count in zip(*np.unique(of.classes, return_counts=True), strict=True):
        if count < FIELDS_AT_LEAST:
            continue
        mine = of.classes == number
        drawn = resample(of.right[:, :, mine], of.pixels[:, mine])
        for entry, draws in zip(of.entries, drawn, strict=True):
            told.recall_intervals.setdefault((entry, split), {})[int(number)] = interval(draws)


def _why_not(seeds: int, fields: int) -> str | None:
    """Say why no interval can be given, if none can."""
    if seeds < 2:
        return "one seed says nothing of the spread over draws: run more seeds"
    if fields < FIELDS_AT_LEAST:
        return f"the test pixels lie in {fields} fields, and {FIELDS_AT_LEAST} are needed"
    return None


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
