"""Tables of scores by class, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.report import figures, maps
from classifiers.comparison.results.base_records import Estimate
from classifiers.comparison.results.comparison import Comparison
from classifiers.comparison.results.ranking import RankedEntry, Ranking
from classifiers.comparison.results.scores import EntrySummary
from classifiers.metrics import CLASS_METRICS, Metric
from classifiers.splits.split_plot import TRAIN

# Confusion matrices with more classes are drawn as images with one pixel per cell.
MAX_CLASSES_AS_NUMBERS = 30
_LARGEST_COUNT = 8


@dataclass(frozen=True)
class ClassScore:
    """Score of an entry for one class, averaged over seeds.

    Seeds without test pixels of the class are excluded. The field `seeds` is the number of the remaining seeds.
    """

    estimate: Estimate
    seeds: int


@dataclass(frozen=True)
class ClassRow:
    """Row of a table of scores by class.

    Attributes
    ----------
    number : int
        Class number.
    name : str
        Class name.
    train_pixels : int or None
        Number of training pixels with seed 0, or None if the report has no split map.
    test_pixels : float or None
        Mean number of test pixels over seeds, or None if the class is never tested.
    tags : tuple of str
        Reasons why the class has no score under one or more seeds, such as ``left out under 2 of 5 seeds``.
    scores : tuple of ClassScore or None
        Score of each entry. An item is None if its entry has no score for the class.
    """

    number: int
    name: str
    train_pixels: int | None
    test_pixels: float | None
    tags: tuple[str, ...]
    scores: tuple[ClassScore | None, ...]

    @property
    def has_intervals(self) -> bool:
        """Whether any score of the row has a 95 % interval."""
        return any(score.estimate.interval for score in self.scores if score)

    @property
    def best(self) -> float | None:
        """Highest of the `scores` of the row, or None if the row has no scores."""
        return max((score.estimate.mean for score in self.scores if score), default=None)


@dataclass(frozen=True)
class ConfusionTable:
    """Confusion matrix over all seeds, prepared for display.

    Attributes
    ----------
    names : tuple of str
        Names of the classes that occur as true or predicted class.
    percent : (C, C) float64 array or None
        Share of each true class (rows) that is assigned to each class (columns), in percent. None if there are more than
        `MAX_CLASSES_AS_NUMBERS` classes.
    opacity : (C, C) float64 array
        Opacity of each cell, 0 to 1. It is the square root of the share, so that rare confusions are visible.
    image : str
        Data URI of an image of the matrix if `percent` is None, otherwise empty.
    largest : tuple of (str, str, float, int)
        Largest confusions: true class, assigned class, share of the true class, number of pixels.
    untested : tuple of str
        Names of the classes without test pixels, whose rows are empty. All pixels assigned to them count as wrong.
    """

    names: tuple[str, ...]
    percent: NDArray[np.float64] | None
    opacity: NDArray[np.float64]
    image: str
    largest: tuple[tuple[str, str, float, int], ...]
    untested: tuple[str, ...]


def class_tables(comparison: Comparison, ranking: Ranking) -> list[dict[str, list[ClassRow]]]:
    """Return the tables of scores by class, as lists of rows.

    The result has one dictionary per split. Each dictionary maps the label of a metric to the rows of the table for
    this metric.
    """
    images = comparison.images
    tables = []
    for index, split in enumerate(ranking.splits):
        roles = images.splits.get(split.name)
        counts = None if roles is None else maps.count_roles(images.truth, roles)
        tables.append({metric.label: _class_rows(ranking, index, counts, metric) for metric in CLASS_METRICS})
    return tables


def confusion_table(class_names: Mapping[int, str], summary: EntrySummary) -> ConfusionTable:
    """Return the confusion matrix of an entry under a split, prepared for display."""
    names = tuple(class_names[number] for number in summary.confusion_classes)
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
        untested=tuple(name for name, row in zip(names, confusion, strict=True) if not row.any()),
    )


def _class_rows(
    ranking: Ranking, index: int, counts: Mapping[int, NDArray[np.int64]] | None, metric: Metric
) -> list[ClassRow]:
    cells = [summary for row in ranking.rows if (summary := row.cells[index])]
    split = ranking.splits[index]
    rows = []
    for number, name in ranking.class_names.items():
        role_counts = None if counts is None else counts.get(number, np.zeros(4, np.int64))
        tested_seeds = max((summary.class_seeds.get(number, 0) for summary in cells), default=0)
        rows.append(
            ClassRow(
                number=number,
                name=name,
                train_pixels=None if role_counts is None else int(role_counts[TRAIN]),
                test_pixels=next((summary.pixels[number] for summary in cells if number in summary.pixels), None),
                tags=_tags(split.left_out.get(number, 0), tested_seeds, len(split.seeds)),
                scores=tuple(_score(row, index, number, metric) for row in ranking.rows),
            )
        )
    return rows


def _tags(left_out: int, tested: int, seeds: int) -> tuple[str, ...]:
    """Return the reasons why a class is not scored: ``left out`` and ``no test pixels``.

    If a reason applies to some of the seeds only, the text states the number of these seeds, such as
    ``left out under 2 of 5 seeds``.
    """
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
