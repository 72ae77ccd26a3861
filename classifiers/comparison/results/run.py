"""One result a run, and their means over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.metrics import Scores
from classifiers.splits import parse_split_kind


@dataclass(frozen=True, order=True)
class Entry:
    """One line of the table: which store, which of its features, which head.

    Attributes
    ----------
    store : str
        Name of the store; empty for features that come from the spectra alone.
    features : str
        ``spectra``, ``spectra+window`` (5x5 means), ``planes`` or ``spectra+planes``.
    head : str
        Name of the head.
    """

    store: str
    features: str
    head: str

    @property
    def columns(self) -> str:
        """What the head is given: features, and the store that they come from."""
        return self.features + (f" of {self.store}" if self.store else "")

    def __str__(self) -> str:
        return f"{self.head} on {self.columns}"


@dataclass(frozen=True, order=True)
class Run:
    """One fit: an entry under one draw of one split."""

    entry: Entry
    split: str
    seed: int


@dataclass(frozen=True)
class RunResult:
    """What one fit gave. Seconds are wall time on this machine.

    Attributes
    ----------
    left_out : tuple of int
        Classes with labelled pixels that are not scored: the split can't have them on both sides.
    key, draw : str
        Under which `classifiers.comparison.run_store.RunStore` has its predictions, and the pixels of its draw.
    mixing : tuple of dict
        What a head that mixes planes learned: ``t``, ``layer`` and ``weight`` of each.
    """

    run: Run
    scores: Scores
    train_pixels: int
    test_pixels: int
    left_out: tuple[int, ...]
    fit_seconds: float
    predict_seconds: float
    key: str = ""
    draw: str = ""
    mixing: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return {
            **asdict(self.run.entry),
            "split": self.run.split,
            "seed": self.run.seed,
            "train_pixels": self.train_pixels,
            "test_pixels": self.test_pixels,
            "left_out": list(self.left_out),
            "oa": self.scores.oa,
            "aa": self.scores.aa,
            "kappa": self.scores.kappa,
            "classes": list(self.scores.classes),
            "recall": list(self.scores.recall),
            "f1": list(self.scores.f1),
            "pixels": list(self.scores.pixels),
            "confusion": self.scores.confusion.tolist(),
            "fit_seconds": self.fit_seconds,
            "predict_seconds": self.predict_seconds,
            "key": self.key,
            "draw": self.draw,
            "mixing": list(self.mixing),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> RunResult:
        """Read what `to_json` wrote."""
        return cls(
            run=Run(Entry(row["store"], row["features"], row["head"]), row["split"], row["seed"]),
            scores=Scores(
                oa=row["oa"],
                aa=row["aa"],
                kappa=row["kappa"],
                classes=tuple(row["classes"]),
                recall=tuple(row["recall"]),
                confusion=np.asarray(row["confusion"], dtype=np.int64),
                f1=tuple(row.get("f1", ())),
                pixels=tuple(row.get("pixels", ())),
            ),
            train_pixels=row["train_pixels"],
            test_pixels=row["test_pixels"],
            left_out=tuple(row["left_out"]),
            fit_seconds=row["fit_seconds"],
            predict_seconds=row["predict_seconds"],
            key=row.get("key", ""),
            draw=row.get("draw", ""),
            mixing=tuple(row.get("mixing", ())),
        )


@dataclass(frozen=True)
class Intervals:
    """95 % intervals (low, high) of an entry's scores under a split, over seeds and fields.

    Attributes
    ----------
    oa, aa, kappa : (low, high)
        Of the means over seeds.
    recall : dict of int to (low, high)
        Of each class that lies in at least 10 fields.
    """

    oa: tuple[float, float]
    aa: tuple[float, float]
    kappa: tuple[float, float]
    recall: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Gap:
    """How much higher the OA of an entry is where test pixels lie among the training pixels.

    Attributes
    ----------
    random, disjoint : str
        The splits.
    difference : float
        Mean OA under `random` less that under `disjoint`.
    interval : (low, high) or None
        Its 95 % interval over seeds and fields, where one can be given.
    """

    entry: Entry
    random: str
    disjoint: str
    difference: float
    interval: tuple[float, float] | None = None


def gap_splits(splits: Iterable[str]) -> tuple[str, str] | None:
    """Return the first random and the first disjoint of some splits; None where either is missing.

    >>> gap_splits(["blocks:12+4:0.1", "official", "random:0.1"])
    ('random:0.1', 'blocks:12+4:0.1')
    """
    kinds: dict[str, str] = {}
    for split in splits:
        kinds.setdefault(parse_split_kind(split), split)
    return (kinds["random"], kinds["disjoint"]) if {"random", "disjoint"} <= kinds.keys() else None


@dataclass(frozen=True)
class Summary:
    """An entry under one split, over its seeds: mean and sample standard deviation (0 for a single seed).

    Attributes
    ----------
    left_out : dict of int to int
        Under how many seeds a class is left out; it is in the averages of the other seeds.
    class_counts : tuple of int
        Over how many classes AA is: every number that occurs under a seed, ascending.
    f1 : dict of int to (mean, sd)
        F1 of each class.
    test_counts : dict of int to float
        Test pixels of each class, mean over the seeds that have any.
    class_seeds : dict of int to int
        Under how many seeds each class has test pixels; its means are over these.
    interval, aa_interval, kappa_interval : (low, high) or None
        95 % intervals of OA, AA and kappa over seeds and fields; None for a single seed, or fewer than 10 fields.
    recall_intervals : dict of int to (low, high)
        95 % interval of the recall of each class that lies in at least 10 fields.
    """

    entry: Entry
    split: str
    seeds: int
    train_pixels: float
    test_pixels: float
    left_out: dict[int, int]
    oa: tuple[float, float]
    aa: tuple[float, float]
    kappa: tuple[float, float]
    recall: dict[int, tuple[float, float]]
    fit_seconds: float
    predict_seconds: float
    confusion: NDArray[np.int64]
    classes: tuple[int, ...]
    f1: dict[int, tuple[float, float]] = field(default_factory=dict)
    test_counts: dict[int, float] = field(default_factory=dict)
    class_seeds: dict[int, int] = field(default_factory=dict)
    class_counts: tuple[int, ...] = ()
    interval: tuple[float, float] | None = None
    aa_interval: tuple[float, float] | None = None
    kappa_interval: tuple[float, float] | None = None
    recall_intervals: dict[int, tuple[float, float]] = field(default_factory=dict)


def summarise(
    results: Iterable[RunResult], intervals: Mapping[tuple[Entry, str], Intervals] = MappingProxyType({})
) -> list[Summary]:
    """Average the results over seeds, in the order in which entries and splits first occur.

    Seconds are medians; the confusion matrix is the sum over seeds. `intervals` are those that are known.
    """
    grouped: dict[tuple[Entry, str], list[RunResult]] = {}
    for result in results:
        grouped.setdefault((result.run.entry, result.run.split), []).append(result)
    return [_summary(*key, group, intervals.get(key)) for key, group in grouped.items()]


def _summary(entry: Entry, split: str, group: list[RunResult], known: Intervals | None) -> Summary:
    classes = tuple(sorted({c for r in group for c in r.scores.classes}))
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for r in group:
        at = np.searchsorted(classes, r.scores.classes)
        confusion[np.ix_(at, at)] += r.scores.confusion
    having = {c: [(r.scores, r.scores.classes.index(c)) for r in group if c in r.scores.classes] for c in classes}
    return Summary(
        entry=entry,
        split=split,
        seeds=len(group),
        train_pixels=float(np.mean([r.train_pixels for r in group])),
        test_pixels=float(np.mean([r.test_pixels for r in group])),
        left_out=dict(sorted(Counter(c for r in group for c in r.left_out).items())),
        oa=mean_sd([r.scores.oa for r in group]),
        aa=mean_sd([r.scores.aa for r in group]),
        kappa=mean_sd([r.scores.kappa for r in group]),
        recall={c: mean_sd([scores.recall[at] for scores, at in found]) for c, found in having.items()},
        fit_seconds=float(np.median([r.fit_seconds for r in group])),
        predict_seconds=float(np.median([r.predict_seconds for r in group])),
        confusion=confusion,
        classes=classes,
        f1={c: mean_sd([scores.f1[at] for scores, at in found]) for c, found in having.items()},
        test_counts={c: float(np.mean([scores.pixels[at] for scores, at in found])) for c, found in having.items()},
        class_seeds={c: len(found) for c, found in having.items()},
        class_counts=tuple(sorted({len(r.scores.classes) for r in group})),
        interval=known.oa if known else None,
        aa_interval=known.aa if known else None,
        kappa_interval=known.kappa if known else None,
        recall_intervals=known.recall if known else {},
    )


def mean_sd(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return mean and sample standard deviation, which is 0 of a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
