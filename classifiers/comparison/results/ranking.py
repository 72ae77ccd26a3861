"""Order of splits and entries in tables and reports: disjoint splits first, entries by descending accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.differences import EntryPair
from classifiers.comparison.results.distance_text import question_text
from classifiers.comparison.results.scores import EntrySummary, SplitSummary
from classifiers.comparison.results.summary_text import left_out_text, pixel_range
from classifiers.splits import parse_split_kind

LEAKS, DISJOINT, USER_DEFINED = "leaks through context", "spatially disjoint", "user-defined"

# Maximum number of pairs of entries in a table. If there are more, the table lists only pairs with the best entry.
MAX_PAIRS = 40


@dataclass(frozen=True)
class RankedSplit:
    """Split of a benchmark: its text, its seeds, and what is known of its training and test pixels.

    Attributes
    ----------
    name : str
        Split in the grammar of `parse_split`.
    kind : str
        One of `LEAKS`, `DISJOINT` and `USER_DEFINED`.
    seeds : tuple of int
        Seeds that were run.
    train_pixels, test_pixels : (float, float)
        Smallest and largest number of pixels over all entries. The number of an entry is a mean over seeds.
    left_out : dict of int to int
        Number of seeds under which each class is left out of the averages.
    geometry : SplitSummary or None
        Leakage, and distances from test to training pixels. None if they were not measured.
    """

    name: str
    kind: str
    seeds: tuple[int, ...]
    train_pixels: tuple[float, float]
    test_pixels: tuple[float, float]
    left_out: dict[int, int]
    geometry: SplitSummary | None

    @property
    def question(self) -> str:
        """Text that states what the split tests and its total number of training labels, such as ``fill in from 80 labels``."""
        return question_text(self.name, pixel_range(self.train_pixels))

    @property
    def title(self) -> str:
        """Heading of the split: `name`, `question` and `kind`."""
        return f"{self.name}, {self.question}, {self.kind}"


@dataclass(frozen=True)
class RankedEntry:
    """Entry of a benchmark (a head on an input), as a row of the ranking.

    `cells` has one item for each split: a summary, or None if the entry was not run under the split. `fit_seconds` and
    `predict_seconds` are medians over runs.
    """

    entry: BenchEntry
    cells: tuple[EntrySummary | None, ...]
    fit_seconds: float
    predict_seconds: float


@dataclass(frozen=True)
class Ranking:
    """Results of a benchmark, arranged for display.

    Attributes
    ----------
    results : BenchResults
        Results of the benchmark.
    splits : tuple of RankedSplit
        Disjoint splits, then user-defined splits, then random splits.
    rows : tuple of RankedEntry
        Entries in descending order of their accuracy under the first split, followed by entries that were not run under
        this split.
    class_names : dict of int to str
        Names of classes by class number. A class without a name is called ``class N``.
    """

    results: BenchResults
    splits: tuple[RankedSplit, ...]
    rows: tuple[RankedEntry, ...]
    class_names: dict[int, str]

    def first_index(self, kind: str) -> int | None:
        """Return the index in `splits` of the first split of a kind such as `DISJOINT`; None if no split is of this kind."""
        return next((index for index, split in enumerate(self.splits) if split.kind == kind), None)

    def ranked(self, index: int) -> list[tuple[RankedEntry, EntrySummary]]:
        """Return the entries that were run under the split at `index`, each with its summary.

        The entries are sorted by descending overall accuracy under this split.
        """
        pairs = [(row, summary) for row in self.rows if (summary := row.cells[index])]
        return sorted(pairs, key=lambda pair: -pair[1].oa.mean)

    def left_out(self, index: int) -> str:
        """List the classes that the split at `index` leaves out, as text."""
        return left_out_text(self.ranked(index)[0][1], self.class_names)

    def pairs(self, index: int) -> tuple[list[EntryPair], int]:
        """Return the pairs of entries to display for the split at `index`, and the number of all pairs of the split.

        If the split has more than `MAX_PAIRS` pairs, only pairs that contain the best entry are displayed.
        """
        pairs = [pair for pair in self.results.pairs if pair.split == self.splits[index].name]
        best = self.ranked(index)[0][0].entry
        show_all = len(pairs) <= MAX_PAIRS
        return [pair for pair in pairs if show_all or best in (pair.first, pair.second)], len(pairs)

    @property
    def stores(self) -> list[str]:
        """Names of the stores from whose planes the entries learn."""
        return list(dict.fromkeys(row.entry.store for row in self.rows if row.entry.store))

    @property
    def spread(self) -> str:
        """What a score in a table shows, such as ``mean ± standard deviation over seeds``."""
        several = max(len(split.seeds) for split in self.splits) > 1
        return "mean ± standard deviation over seeds" if several else "a single seed, without a standard deviation"


def rank(results: BenchResults) -> Ranking:
    """Sort the splits and entries of a benchmark for display; see `Ranking`."""
    names = dict.fromkeys(summary.split for summary in results.summary)
    kinds = (DISJOINT, USER_DEFINED, LEAKS)
    splits = tuple(sorted((_split(results, name) for name in names), key=lambda split: kinds.index(split.kind)))
    rows = sorted(_rows(results, splits), key=lambda row: -(summary.oa.mean if (summary := row.cells[0]) else -1))
    scored = {number for summary in results.summary for number in (*summary.confusion_classes, *summary.left_out)}
    numbers = sorted({*results.class_names, *scored} - {0})
    class_names = {number: results.class_names.get(number, f"class {number}") for number in numbers}
    return Ranking(results, splits, tuple(rows), class_names)


def split_kind(split: str) -> str:
    """Return the kind of a split: `LEAKS`, `DISJOINT` or `USER_DEFINED`.

    >>> split_kind("random:0.1"), split_kind("blocks:12+4:0.1"), split_kind("official")
    ('leaks through context', 'spatially disjoint', 'user-defined')
    """
    return {"random": LEAKS, "disjoint": DISJOINT}.get(parse_split_kind(split), USER_DEFINED)


def _split(results: BenchResults, name: str) -> RankedSplit:
    cells = [summary for summary in results.summary if summary.split == name]
    train, test = [summary.train_pixels for summary in cells], [summary.test_pixels for summary in cells]
    return RankedSplit(
        name=name,
        kind=split_kind(name),
        seeds=tuple(sorted({run.seed for run in results.runs if run.split == name})),
        train_pixels=(min(train), max(train)),
        test_pixels=(min(test), max(test)),
        left_out=cells[0].left_out,
        geometry=next((split for split in results.splits if split.split == name), None),
    )


def _rows(results: BenchResults, splits: tuple[RankedSplit, ...]) -> list[RankedEntry]:
    cells = {(summary.entry, summary.split): summary for summary in results.summary}
    rows = []
    for entry in dict.fromkeys(summary.entry for summary in results.summary):
        runs = [run for run in results.runs if run.entry == entry]
        rows.append(
            RankedEntry(
                entry=entry,
                cells=tuple(cells.get((entry, split.name)) for split in splits),
                fit_seconds=median(run.fit_seconds for run in runs),
                predict_seconds=median(run.predict_seconds for run in runs),
            )
        )
    return rows
