"""What the page says class by class: recall and F1 of every entry, and which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.report import figures, maps
from classifiers.comparison.report.context import PublishedModel, Row
from classifiers.comparison.results.run import Summary
from classifiers.splits.split_plot import TRAIN

# Above this many classes a confusion matrix is a picture of one pixel a cell: nobody reads ten thousand numbers.
MOST_CELLS = 30
_LARGEST = 8


@dataclass(frozen=True)
class Score:
    """Recall or F1 of a class by an entry, over the seeds that have test pixels of it; the interval may be missing."""

    mean: float
    sd: float
    seeds: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ClassRow:
    """A line of a per-class table: a class, its training pixels of seed 0 and mean test pixels, a score for each entry.

    `tags` say under which seeds it is not scored, and why.
    """

    number: int
    name: str
    train_pixels: int | None
    test_pixels: float | None
    tags: tuple[str, ...]
    scores: tuple[Score | None, ...]

    @property
    def bounded(self) -> bool:
        """Whether any score has an interval."""
        return any(score.interval for score in self.scores if score)

    @property
    def top(self) -> float | None:
        """The best score of the row."""
        return max((score.mean for score in self.scores if score), default=None)


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix over all seeds.

    Attributes
    ----------
    names : tuple of str
        The classes scored.
    cells : (C, C) float64 array or None
        Percent of each true class (rows) given to each class (columns); None for more than `MOST_CELLS` classes.
    depths : (C, C) float64 array
        Square roots of the shares, 0 to 1, so that rare confusions show.
    picture : str
        The address of a picture of the depths, where there are no `cells`.
    largest : tuple
        The largest confusions: true class, taken for, share of the true class, pixels.
    columnless : int
        Test pixels that were given a class without test pixels.
    """

    names: tuple[str, ...]
    cells: NDArray[np.float64] | None
    depths: NDArray[np.float64]
    picture: str
    largest: tuple[tuple[str, str, float, int], ...]
    columnless: int


def class_tables(facts: PublishedModel) -> list[dict[str, list[ClassRow]]]:
    """Return the lines of the tables of recall and F1 under each split; F1 only where the runs hold it."""
    tables = []
    for at, split in enumerate(facts.splits):
        pictures = facts.comparison.pictures
        sides = pictures.splits.get(split.name)
        counts = None if sides is None else maps.count_sides(pictures.truth, sides)
        tables.append({"Recall": _class_rows(facts, at, counts, "recall")})
        if any(cell.f1 for row in facts.rows if (cell := row.cells[at])):
            tables[-1]["F1"] = _class_rows(facts, at, counts, "f1")
    return tables


def matrix_of(facts: PublishedModel, cell: Summary) -> Matrix:
    """Return the confusion matrix of an entry under a split."""
    names = tuple(facts.class_names[c] for c in cell.classes)
    shares = figures.shares_of(cell.confusion)
    depths = np.sqrt(shares)
    small = len(names) <= MOST_CELLS
    return Matrix(
        names=names,
        cells=100 * shares if small else None,
        depths=depths,
        picture="" if small else figures.data_uri(maps.depth_map(depths)),
        largest=_largest(cell.confusion, names),
        columnless=max(0, round(cell.test_pixels * cell.seeds) - int(cell.confusion.sum())),
    )


def _class_rows(
    facts: PublishedModel, at: int, counts: Mapping[int, NDArray[np.int64]] | None, score: str
) -> list[ClassRow]:
    cells = [cell for row in facts.rows if (cell := row.cells[at])]
    rows = []
    for number, name in facts.class_names.items():
        tested = next((cell.test_counts[number] for cell in cells if number in cell.test_counts), None)
        drawn = None if counts is None else counts.get(number, np.zeros(4, np.int64))
        rows.append(
            ClassRow(
                number=number,
                name=name,
                train_pixels=None if drawn is None else int(drawn[TRAIN]),
                test_pixels=tested,
                tags=_tags(
                    facts.splits[at].left_out.get(number, 0),
                    max((cell.class_seeds.get(number, 0) for cell in cells), default=0),
                    len(facts.splits[at].seeds),
                ),
                scores=tuple(_score(row, at, number, score) for row in facts.rows),
            )
        )
    return rows


def _tags(left_out: int, tested: int, seeds: int) -> tuple[str, ...]:
    """Say under how many seeds a class is left out, and under how many it has no test pixels otherwise."""
    numbers = {"left out": left_out, "no test pixels": seeds - left_out - tested}
    return tuple(what if n == seeds else f"{what} under {n} of {seeds} seeds" for what, n in numbers.items() if n > 0)


def _score(row: Row, at: int, number: int, score: str) -> Score | None:
    cell = row.cells[at]
    scores: Mapping[int, tuple[float, float]] = getattr(cell, score) if cell else {}
    if cell is None or number not in scores:
        return None
    interval = cell.recall_intervals.get(number) if score == "recall" else None
    return Score(*scores[number], cell.class_seeds.get(number, cell.seeds), interval)


def _largest(confusion: NDArray[np.int64], names: tuple[str, ...]) -> tuple[tuple[str, str, float, int], ...]:
    wrong = confusion * ~np.eye(len(names), dtype=bool)
    totals = confusion.sum(axis=1)
    largest = [divmod(int(i), len(names)) for i in np.argsort(-wrong, axis=None, kind="stable")[:_LARGEST]]
    return tuple((names[i], names[j], wrong[i, j] / totals[i], int(wrong[i, j])) for i, j in largest if wrong[i, j])
