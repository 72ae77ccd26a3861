"""Drawings of the plots of a report with matplotlib.

Readers with colour blindness can distinguish the colours. The colours are from the palette of Okabe and Ito
(https://jfly.uni-koeln.de/color/) and from cividis. Lines also differ in marker and dash.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.report.plot import INK, PAPER, Plot, new_figure
from classifiers.heat_map import draw_heat_map
from hsifeat.formatting import format_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, VERMILLION = "#0072b2", "#d55e00"
LINE_COLOURS = (BLUE, VERMILLION, "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7f7f7f", "#aa4499")
_MARKERS, _DASHES = "osD^vPX*", ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Dot:
    """Dot of a dot plot: a mean and the two ends of its whisker, all from 0 to 1.

    A hollow dot marks a score under a random split, in which features of test pixels also depend on training pixels.
    """

    mean: float
    low: float
    high: float
    hollow: bool


@dataclass(frozen=True)
class Line:
    """Learning curve. `x` has numbers of labels per class; `mean` and `sd` have scores from 0 to 1."""

    name: str
    x: tuple[int, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]


@dataclass(frozen=True)
class BandLine:
    """Score against distance, as a line with a band.

    `x` has distances in pixels. `mean` has the score at each distance, from 0 to 1. `bands` has the two ends of the
    95 % interval of each score, or None for a score without an interval.
    """

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    bands: tuple[tuple[float, float] | None, ...]


def dot_plot(rows: Sequence[tuple[str, Sequence[Dot]]], label: str) -> Plot:
    """Draw a dot plot with whiskers, in percent. Each item of `rows` is a row of the plot.

    Parameters
    ----------
    rows : sequence of (str, sequence of Dot)
        Name and dots of each row. A name is written above its dots, so that the plot fits a narrow screen.
    label : str
        Name and unit of the values.
    """
    height = 0.38 * len(rows) + 0.5
    with new_figure(4.3, height) as figure:
        axes = figure.add_axes((0.02, 0.46 / height, 0.96, 1 - 0.48 / height))
        for at, (name, dots) in enumerate(rows):
            means = [100 * dot.mean for dot in dots]
            axes.plot([min(means), max(means)], [at, at], color=INK, alpha=0.25, linewidth=3, solid_capstyle="round")
            for dot in dots:
                colour = VERMILLION if dot.hollow else BLUE
                axes.plot([100 * dot.low, 100 * dot.high], [at, at], color=colour, linewidth=1.4, zorder=2)
                face = PAPER if dot.hollow else colour
                axes.plot(100 * dot.mean, at, "o", color=colour, markerfacecolor=face, markersize=5.5, zorder=3)
            axes.text(0, at - 0.36, name, transform=axes.get_yaxis_transform(), size=7.5, va="center")
        axes.set(ylim=(len(rows) - 0.6, -0.7), yticks=[], xlabel=label)
        axes.margins(x=0.04)
        _style_axes(axes, grid="x")
        axes.spines["left"].set_visible(False)
    return Plot(figure)


def heat_map(values: Mapping[tuple[int | None, str], float], label: str, digits: int = 1) -> Plot:
    """Draw a heat map of one value per plane, with a row per layer and a column per timestep.

    Lighter cells have larger values, and each cell shows its value.

    Parameters
    ----------
    values : mapping of (int, str) to float
        Maps the timestep and layer of each plane to its value. Missing planes are empty cells.
    label : str
        Name and unit of the values.
    digits : int
        Number of decimals in a cell.
    """
    layers = list(dict.fromkeys(layer for _, layer in values))
    steps = sorted({t for t, _ in values}, key=lambda t: -1 if t is None else t)
    grid = np.array([[values.get((t, layer), np.nan) for t in steps] for layer in layers])
    width, height = 0.46 * len(steps) + 0.9, 0.3 * len(layers) + 0.6
    with new_figure(width, height) as figure:
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
        names = ["" if t is None else t for t in steps]
        draw_heat_map(axes, grid, layers, names, digits=digits, edge_colour=PAPER)
        axes.set(xlabel=f"timestep t · {label}")
        axes.tick_params(labelsize=7.5)
    return Plot(figure)


def learning_curves(lines: Sequence[Line], label: str, pixels: Mapping[int, float] | None = None) -> Plot:
    """Draw learning curves: scores in percent over the number of labels per class, which has a logarithmic axis.

    Lines are shifted slightly sideways, so that error bars do not overlap.

    Parameters
    ----------
    lines : sequence of Line
        Learning curves.
    label : str
        Name and unit of the scores.
    pixels : mapping of int to float, optional
        Maps each number of labels per class to the total number of training pixels. The totals are written below the
        ticks.
    """
    known = pixels or {}
    with new_figure(4.3, 3.2) as figure:
        axes = figure.subplots()
        for at, line in enumerate(lines):
            colour, marker, dash = _line_style(at)
            x = np.asarray(line.x, float) * 1.012 ** (at - (len(lines) - 1) / 2)
            mean, sd = 100 * np.asarray(line.mean), 100 * np.asarray(line.sd)
            axes.vlines(x, mean - sd, mean + sd, color=colour, linewidth=0.9, alpha=0.6)
            axes.plot(x, mean, dash, color=colour, marker=marker, markersize=4.5, linewidth=1.3, label=line.name)
        ticks = sorted({x for line in lines for x in line.x})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{x:g}" + (f"\n{format_mean(known[x])} px" if x in known else "") for x in ticks])
        axes.minorticks_off()
        axes.set(xlabel="labels per class, at most" + ("; px: of all classes" if known else ""), ylabel=label)
        _style_axes(axes, grid="y")
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.28 if known else -0.2), frameon=False, borderaxespad=0, fontsize=7.5
        )
    return Plot(figure)


def distance_curves(lines: Sequence[BandLine], label: str, ends_px: Sequence[float]) -> Plot:
    """Draw overall accuracy in percent against a distance. Bands show the 95 % intervals.

    Parameters
    ----------
    lines : sequence of BandLine
        One line for each entry of the benchmark.
    label : str
        Name and unit of the distance.
    ends_px : sequence of float
        Ends of the distance bins, marked by vertical lines.
    """
    with new_figure(4.3, 3.2) as figure:
        axes = figure.subplots()
        distances = [x for line in lines for x in line.x] or [1.0]
        nearest, furthest = min(distances), max(distances)
        start = 0 if nearest < furthest / 3 else 0.95 * nearest
        for end in ends_px:
            if start < end < furthest:
                axes.axvline(end, color=INK, alpha=0.5, linewidth=0.7, linestyle=":")
        for at, line in enumerate(lines):
            colour, marker, dash = _line_style(at)
            low, high = (
                [100 * (mean if band is None else band[end]) for mean, band in zip(line.mean, line.bands, strict=True)]
                for end in (0, 1)
            )
            axes.fill_between(line.x, low, high, color=colour, alpha=0.09, linewidth=0)
            for edge in (low, high):
                axes.plot(line.x, edge, color=colour, alpha=0.45, linewidth=0.5)
            mean = 100 * np.asarray(line.mean)
            axes.plot(line.x, mean, dash, color=colour, marker=marker, markersize=3.5, linewidth=1.3, label=line.name)
        axes.set(xlabel=label, ylabel="overall accuracy, %", xlim=(start, 1.03 * furthest))
        _style_axes(axes, grid="y")
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.2), frameon=False, borderaxespad=0, fontsize=7.5)
    return Plot(figure)


def _line_style(at: int) -> tuple[str, str, str]:
    return LINE_COLOURS[at % len(LINE_COLOURS)], _MARKERS[at % len(_MARKERS)], _DASHES[at % len(_DASHES)]


def panels(clusters: Mapping[tuple[int, str], NDArray[np.uint8]], colours: Mapping[int, str]) -> Plot:
    """Draw the clusters of each plane in a grid with a row per layer and a column per timestep.

    Parameters
    ----------
    clusters : mapping of (int, str) to (rows, cols) uint8 array
        Maps the timestep and layer of each plane to the clusters of its cells. Shapes may differ.
    colours : mapping of int to str
        Maps each cluster number, from 1, to its colour in any form that matplotlib accepts.
    """
    from matplotlib.colors import ListedColormap

    layers = list(dict.fromkeys(layer for _, layer in clusters))
    steps = sorted({t for t, _ in clusters})
    painted = ListedColormap([(0, 0, 0, 0), *(colours[c] for c in sorted(colours))])
    rows, cols = max((cells.shape for cells in clusters.values()), key=max)
    high, wide = 1.3 * min(1, rows / cols), 1.3 * min(1, cols / rows)
    with new_figure(wide * len(steps) + 1.2, high * len(layers) + 0.3) as figure:
        for (i, layer), (j, t) in itertools.product(enumerate(layers), enumerate(steps)):
            axes = figure.add_subplot(len(layers), len(steps), i * len(steps) + j + 1)
            if (t, layer) in clusters:
                axes.imshow(clusters[t, layer], cmap=painted, vmin=0, vmax=len(colours), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if i == 0:
                axes.set_title(f"t = {t}", size=8)
            if j == 0:
                axes.set_ylabel(layer, rotation=0, ha="right", va="center", size=7.5)
        figure.subplots_adjust(wspace=0.05, hspace=0.05)
    return Plot(figure)


def confusion_matrix(confusion: NDArray[np.integer], names: Sequence[str]) -> Plot:
    """Draw a confusion matrix as shares of the true class.

    The diagonal is blue, and errors are vermillion. The opacity of a cell is the square root of the share, so that rare confusions
    are visible. For up to 25 classes, cells show the share in percent.

    Parameters
    ----------
    confusion : (C, C) integer array
        Number of pixels by true class (rows) and predicted class (columns).
    names : sequence of str
        Names of the classes.
    """
    from matplotlib.colors import to_rgba

    count = len(names)
    shares = confusion_shares(confusion)
    side = max(2.2, 0.27 * count) if count <= 25 else 0.18 * count
    with new_figure(side + 1.6, side + 1.3) as figure:
        axes = figure.add_axes((1.5 / (side + 1.6), 0.05 / (side + 1.3), side / (side + 1.6), side / (side + 1.3)))
        cells = np.where(np.eye(count, dtype=bool)[..., None], to_rgba(BLUE), to_rgba(VERMILLION))
        cells[..., 3] = np.sqrt(shares)
        axes.imshow(cells, interpolation="none")
        if count <= 25:
            for (i, j), share in np.ndenumerate(shares):
                if share >= 0.005:
                    colour = "white" if share > 0.4 else INK
                    axes.text(
                        j, i, f"{100 * share:.0f}", ha="center", va="center", color=colour, size=6.5, in_layout=False
                    )
        axes.set_xticks(range(count), names, rotation=55, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
        axes.tick_params(length=0, labelsize=7.5, top=False, bottom=False, labeltop=True, labelbottom=False)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.xaxis.set_label_position("top")
        axes.spines[:].set_linewidth(0.5)
    return Plot(figure)


def confusion_shares(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    """Convert the pixel counts of a confusion matrix to shares of the true class.

    `confusion` is a (C, C) integer array with a row for each true class. The result is a (C, C) float64 array. The row
    of a class without pixels is 0.
    """
    totals = confusion.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    return shares


def data_uri(image: bytes) -> str:
    """Return PNG, JPEG or SVG bytes as a data URI."""
    kind = {b"\x89P": "png", b"\xff\xd8": "jpeg"}.get(image[:2], "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _style_axes(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.grid(axis=grid, color=INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)
