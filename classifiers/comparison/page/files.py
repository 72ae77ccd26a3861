"""The plots of the page as files for papers: each as SVG and as PNG, on white."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from classifiers.comparison import figures
from classifiers.comparison.page import findings, planes
from classifiers.comparison.page.facts import Facts, facts_of
from classifiers.comparison.results import Comparison

_MEDIA: tuple[figures.Medium, ...] = ("svg", "png")


def plots(comparison: Comparison) -> Iterator[tuple[str, bytes]]:
    """Draw what a comparison shows.

    Yields
    ------
    (str, bytes)
        Name and content of a file: ``overview``, ``confusion-SPLIT`` of the best entry of each split, ``sweep``,
        ``panels``, ``curves-SPLIT`` and ``weights-ENTRY``, each as ``.svg`` and ``.png``; what the comparison does not
        hold is not there.
    """
    for name, draw in _plots(facts_of(comparison)):
        for medium in _MEDIA:
            yield f"{re.sub(r'[^A-Za-z0-9.+-]+', '-', name)}.{medium}", draw(medium=medium)


def _plots(facts: Facts) -> Iterator[tuple[str, Callable[..., bytes]]]:
    comparison = facts.comparison
    yield "overview", partial(findings.dot_plot, facts)
    for at, split in enumerate(facts.splits):
        best = facts.ranked(at)[0][1]
        names = [facts.class_names[c] for c in best.classes]
        yield f"confusion-{split.name}", partial(figures.confusion_matrix, best.confusion, names)
        lines = planes.curve_lines([curve for curve in comparison.curves if curve.split == split.name])
        if lines:
            yield f"curves-{split.name}", partial(figures.learning_curves, lines, "overall accuracy, %")
    if comparison.sweep:
        yield "sweep", partial(planes.sweep_map, comparison.sweep.alone)
    if comparison.panels:
        clusters = {(panel.t, panel.layer): panel.classes for panel in comparison.panels}
        yield "panels", partial(figures.panels, clusters, planes.cluster_colours(comparison.panels))
    for entry, weights in comparison.mixing.items():
        yield f"weights-{entry}", partial(planes.weight_map, weights)
