"""Plots and tables of the overall accuracy against the distance to the nearest training pixel."""

from __future__ import annotations

from dataclasses import dataclass

from classifiers.comparison.report import figures
from classifiers.comparison.report.plot import Plot
from classifiers.comparison.results.distance_text import leak_free_text, range_label, without_distance_text
from classifiers.comparison.results.ranking import Ranking
from classifiers.comparison.results.scores import EntryDistances

# Largest number of entries in a plot, not counting the best entry on spectra alone.
_MAX_LINES = 4


@dataclass(frozen=True)
class DistanceTable:
    """Scores of a split by distance to the nearest training pixel.

    Attributes
    ----------
    split : str
        Name of the split.
    question : str
        Text that states what the split tests and how many labels it trains on, such as ``fill in from 80 labels``.
    ranges : tuple of str
        Labels of the distance bins.
    pixels : tuple of float
        Number of test pixels in each distance bin, averaged over seeds.
    rows : tuple of EntryDistances
        Scores of the entries, in descending order of their overall accuracy under the split.
    headline : str
        Sentence about the accuracy on leak-free test pixels, see `leak_free_text`. The sentence has no full stop. The
        features of a leak-free test pixel depend on no training pixel.
    omission : str
        Sentence about the test pixels in no distance bin, see `without_distance_text`. The sentence has no full stop. Empty
        if every test pixel is in a bin.
    """

    split: str
    question: str
    ranges: tuple[str, ...]
    pixels: tuple[float, ...]
    rows: tuple[EntryDistances, ...]
    headline: str
    omission: str

    @property
    def drawn(self) -> tuple[EntryDistances, ...]:
        """Entries that the plot shows: those of highest overall accuracy, and the best that learns from spectra alone."""
        best = self.rows[:_MAX_LINES]
        spectra = next((one for one in self.rows if one.entry.inputs == "spectra"), None)
        return best if spectra is None or spectra in best else (*best, spectra)


def distance_tables(ranking: Ranking) -> list[DistanceTable]:
    """Return one table for each split that has scores by distance, in the order of the splits in `ranking`.

    Distance bins without test pixels are omitted.
    """
    results, tables = ranking.results, []
    by_key = {(one.entry, one.split): one for one in results.distances}
    for index, split in enumerate(ranking.splits):
        ranked = ranking.ranked(index)
        rows = [by_key[row.entry, split.name] for row, _ in ranked if (row.entry, split.name) in by_key]
        if not rows:
            continue
        # All entries of a split have the same test pixels.
        tested = [at for at, score in enumerate(rows[0].bins) if score.test_pixels]
        bins = [rows[0].bins[at] for at in tested]
        test_pixels = ranked[0][1].test_pixels
        headline = leak_free_text(results, rows, test_pixels)
        omission = without_distance_text(results, split.name, test_pixels)
        tables.append(
            DistanceTable(
                split=split.name,
                question=split.question,
                ranges=tuple(range_label(score, results.scene.pixel_size_m) for score in bins),
                pixels=tuple(score.test_pixels for score in bins),
                rows=tuple(one.model_copy(update={"bins": tuple(one.bins[at] for at in tested)}) for one in rows),
                headline=headline[0].upper() + headline[1:],
                omission=omission[:1].upper() + omission[1:],
            )
        )
    return tables


def distance_plot(table: DistanceTable, pixel_size_m: float | None) -> Plot:
    """Draw curves of overall accuracy against the distance to the nearest training pixel.

    The plot has one curve for each entry in `DistanceTable.drawn`. Bands around the curves show 95 % intervals.

    Parameters
    ----------
    table : DistanceTable
        Scores of a split.
    pixel_size_m : float or None
        Side of a pixel in metres, for the label of the axis; None if unknown.
    """
    lines = []
    for found in table.drawn:
        points = [point for point in found.curve if point.oa is not None and point.mean_px is not None]
        lines.append(
            figures.BandLine(
                name=str(found.entry),
                x=tuple(point.mean_px or 0.0 for point in points),
                mean=tuple(point.oa.mean for point in points if point.oa),
                bands=tuple(point.oa.interval if point.oa else None for point in points),
            )
        )
    unit = "px" if pixel_size_m is None else f"px (1 px = {pixel_size_m:g} m)"
    ends = [score.high_px for score in table.rows[0].bins if score.high_px is not None]
    return figures.distance_curves(lines, f"distance to the nearest training pixel, {unit}", ends)
