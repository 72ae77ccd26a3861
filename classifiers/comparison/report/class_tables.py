"""Tables by class: scores of every entry, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.report import figures, maps
from classifiers.comparison.results.comparison import Comparison
from classifiers.comparison.results.model import EntrySummary, Estimate
from classifiers.comparison.results.ranking import RankedEntry, Ranking
from classifiers.metrics import CLASS_METRICS, Metric
from classifiers.splits.split_plot import TRAIN

# Confusion matrices of more classes are drawn with one pixel per cell: nobody reads ten thousand numbers.
MAX_CLASSES_AS_NUMBERS = 30
_LARGEST_COUNT = 8


@dataclass(frozen=True)
class ClassScore:
    """A score of a class by an entry, and over how many seeds it is averaged: those with test pixels of the class."""

    estimate: Estimate
    seeds: int


@dataclass(frozen=True)
class ClassRow:
    """A row of a table by class.

    Attributes
    ----------
    number, name : int, str
        The class.
    train_pixels, test_pixels : int or None, float or None
        Training pixels of seed 0, and mean test pixels.
    tags : tuple of str
        Under how many seeds the class is not scored, and why.
    scores : tuple of ClassScore or None
        One per entry.
    """

    number: int
    name: str
    train_pixels: int | None
    test_pixels: float | None
    tags: tuple[str, ...]
    scores: tuple[ClassScore | None, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether any score has an interval."""
        return any(score.estimate.interval for score in self.scores if score)

    @property
    def best(self) -> float | None:
        """The best score of the row."""
        return max((score.estimate.mean for score in self.scores if score), default=None)


@dataclass(frozen=True)
class ConfusionTable:
    """A confusion matrix over all seeds, for display.

    Attributes
    ----------
    names : tuple of str
        The scored classes.
    percent : (C, C) float64 array or None
        Share of each true class (rows) assigned to each class (columns), in percent; None for more than
        `MAX_CLASSES_AS_NUMBERS` classes.
    opacity : (C, C) float64 array
        Square root of the shares, 0 to 1, so that rare confusions are visible.
    image : str
        Data URI of a picture of the opacities, if there are no numbers.
    largest : tuple of (str, str, float, int)
        The largest confusions: true class, assigned class, share of the true class, pixels.
    unscored_pixels : int
        Test pixels that are assigned to a class without test pixels.
    """

    names: tuple[str, ...]
    percent: NDArray[np.float64] | None
    opacity: NDArray[np.float64]
    image: str
    largest: tuple[tuple[str, str, float, int], ...]
    unscored_pixels: int


def class_tables(comparison: Comparison, ranking: Ranking) -> list[dict[str, list[ClassRow]]]:
    """Return, for each split, the rows of the table of each metric by class, by the label of the metric."""
    images = comparison.images
    tables = []
    for index, split in enumerate(ranking.splits):
        roles = images.splits.get(split.name)
        counts = None if roles is None else maps.count_roles(images.truth, roles)
        tables.append({metric.label: _class_rows(ranking, index, counts, metric) for metric in CLASS_METRICS})
    return tables


def confusion_table(class_names: Mapping[int, str], summary: EntrySummary) -> ConfusionTable:
    """Arrange the confusion matrix of an entry under a split for display."""
    names = tuple(class_names[number] for number in summary.classes)
    confusion = np.array(summary.confusion, dtype=np.int64)
    shares = figures.confusion_shares(confusion)
    opacity = np.sqrt(shares)
    as_numbers = len(names) <= MAX_CLASSES_AS_NUMBERS
    return ConfusionTable(
        names=names,
        percent=100 * shares if as_numbers else None,
        opacity=opacity,
        image="" if as_numbers else figures.data_uri(maps.confusion_map(opacity)),
        largest=_largest(confusion, names),
        unscored_pixels=max(0, round(summary.test_pixels * summary.seeds) - int(confusion.sum())),
    )


def _class_rows(
    ranking: Ranking, index: int, counts: Mapping[int, NDArray[np.int64]] | None, metric: Metric
) -> list[ClassRow]:
    cells = [summary for row in ranking.rows if (summary := row.cells[index])]
    split = ranking.splits[index]
    rows = []
    for number, name in ranking.class_names.items():
        drawn = None if counts is None else counts.get(number, np.zeros(4, np.int64))
        tested_seeds = max((summary.class_seeds.get(number, 0) for summary in cells), default=0)
        rows.append(
            ClassRow(
                number=number,
                name=name,
                train_pixels=None if drawn is None else int(drawn[TRAIN]),
                test_pixels=next((summary.pixels[number] for summary in cells if number in summary.pixels), None),
                tags=_tags(split.left_out.get(number, 0), tested_seeds, len(split.seeds)),
                scores=tuple(_score(row, index, number, metric) for row in ranking.rows),
            )
        )
    return rows


def _tags(left_out: int, tested: int, seeds: int) -> tuple[str, ...]:
    """Say under how many seeds a class is left out, and under how many others it has no test pixels."""
    counts = {"left out": left_out, "no test pixels": seeds - left_out - tested}
    return tuple(
        reason if count == seeds else f"{reason} under {count} of {seeds} seeds"
        for reason, count in counts.items()
        if count > 0
    )


def _score(row: RankedEntry, index: int, number: int, metric: Metric) -> ClassScore | None:
    summary = row.cells[index]
    if summary is None or number not in summary.pixels:
        return None
    return ClassScore(summary.class_scores[metric.key][number], summary.class_seeds[number])


def _largest(confusion: NDArray[np.int64], names: tuple[str, ...]) -> tuple[tuple[str, str, float, int], ...]:
    wrong = confusion * ~np.eye(len(names), dtype=bool)
    totals = confusion.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_LARGEST_COUNT]
    largest = [divmod(int(index), len(names)) for index in order]
    return tuple((names[i], names[j], wrong[i, j] / totals[i], int(wrong[i, j])) for i, j in largest if wrong[i, j])
