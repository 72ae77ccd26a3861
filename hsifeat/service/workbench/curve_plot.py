"""Plot of a learning curve, described by paths in the syntax of SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 340, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 8, 22


@dataclass(frozen=True)
class ScorePoint:
    """A point of a learning curve: the accuracy of the map after a number of labels.

    Attributes
    ----------
    labels : int
        Number of labelled pixels.
    accuracy : float
        Overall accuracy, from 0 to 1.
    interval : tuple of float
        Lower and upper bound of the 95 % interval of the accuracy, from 0 to 1.
    """

    labels: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class CurvePlot:
    """Lines, points and ticks of the plot of a learning curve. Positions are in the units of the drawing.

    Attributes
    ----------
    line, area : str
        SVG paths of the accuracy, and of the area of its 95 % interval.
    points : tuple of (float, float)
        Horizontal and vertical position of each score.
    x_ticks, y_ticks : tuple of (float, str)
        Position and text of each tick.
    text : str
        Sentence on the accuracy at the first and at the last point.
    """

    line: str
    area: str
    points: tuple[tuple[float, float], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    text: str
    width: int = WIDTH
    height: int = HEIGHT


def plot_curve(points: Sequence[ScorePoint]) -> CurvePlot | None:
    """Return the plot of the accuracy against the number of labels.

    If several scores have the same number of labels, only the last is drawn. If fewer than two scores remain, the result is
    None.
    """
    latest = {point.labels: point for point in points}
    chosen = [latest[count] for count in sorted(latest)]
    if len(chosen) < 2:
        return None
    first, last = chosen[0].labels, chosen[-1].labels

    def across(count: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (count - first) / (last - first)

    def up(share: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share

    tops = [f"{across(point.labels):.1f} {up(point.interval[1]):.1f}" for point in chosen]
    bottoms = [f"{across(point.labels):.1f} {up(point.interval[0]):.1f}" for point in reversed(chosen)]
    places = tuple((across(point.labels), up(point.accuracy)) for point in chosen)
    return CurvePlot(
        line="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places),
        area="M" + "L".join([*tops, *bottoms]) + "Z",
        points=places,
        x_ticks=((across(first), str(first)), (across(last), str(last))),
        y_ticks=tuple((up(share), f"{share:.0%}") for share in (0.0, 0.5, 1.0)),
        text=f"{chosen[0].accuracy:.0%} with {first} labelled pixels, {chosen[-1].accuracy:.0%} with {last}",
    )
