"""Which timestep, which layer, how many labels: heat maps of planes, panels, learning curves, learned weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classifiers.comparison.report import figures, maps
from classifiers.comparison.report.context import LEAKS, PublishedModel
from classifiers.comparison.results.model import Curve, Panel, PlaneScore
from classifiers.comparison.results.run import Entry
from hsifeat.scenes.colours import default_colours


@dataclass(frozen=True)
class PanelGrid:
    """Panels by layer (rows) and timestep (columns) as addresses of pictures; '' where there is no such plane."""

    timesteps: tuple[int, ...]
    layers: tuple[tuple[str, tuple[str, ...]], ...]
    clusters: int


@dataclass(frozen=True)
class CurveTable:
    """Learning curves under one split: the picture's address and how many it draws, and the points of all entries.

    They are by the most labels of a class, for which `pixels` says how many that is of all classes, where it is known.
    """

    split: str
    leaks: bool
    picture: str
    drawn: int
    per_class: tuple[int, ...]
    pixels: Mapping[float, float]
    entries: tuple[tuple[str, tuple[Curve | None, ...]], ...]


def sweep_map(scores: Sequence[PlaneScore], medium: figures.Medium = "page") -> bytes:
    """Draw the OA of every plane alone."""
    return figures.heat_map({(s.t, s.layer): 100 * s.oa[0] for s in scores}, "OA, %", medium=medium)


def weight_map(weights: Sequence[Mapping[str, Any]], medium: figures.Medium = "page") -> bytes:
    """Draw the weights that a head learned for planes."""
    values = {(w["t"], w["layer"]): w["weight"] for w in weights}
    return figures.heat_map(values, "weight", digits=3, medium=medium)


def curve_lines(curves: Sequence[Curve]) -> list[figures.Line]:
    """Join the points of the entries to lines: of those that end best, as many as eyes can tell apart."""
    lines = []
    for entry in _best_last(curves)[: len(figures.LINES)]:
        points = sorted((c for c in curves if c.entry == entry), key=lambda curve: curve.per_class)
        lines.append(
            figures.Line(
                name=str(entry),
                x=tuple(p.per_class for p in points),
                mean=tuple(p.oa[0] for p in points),
                sd=tuple(p.oa[1] for p in points),
            )
        )
    return lines


def curve_pixels(curves: Sequence[Curve]) -> dict[float, float]:
    """Return the training pixels of all classes for each number of labels per class, where they are known."""
    return {curve.per_class: curve.train_pixels for curve in curves if curve.train_pixels is not None}


def curve_tables(facts: PublishedModel) -> list[CurveTable]:
    """Return the learning curves under each split that has some."""
    tables = []
    for split in facts.splits:
        curves = [curve for curve in facts.comparison.curves if curve.split == split.name]
        if not curves:
            continue
        at = {(curve.entry, curve.per_class): curve for curve in curves}
        numbers = tuple(sorted({curve.per_class for curve in curves}))
        tables.append(
            CurveTable(
                split=split.name,
                leaks=split.kind == LEAKS,
                drawn=min(len(figures.LINES), len(_best_last(curves))),
                picture=figures.data_uri(
                    figures.learning_curves(curve_lines(curves), "overall accuracy, %", curve_pixels(curves))
                ),
                per_class=numbers,
                pixels=curve_pixels(curves),
                entries=tuple((str(entry), tuple(at.get((entry, n)) for n in numbers)) for entry in _best_last(curves)),
            )
        )
    return tables


def _best_last(curves: Sequence[Curve]) -> list[Entry]:
    """Sort entries by their OA with the most labels that they were given, best first."""
    last = {curve.entry: curve.oa[0] for curve in sorted(curves, key=lambda curve: curve.per_class)}
    return sorted(last, key=lambda entry: -last[entry])


def cluster_colours(panels: Sequence[Panel]) -> dict[int, str]:
    """Return a colour for each cluster of any panel."""
    return default_colours(range(1, max(int(panel.classes.max()) for panel in panels) + 1))


def panel_grid(panels: Sequence[Panel]) -> PanelGrid | None:
    """Lay out the panels of planes; None where there are none."""
    if not panels:
        return None
    timesteps = tuple(sorted({panel.t for panel in panels}))
    at = {(panel.t, panel.layer): panel for panel in panels}
    colours = cluster_colours(panels)

    def drawn(t: int, layer: str) -> str:
        panel = at.get((t, layer))
        side = min(400, maps.side_px(2 * len(panels)))
        return figures.data_uri(maps.class_map(panel.classes, colours, side)) if panel else ""

    layers = dict.fromkeys(panel.layer for panel in panels)
    return PanelGrid(
        timesteps, tuple((layer, tuple(drawn(t, layer) for t in timesteps)) for layer in layers), len(colours)
    )
