"""The plots of a report. The page and the files show the same plots, so each plot is drawn only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from classifiers.comparison.report import distance_plots, figures, findings, plane_plots
from classifiers.comparison.report.plot import Plot
from classifiers.comparison.results.comparison import Comparison
from classifiers.comparison.results.ranking import Ranking

# Kind of a plot, and what it is of: ("distance", "random:0.1").
PlotKey = tuple[object, ...]


class ReportPlots:
    """Mapping of keys to the plots of a comparison. A plot is drawn on first access.

    A key is missing if the comparison has no values for its plot. The keys are:

    - ``("overall-accuracy",)``: accuracy of the best entries;
    - ``("confusion", entry, split)``: confusion matrix of the best entry of each split;
    - ``("learning-curves", split)``: learning curves;
    - ``("distance", split)``: accuracy against the distance to the nearest training pixel;
    - ``("weights", entry)``: weights that the head of an entry learned for planes;
    - ``("panels",)``: clusters of each plane;
    - ``("planes",)``: accuracy of each plane alone.

    Parameters
    ----------
    comparison : Comparison
        Results with at least one run.
    ranking : Ranking
        Ranking of the results.
    """

    def __init__(self, comparison: Comparison, ranking: Ranking) -> None:
        self._drawers: dict[PlotKey, Callable[[], Plot]] = {}
        self._add(("overall-accuracy",), lambda: findings.overview_plot(ranking))
        best = {summary.split: summary for summary in sorted(comparison.summary, key=lambda summary: summary.oa.mean)}
        for summary in best.values():
            classes = [ranking.class_names[number] for number in summary.confusion_classes]
            self._add(
                ("confusion", summary.entry, summary.split),
                lambda summary=summary, classes=classes: (  # type: ignore[misc]
                    figures.confusion_matrix(np.array(summary.confusion), classes)
                ),
            )
        for split in dict.fromkeys(point.split for point in comparison.curves):
            points = [point for point in comparison.curves if point.split == split]
            self._add(("learning-curves", split), lambda points=points: plane_plots.curve_plot(points))  # type: ignore[misc]
        for table in distance_plots.distance_tables(ranking):
            self._add(
                ("distance", table.split),
                lambda table=table: distance_plots.distance_plot(table, comparison.scene.pixel_size_m),  # type: ignore[misc]
            )
        for learned in comparison.mixing:
            self._add(("weights", learned.entry), lambda weights=learned.weights: plane_plots.weight_map(weights))  # type: ignore[misc]
        if panels := comparison.images.panels:
            self._add(("panels",), lambda: plane_plots.cluster_plot(panels))
        if (sweep := comparison.sweep) is not None:
            self._add(("planes",), lambda: plane_plots.sweep_map(sweep.planes))

    def _add(self, key: PlotKey, draw: Callable[[], Plot]) -> None:
        self._drawers[key] = cache(draw)

    def __iter__(self) -> Iterator[PlotKey]:
        return iter(self._drawers)

    def __getitem__(self, key: PlotKey) -> Plot:
        return self._drawers[key]()

    def uri(self, *key: object) -> str:
        """Return a plot for the page as a data URI."""
        return figures.data_uri(self[key].page)
