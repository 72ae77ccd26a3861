"""What every part of the page speaks of: the splits, the ranked entries, the names of classes, numbers as text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median

from classifiers.comparison.report.summary_text import left_out_line
from classifiers.comparison.results.model import Comparison, DrawnSplit, Pair
from classifiers.comparison.results.run import Entry, Summary
from classifiers.comparison.stats.significance import told_apart
from classifiers.splits import parse_split_kind

LEAKS, DISJOINT, GIVEN = "leaks through context", "spatially disjoint", "as given"
MOST_PAIRS = 40


@dataclass(frozen=True)
class SplitFacts:
    """A split as the page speaks of it: its kind, its draws, its pixels over all entries, and what it leaks if known.

    `left_out` tells under how many of its seeds a class is left out.
    """

    name: str
    kind: str
    seeds: tuple[int, ...]
    train_pixels: tuple[float, float]
    test_pixels: tuple[float, float]
    left_out: dict[int, int]
    drawn: DrawnSplit | None


@dataclass(frozen=True)
class Row:
    """A line of the ranking: an entry, its summary under each split (or None), and its median seconds."""

    entry: Entry
    cells: tuple[Summary | None, ...]
    fit_seconds: float
    predict_seconds: float


@dataclass(frozen=True)
class PublishedModel:
    """A comparison ready to be told.

    Attributes
    ----------
    comparison : Comparison
        What is told of.
    splits : tuple of SplitFacts
        From those that tell most, the disjoint ones, to those that leak.
    rows : tuple of Row
        The entries, best first under the first split; those that were not run under it come last.
    class_names : dict of int to str
        Every class that has a name or a score.
    """

    comparison: Comparison
    splits: tuple[SplitFacts, ...]
    rows: tuple[Row, ...]
    class_names: dict[int, str]

    def first(self, kind: str) -> int | None:
        """Return the place of the first split of a kind."""
        return next((at for at, split in enumerate(self.splits) if split.kind == kind), None)

    def ranked(self, at: int) -> list[tuple[Row, Summary]]:
        """Return the entries that were run under a split with their summaries, best first."""
        present = [(row, cell) for row in self.rows if (cell := row.cells[at])]
        return sorted(present, key=lambda pair: -pair[1].oa[0])

    def left_out(self, at: int) -> str:
        """Name the classes that a split leaves out, and under how many seeds."""
        return left_out_line(self.ranked(at)[0][1], self.class_names)

    def pairs(self, at: int) -> tuple[list[Pair], int]:
        """Return the pairs of a split, only those with the best entry where there are many, and how many there are."""
        every = [pair for pair in self.comparison.pairs if pair.split == self.splits[at].name]
        best = self.ranked(at)[0][0].entry
        few = len(every) <= MOST_PAIRS
        return [pair for pair in every if few or best in (pair.first, pair.second)], len(every)


def facts_of(comparison: Comparison) -> PublishedModel:
    """Gather what the parts of the page share."""
    found = [_split(comparison, name) for name in dict.fromkeys(s.split for s in comparison.summary)]
    splits = tuple(sorted(found, key=lambda split: (DISJOINT, GIVEN, LEAKS).index(split.kind)))
    rows = tuple(sorted(_rows(comparison, splits), key=lambda row: -(c.oa[0] if (c := row.cells[0]) else -1)))
    scored = {c for s in comparison.summary for c in (*s.classes, *s.left_out)}
    numbers = sorted({*comparison.class_names, *scored} - {0})
    names = {c: comparison.class_names.get(c, f"class {c}") for c in numbers}
    return PublishedModel(comparison, splits, rows, names)


def split_kind(split: str) -> str:
    """Say whether a split keeps training and test pixels apart.

    >>> split_kind("random:0.1"), split_kind("blocks:12+4:0.1"), split_kind("official")
    ('leaks through context', 'spatially disjoint', 'as given')
    """
    return {"random": LEAKS, "disjoint": DISJOINT, "fixed": GIVEN}[parse_split_kind(split)]


def _split(comparison: Comparison, name: str) -> SplitFacts:
    cells = [s for s in comparison.summary if s.split == name]
    train, test = [s.train_pixels for s in cells], [s.test_pixels for s in cells]
    return SplitFacts(
        name=name,
        kind=split_kind(name),
        seeds=tuple(sorted({r.run.seed for r in comparison.results if r.run.split == name})),
        train_pixels=(min(train), max(train)),
        test_pixels=(min(test), max(test)),
        left_out=cells[0].left_out,
        drawn=next((drawn for drawn in comparison.drawn if drawn.split == name), None),
    )


def _rows(comparison: Comparison, splits: tuple[SplitFacts, ...]) -> list[Row]:
    cells = {(s.entry, s.split): s for s in comparison.summary}
    rows = []
    for entry in dict.fromkeys(s.entry for s in comparison.summary):
        runs = [r for r in comparison.results if r.run.entry == entry]
        rows.append(
            Row(
                entry=entry,
                cells=tuple(cells.get((entry, split.name)) for split in splits),
                fit_seconds=median(r.fit_seconds for r in runs),
                predict_seconds=median(r.predict_seconds for r in runs),
            )
        )
    return rows


def percent(score: tuple[float, float], seeds: int, digits: int = 2) -> str:
    """Write a score in percent with its standard deviation, which a single seed does not have."""
    spread = f"\u00a0±\u00a0{100 * score[1]:.{digits}f}" if seeds > 1 else ""
    return f"{100 * score[0]:.{digits}f}{spread}"


def pretty(value: object) -> str:
    """Write a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def count(between: tuple[float, float]) -> str:
    """Write a number of pixels, or from which to which it goes.

    >>> count((1200.0, 1200.0)), count((5.0, 7.0))
    ('1,200', '5 to 7')
    """
    low, high = (f"{round(n):,}" for n in between)
    return low if low == high else f"{low} to {high}"


def size(size_bytes: float) -> str:
    """Write a number of bytes.

    >>> size(123_000), size(5e13)
    ('123 kB', '50 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def outcome(pair: Pair) -> str:
    """Say in a word or two what came of a pair."""
    if told_apart(pair):
        return "the first is better" if pair.difference > 0 else "the second is better"
    return "can't be compared" if pair.low is None else "can't be told apart"


def p_value(value: float | None) -> str:
    """Write a p-value.

    >>> p_value(0.0004), p_value(0.0312), p_value(None)
    ('< 0.001', '0.031', 'n/a')
    """
    if value is None:
        return "n/a"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
