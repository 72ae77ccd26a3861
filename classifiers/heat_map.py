"""A heat map with its values written in the cells, for tables of planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

# Cells above this share of the range of values are light, and take dark text.
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
    """Draw a table of values in the colour map cividis, which is legible with colour blindness; lighter is larger.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    values : (rows, columns) float array
        NaN leaves a gap.
    rows, columns : sequence
        Names of rows, from the top, and of columns.
    digits : int
        Decimals of the numbers in the cells.
    low : float, optional
        Value of the darkest colour. [default: the least value]
    edge_colour : str
        Colour between the cells.
    text_size : float
        Size of the numbers in points.

    Returns
    -------
    matplotlib.collections.QuadMesh
        The cells, for a colour bar.
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
