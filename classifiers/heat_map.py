"""Heat maps in which each cell shows its value as a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

# Cells above this fraction of the colour range are light, so their text is dark.
_LIGHT = 0.55


def draw_heat_map(
    axes: Axes,
    values: NDArray[np.floating],
    rows: Sequence[object],
    columns: Sequence[object],
    *,
    digits: int = 1,
    low: float | None = None,
    edge_colour: str = "white",
    text_size: float = 7.5,
) -> QuadMesh:
    """Draw a table of values as a heat map in which each cell shows its value as a number.

    The colour map is cividis, which is legible with colour blindness. Larger values are lighter.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    values : (rows, columns) float array
        Values of the cells; a NaN leaves a cell empty.
    rows, columns : sequence
        Row labels from top to bottom, and column labels from left to right.
    digits : int
        Number of decimals in the cells.
    low : float, optional
        Value of the darkest colour. [default: the smallest value]
    edge_colour : str
        Colour of the lines between cells.
    text_size : float
        Font size of the values in points.

    Returns
    -------
    matplotlib.collections.QuadMesh
        The drawn cells, from which a colour bar can be made.
    """
    least, high = float(np.nanmin(values)) if low is None else low, float(np.nanmax(values))
    top = high if high > least else least + 1
    cells = axes.pcolormesh(values, cmap="cividis", vmin=least, vmax=top, edgecolor=edge_colour, linewidth=1)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "black" if (value - least) / (high - least or 1) > _LIGHT else "white"
            text = f"{value:.{digits}f}"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=colour, size=text_size)
    axes.set_xticks(np.arange(len(columns)) + 0.5, [str(name) for name in columns])
    axes.set_yticks(np.arange(len(rows)) + 0.5, [str(name) for name in rows])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return cells
