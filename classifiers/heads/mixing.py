"""Learned weights of timesteps and layers in mixing heads, as a dict, a table and a heat map."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from classifiers.heat_map import draw_heat_map
from classifiers.layout import ColumnGroup

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class MixingHead:
    """Mix-in for torch heads that compute weighted sums of features over timesteps and layers. The weights are learned."""

    @abstractmethod
    def _shares(self) -> list[tuple[ColumnGroup, float]]:
        """Return the column groups of planes, each with its learned weight.

        The weights add up to 1, either over all groups or over the groups of each layer.
        """

    @property
    def mixing_weights_(self) -> dict[str, float]:
        """Learned weight of each timestep and layer. The keys are names such as ``t50/up_blocks.1``."""
        return {str(group): share for group, share in self._shares()}

    def mixing_frame(self) -> pd.DataFrame:
        """Return the learned weights as a table: timesteps are rows, layers are columns, and missing planes are NaN."""
        return _to_frame({(group.t, group.layer_key): share for group, share in self._shares()})


def _to_frame(shares: dict[tuple[int | None, str], float]) -> pd.DataFrame:
    import pandas as pd

    rows = sorted({t for t, _ in shares}, key=lambda t: -1 if t is None else t)
    columns = list(dict.fromkeys(layer for _, layer in shares))
    cells = [[shares.get((t, layer), np.nan) for layer in columns] for t in rows]
    return pd.DataFrame(cells, index=pd.Index(rows, name="t"), columns=pd.Index(columns, name="layer"))


def plot_mixing(head: MixingHead) -> Figure:
    """Draw the learned weights of timesteps and layers as a heat map.

    Parameters
    ----------
    head : MixingHead
        A fitted `HyperfeaturesClassifier` or `DiffCRNClassifier`.

    Returns
    -------
    matplotlib.figure.Figure
        Heat map in percent. The colour map, cividis, is safe for colour-blind readers.

    Examples
    --------
    >>> from classifiers import PixelTable, make_head
    >>> table = PixelTable.from_store("fields.zarr")
    >>> head = make_head("hyperfeatures", table.layout, epochs=1, random_state=0).fit(table.X, table.y)
    >>> plot_mixing(head).savefig("mixing.png")
    """
    from matplotlib.figure import Figure

    frame = head.mixing_frame()
    shares = frame.to_numpy(dtype=float)
    figure = Figure(figsize=(1.9 + 0.75 * shares.shape[1], 1.6 + 0.38 * shares.shape[0]), layout="constrained")
    axes = figure.add_subplot()
    names = ["" if t is None else t for t in frame.index]
    cells = draw_heat_map(axes, 100 * shares, names, list(frame.columns), low=0, text_size=9)
    axes.tick_params(axis="x", rotation=30)
    axes.set(xlabel="layer", ylabel="timestep t")
    figure.colorbar(cells, label="share, %")
    return figure
