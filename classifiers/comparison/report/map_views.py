"""The pictures of the page: the scene, its truth and splits, and what each entry made of it under each split."""

from __future__ import annotations

from dataclasses import dataclass

from classifiers.comparison.report import maps
from classifiers.comparison.report.class_tables import Matrix, matrix_of
from classifiers.comparison.report.context import PublishedModel
from classifiers.comparison.report.figures import data_uri
from classifiers.comparison.results.run import Summary


@dataclass(frozen=True)
class View:
    """What is shown of one entry under one split; the maps may be missing.

    Attributes
    ----------
    title : str
        Entry and split.
    matrix : Matrix
        Its confusions.
    mapped, errors, confident : str
        Addresses of pictures: classes, errors at test pixels, the largest probability.
    wrong, tested : int
        Test pixels of seed 0, whose map it is.
    certainty : (sure, right) or None
        Of the confidence map, see `classifiers.comparison.report.maps.certainty`.
    """

    title: str
    matrix: Matrix
    mapped: str
    errors: str
    confident: str
    wrong: int
    tested: int
    certainty: tuple[float, float] | None


@dataclass(frozen=True)
class Scenery:
    """The pictures that do not depend on an entry: addresses, and how many pixels stand for one."""

    truth: str
    false_colour: str
    splits: tuple[str, ...]
    step: int


def views(facts: PublishedModel) -> list[list[View | None]]:
    """Return what is shown of each entry (row of the ranking) under each split."""
    side = maps.side_px(len(facts.rows) * len(facts.splits))
    return [[_view(facts, cell, side) if cell else None for cell in row.cells] for row in facts.rows]


def scenery(facts: PublishedModel) -> Scenery:
    """Return the pictures of the scene and of its splits."""
    pictures, colours = facts.comparison.pictures, facts.comparison.class_colours
    side = maps.side_px(len(facts.rows) * len(facts.splits))
    return Scenery(
        truth=data_uri(maps.class_map(pictures.truth, colours, side)),
        false_colour=data_uri(maps.false_colour(pictures.false_colour, side)),
        splits=tuple(
            data_uri(maps.split_map(pictures.splits[split.name], side)) if split.name in pictures.splits else ""
            for split in facts.splits
        ),
        step=maps.step(pictures.truth.shape, side),
    )


def _view(facts: PublishedModel, cell: Summary, side: int) -> View:
    pictures, which = facts.comparison.pictures, (cell.entry, cell.split)
    mapped, sides, confidence = (
        pictures.maps.get(which),
        pictures.splits.get(cell.split),
        pictures.confidence.get(which),
    )
    shown = {"mapped": "", "errors": "", "confident": ""}
    certainty = None
    if mapped is not None:
        shown["mapped"] = data_uri(maps.class_map(mapped, facts.comparison.class_colours, side))
    if mapped is not None and sides is not None:
        shown["errors"] = data_uri(maps.error_map(pictures.truth, mapped, sides, side))
    if mapped is not None and confidence is not None:
        shown["confident"] = data_uri(maps.confidence_map(confidence, mapped, side))
        if sides is not None:
            certainty = maps.certainty(confidence, mapped, pictures.truth, sides)
    runs = (r for r in facts.comparison.results if (r.run.entry, r.run.split) == which)
    first = min(runs, key=lambda result: result.run.seed)
    return View(
        title=f"{cell.entry}, {cell.split}",
        matrix=matrix_of(facts, cell),
        wrong=round((1 - first.scores.oa) * first.test_pixels),
        tested=first.test_pixels,
        certainty=certainty,
        **shown,
    )
