"""Maps on the page of a report: the scene, its labels and splits, and the predictions of each entry."""

from __future__ import annotations

from dataclasses import dataclass

from classifiers.comparison.report import maps
from classifiers.comparison.report.class_tables import ConfusionTable, confusion_table
from classifiers.comparison.report.figures import data_uri
from classifiers.comparison.results.comparison import Comparison
from classifiers.comparison.results.ranking import Ranking
from classifiers.comparison.results.scores import EntrySummary


@dataclass(frozen=True)
class EntryView:
    """Images and numbers that the page shows for one entry (a head, an input set and a store) under one split.

    Images are data URIs. The data URI of a missing map is an empty string.

    Attributes
    ----------
    title : str
        Names of the entry and the split.
    confusion : ConfusionTable
        Confusion matrix over all seeds.
    classes : str
        Map of predicted classes with seed 0.
    errors : str
        Map of correct and wrong test pixels with seed 0.
    confidence : str
        Map of the largest class probability with seed 0.
    wrong_pixels, test_pixels : int
        Numbers of misclassified test pixels and of all test pixels with seed 0.
    calibration : (float, float) or None
        Mean confidence and accuracy on the test pixels of seed 0, from 0 to 1.
    """

    title: str
    confusion: ConfusionTable
    classes: str
    errors: str
    confidence: str
    wrong_pixels: int
    test_pixels: int
    calibration: tuple[float, float] | None


@dataclass(frozen=True)
class SceneView:
    """Images of one scene as data URIs: its labels, its false colour and its splits.

    The images show every `step`-th row and column of the scene.
    """

    truth: str
    false_colour: str
    splits: tuple[str, ...]
    step: int


def entry_views(comparison: Comparison, ranking: Ranking) -> list[list[EntryView | None]]:
    """Return the views of each entry in the order of `ranking`, with one view per split.

    A view is None if the entry was not run under the split.
    """
    side_px = maps.largest_side_px(len(ranking.rows) * len(ranking.splits))
    return [
        [_entry_view(comparison, ranking, summary, side_px) if summary else None for summary in row.cells]
        for row in ranking.rows
    ]


def scene_view(comparison: Comparison, ranking: Ranking) -> SceneView:
    """Return the images of the scene, its labels and its splits."""
    images = comparison.images
    side_px = maps.largest_side_px(len(ranking.rows) * len(ranking.splits))
    return SceneView(
        truth=data_uri(maps.class_map(images.truth, comparison.class_colours, side_px)),
        false_colour=data_uri(maps.false_colour_map(images.false_colour, side_px)),
        splits=tuple(
            data_uri(maps.split_map(images.splits[split.name], side_px)) if split.name in images.splits else ""
            for split in ranking.splits
        ),
        step=maps.map_step(images.truth.shape, side_px),
    )


def _entry_view(comparison: Comparison, ranking: Ranking, summary: EntrySummary, side_px: int) -> EntryView:
    images, key = comparison.images, (summary.entry, summary.split)
    predicted, roles, confidence = images.maps.get(key), images.splits.get(summary.split), images.confidence.get(key)
    uris = {"classes": "", "errors": "", "confidence": ""}
    calibration = None
    if predicted is not None:
        uris["classes"] = data_uri(maps.class_map(predicted, comparison.class_colours, side_px))
        if roles is not None:
            uris["errors"] = data_uri(maps.error_map(images.truth, predicted, roles, side_px))
        if confidence is not None:
            uris["confidence"] = data_uri(maps.confidence_map(confidence, predicted, side_px))
        if confidence is not None and roles is not None:
            calibration = maps.calibration(confidence, predicted, images.truth, roles)
    runs = (run for run in comparison.runs if (run.entry, run.split) == key)
    first = min(runs, key=lambda run: run.seed)
    return EntryView(
        title=f"{summary.entry}, {summary.split}",
        confusion=confusion_table(ranking.class_names, summary),
        wrong_pixels=round((1 - first.oa) * first.test_pixels),
        test_pixels=first.test_pixels,
        calibration=calibration,
        **uris,
    )
