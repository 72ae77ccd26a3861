"""Plots of the accuracies, clusters and learned weights of planes (one timestep and layer each), and of learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from classifiers.comparison.report import figures, maps
from classifiers.comparison.report.plot import Plot
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.comparison import ClusterPanel
from classifiers.comparison.results.plane_scores import PlaneScore, PlaneWeight
from classifiers.comparison.results.ranking import LEAKS, Ranking, split_kind
from classifiers.comparison.results.scores import CurvePoint
from classifiers.comparison.sweep_table import plane_values
from hsifeat.scenes.colours import default_colours

_MAX_PANEL_PX = 400


@dataclass(frozen=True)
class PanelGrid:
    """Grid of cluster panels, one row per layer and one column per timestep.

    `layers` has a pair for each layer: the name of the layer, and its panels as data URIs. If a plane is missing, its
    data URI is empty. `clusters` is the number of clusters.
    """

    timesteps: tuple[int, ...]
    layers: tuple[tuple[str, tuple[str, ...]], ...]
    clusters: int


@dataclass(frozen=True)
class CurveTable:
    """Learning curves under one split.

    Attributes
    ----------
    split : str
        Split in the grammar of `parse_split`.
    leaks : bool
        Whether the split is random, so that features of test pixels depend on training pixels.
    drawn : int
        Number of entries that the plot shows.
    limits : tuple of int
        Maximum numbers of training pixels per class.
    pixels : mapping of int to float
        Total number of training pixels of all classes, mean over seeds, for each number in `limits`.
    rows : tuple of (str, tuple of CurvePoint or None)
        Name of each entry, and the points of its learning curve, one for each number in `limits`. A point is None if
        the entry was not run with this number.
    """

    split: str
    leaks: bool
    drawn: int
    limits: tuple[int, ...]
    pixels: Mapping[int, float]
    rows: tuple[tuple[str, tuple[CurvePoint | None, ...]], ...]


def sweep_map(scores: tuple[PlaneScore, ...]) -> Plot:
    """Draw a heat map of the overall accuracy (OA) of each plane alone."""
    return figures.heat_map(plane_values(scores), "OA, %")


def weight_map(weights: Sequence[PlaneWeight]) -> Plot:
    """Draw a heat map of the weights that a head learned for planes."""
    values = {(weight.t, weight.layer): weight.weight for weight in weights}
    return figures.heat_map(values, "weight", digits=3)


def curve_plot(points: Sequence[CurvePoint]) -> Plot:
    """Draw the learning curves of a split."""
    return figures.learning_curves(curve_lines(points), "overall accuracy, %", curve_pixels(points))


def cluster_plot(panels: Sequence[ClusterPanel]) -> Plot:
    """Draw the cluster panels of a store in a grid."""
    clusters = {(panel.t, panel.layer): panel.clusters for panel in panels}
    return figures.panels(clusters, cluster_colours(panels))


def curve_lines(points: Sequence[CurvePoint]) -> list[figures.Line]:
    """Return the learning curves of the best entries, one line per entry.

    The best entries have the highest accuracy at the end of their curves. The number of lines is at most the number of
    colours in `figures.LINE_COLOURS`.
    """
    lines = []
    for entry in _entries_by_final_oa(points)[: len(figures.LINE_COLOURS)]:
        curve = sorted((point for point in points if point.entry == entry), key=lambda point: point.per_class)
        lines.append(
            figures.Line(
                name=str(entry),
                x=tuple(point.per_class for point in curve),
                mean=tuple(point.oa.mean for point in curve),
                sd=tuple(point.oa.sd for point in curve),
            )
        )
    return lines


def curve_pixels(points: Sequence[CurvePoint]) -> dict[int, float]:
    """Map each limit of training pixels per class (`CurvePoint.per_class`) to the total number of training pixels."""
    return {point.per_class: point.train_pixels for point in points}


def curve_tables(ranking: Ranking) -> list[CurveTable]:
    """Return one `CurveTable` for each split that has learning curves."""
    tables = []
    for split in dict.fromkeys(point.split for point in ranking.results.curves):
        points = [point for point in ranking.results.curves if point.split == split]
        by_limit = {(point.entry, point.per_class): point for point in points}
        limits = tuple(sorted({point.per_class for point in points}))
        entries = _entries_by_final_oa(points)
        tables.append(
            CurveTable(
                split=split,
                leaks=split_kind(split) == LEAKS,
                drawn=min(len(figures.LINE_COLOURS), len(entries)),
                limits=limits,
                pixels=curve_pixels(points),
                rows=tuple((str(entry), tuple(by_limit.get((entry, n)) for n in limits)) for entry in entries),
            )
        )
    return tables


def _entries_by_final_oa(points: Sequence[CurvePoint]) -> list[BenchEntry]:
    """Sort entries by the last point of their learning curves.

    The entry that is most accurate with the largest number of training pixels is first.
    """
    final = {point.entry: point.oa.mean for point in sorted(points, key=lambda point: point.per_class)}
    return sorted(final, key=lambda entry: -final[entry])


def cluster_colours(panels: Sequence[ClusterPanel]) -> dict[int, str]:
    """Return a colour for each cluster number that occurs in the panels."""
    return default_colours(range(1, max(int(panel.clusters.max()) for panel in panels) + 1))


def panel_grid(panels: Sequence[ClusterPanel]) -> PanelGrid | None:
    """Arrange panels in a grid with a row per layer and a column per timestep.

    Returns None if `panels` is empty.
    """
    if not panels:
        return None
    timesteps = tuple(sorted({panel.t for panel in panels}))
    by_plane = {(panel.t, panel.layer): panel for panel in panels}
    colours = cluster_colours(panels)
    side_px = min(_MAX_PANEL_PX, maps.largest_side_px(2 * len(panels)))

    def draw(t: int, layer: str) -> str:
        panel = by_plane.get((t, layer))
        return figures.data_uri(maps.class_map(panel.clusters, colours, side_px)) if panel else ""

    layers = dict.fromkeys(panel.layer for panel in panels)
    rows = tuple((layer, tuple(draw(t, layer) for t in timesteps)) for layer in layers)
    return PanelGrid(timesteps, rows, len(colours))
