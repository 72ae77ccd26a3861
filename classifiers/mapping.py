"""Whole-scene maps: heads predict block by block, so that memory stays bounded whatever the scene's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import Layout
from classifiers.table import read_columns
from hsifeat.features import Features
from hsifeat.types import windows
from hsifeat.work.events import Advanced, Finished, Listener, Started, silent

if TYPE_CHECKING:
    from classifiers.heads.base import Head

_BLOCK_PX = 128


def predict_maps(
    features: Features,
    layout: Layout,
    heads: Mapping[str, tuple[Head, Sequence[int] | NDArray[np.intp]]],
    *,
    listen: Listener = silent,
) -> dict[str, NDArray[np.integer]]:
    """Predict the class of every valid pixel by several heads at once; the columns are read once.

    Parameters
    ----------
    features : Features
        The store.
    layout : Layout
        All columns that the heads need between them.
    heads : mapping of str to (Head, columns)
        Fitted heads on integer classes, each with the columns of `layout` that it takes.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    dict of str to (rows, cols) integer array
        0 where the scene has no valid pixel. The smallest unsigned dtype that holds the head's classes.
    """
    height, width, _ = features.shape
    maps = {name: np.zeros((height, width), _dtype(head)) for name, (head, _) in heads.items()}
    listen(Started("map", height * width, "pixels"))
    done = 0
    for window in windows(height, width, _BLOCK_PX):
        rows, cols = np.nonzero(features.valid[window.slices])
        at = rows + window.row, cols + window.col
        if len(rows):
            table = read_columns(features, layout, *at)
            for name, (head, columns) in heads.items():
                maps[name][at] = head.predict(np.ascontiguousarray(table[:, columns]))
        done += window.rows * window.cols
        listen(Advanced("map", done))
    listen(Finished("map"))
    return maps


def predict_map(features: Features, head: Head, layout: Layout, *, listen: Listener = silent) -> NDArray[np.integer]:
    """Predict the class of every valid pixel by one head, see `predict_maps`."""
    return predict_maps(features, layout, {"": (head, np.arange(layout.width))}, listen=listen)[""]


def _dtype(head: Head) -> np.dtype[np.integer]:
    # A map is what grows with the scene: a byte a pixel, not the eight of NumPy's usual integers.
    least, most = int(head.classes_.min()), int(head.classes_.max())
    return np.result_type(np.min_scalar_type(min(least, 0)), np.min_scalar_type(most))
