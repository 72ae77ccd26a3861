"""Tables of the accuracy in each scene of a benchmark with several scenes, one table for each split."""

from __future__ import annotations

from dataclasses import dataclass

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.ranking import Ranking
from classifiers.comparison.results.scores import EntrySummary, SceneSummaryScore


@dataclass(frozen=True)
class SceneTable:
    """Scores of all entries in each test scene of a split.

    Attributes
    ----------
    split, question : str
        The split, and what it tests.
    scenes : tuple of str
        Names of the scenes that have test pixels.
    pixels : tuple of float
        Number of test pixels of each scene, averaged over the seeds under which the scene has test pixels.
    rows : tuple of (BenchEntry, tuple)
        Entries in the order of the ranking, each with its scores in `scenes`. If an entry has no score in a scene, the
        score is None.
    """

    split: str
    question: str
    scenes: tuple[str, ...]
    pixels: tuple[float, ...]
    rows: tuple[tuple[BenchEntry, tuple[SceneSummaryScore | None, ...]], ...]


def scene_tables(ranking: Ranking) -> list[SceneTable]:
    """Return a `SceneTable` for each split, in the order of `ranking.splits`. For a single scene, the list is empty."""
    order = [scene.name for scene in ranking.results.scenes]
    tables = []
    for index, split in enumerate(ranking.splits):
        ranked: list[tuple[BenchEntry, EntrySummary]] = [(row.entry, cell) for row, cell in ranking.ranked(index)]
        pixels = {score.scene: score.test_pixels for _, cell in ranked for score in cell.scenes}
        names = tuple(name for name in order if name in pixels)
        if not names:
            continue
        rows = []
        for entry, cell in ranked:
            scores = {score.scene: score for score in cell.scenes}
            rows.append((entry, tuple(scores.get(name) for name in names)))
        tables.append(SceneTable(split.name, split.question, names, tuple(pixels[name] for name in names), tuple(rows)))
    return tables
