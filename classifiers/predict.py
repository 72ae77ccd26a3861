"""Whole-scene maps: heads predict block by block, so that memory stays bounded whatever the scene's size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import read_columns, size_bytes
from classifiers.heads.registry import head_class, head_names
from classifiers.layout import Layout
from hsifeat.errors import HeadError
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.scenes.maps import check_map_fits, check_map_path, write_map, write_probabilities
from hsifeat.types import Window, windows

if TYPE_CHECKING:
    from classifiers.fit import Model
    from classifiers.heads.base import Head

# A block's table takes at most so many bytes, however many columns it has.
_BLOCK_BYTES = 2**27
_BLOCK_PX = 128


def map_scene(
    features: Features, model: Model, out: Path, *, probabilities: bool = False, listen: Listener = silent
) -> tuple[str, ...]:
    """Map a whole scene by a model into a file.

    Parameters
    ----------
    features : Features
        The store.
    model : Model
        What predicts.
    out : Path
        As `hsifeat.scenes.maps.write_map` takes it, or `write_probabilities`.
    probabilities : bool
        Write the probability of each class instead of the likeliest one.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    tuple of str
        What a reader of the file should know.

    Raises
    ------
    HsifeatError
        A model of another recipe, a head without probabilities, a file that can't be written: before any prediction.
    """
    check_map_path(out, probabilities=probabilities)
    model.check(features)
    legend, (rows, cols, _), where = model.legend, features.shape, features.georeference
    check_map_fits(out, (rows, cols), legend, probabilities=probabilities)
    if probabilities:
        blocks = predict_probabilities(features, model.head, model.layout, listen=listen)
        notes = write_probabilities(out, blocks, (rows, cols), legend, where)
    else:
        notes = write_map(out, predict_map(features, model.head, model.layout, listen=listen), legend, where)
    mapped = int(np.count_nonzero(_known(features, model.layout)))
    if mapped < np.count_nonzero(features.valid):
        notes += (f"{features.name} holds planes at {mapped} pixels only: the others are left empty",)
    return notes


def predict_maps(
    features: Features,
    layout: Layout,
    heads: Mapping[str, tuple[Head, Sequence[int] | NDArray[np.intp]]],
    *,
    block_px: int | None = None,
    listen: Listener = silent,
) -> dict[str, NDArray[np.integer]]:
    """Predict the class of every valid pixel that the store has planes at by several heads at once; the columns are read once.

    Parameters
    ----------
    features : Features
        The store.
    layout : Layout
        All columns that the heads need between them.
    heads : mapping of str to (Head, columns)
        Fitted heads on integer classes, each with the columns of `layout` that it takes.
    block_px : int, optional
        Side of the blocks in which the scene is read; by default 128 px, less where there are many columns.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    dict of str to (rows, cols) integer array
        0 where the scene has no valid pixel, or the store no planes. The smallest unsigned dtype that holds the head's classes.
    """
    height, width, _ = features.shape
    maps = {name: np.zeros((height, width), _dtype(head)) for name, (head, _) in heads.items()}
    listen(Started("map", height * width, "pixels"))
    done, known = 0, _known(features, layout)
    for window in windows(height, width, block_px or _block_px(layout)):
        rows, cols = np.nonzero(known[window.slices])
        at = rows + window.row, cols + window.col
        if len(rows):
            table = read_columns(features, layout, *at)
            for name, (head, columns) in heads.items():
                maps[name][at] = head.predict(np.ascontiguousarray(table[:, columns]))
        done += window.rows * window.cols
        listen(Advanced("map", done))
    listen(Finished("map"))
    return maps


def predict_map(
    features: Features, head: Head, layout: Layout, *, block_px: int | None = None, listen: Listener = silent
) -> NDArray[np.integer]:
    """Predict the class of every valid pixel by one head, see `predict_maps`."""
    heads = {"": (head, np.arange(layout.width))}
    return predict_maps(features, layout, heads, block_px=block_px, listen=listen)[""]


def predict_probabilities(
    features: Features, head: Head, layout: Layout, *, block_px: int | None = None, listen: Listener = silent
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Predict the probability of every class for every valid pixel, block by block.

    Parameters
    ----------
    features : Features
        The store.
    head : Head
        Fitted; one that knows probabilities.
    layout : Layout
        The columns it takes.
    block_px : int, optional
        As `predict_maps` takes it.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    iterator of (Window, (rows, cols, classes) float32 array)
        Windows that cover the scene; classes as in ``head.classes_``, NaN where the scene has no valid pixel, or the
        store no planes.

    Raises
    ------
    HeadError
        If the head knows no probabilities.
    """
    if not hasattr(head, "predict_proba"):
        able = ", ".join(name for name in head_names() if hasattr(head_class(name), "predict_proba"))
        raise HeadError(f"{type(head).__name__} gives no probabilities: fit a head that does ({able}), or map classes")
    return _probabilities(features, head, layout, block_px or _block_px(layout), listen)


def _probabilities(
    features: Features, head: Any, layout: Layout, block_px: int, listen: Listener
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    height, width, _ = features.shape
    listen(Started("map", height * width, "pixels"))
    done, known = 0, _known(features, layout)
    for window in windows(height, width, block_px):
        rows, cols = np.nonzero(known[window.slices])
        values = np.full((window.rows, window.cols, len(head.classes_)), np.nan, np.float32)
        if len(rows):
            values[rows, cols] = head.predict_proba(
                read_columns(features, layout, rows + window.row, cols + window.col)
            )
        yield window, values
        done += window.rows * window.cols
        listen(Advanced("map", done))
    listen(Finished("map"))


def _block_px(layout: Layout) -> int:
    """Return the side of a block whose table is not too large: a power of 2, so that blocks lie in the store's chunks."""
    side = _BLOCK_PX
    while side > 1 and size_bytes(side * side, layout) > _BLOCK_BYTES:
        side //= 2
    return side


def _known(features: Features, layout: Layout) -> NDArray[np.bool_]:
    """Return the pixels (rows, cols) that the columns of a layout can be read at."""
    return features.readable if layout.learned else features.valid


def _dtype(head: Head) -> np.dtype[np.integer]:
    # A map is what grows with the scene: a byte a pixel, not the eight of NumPy's usual integers.
    least, most = int(head.classes_.min()), int(head.classes_.max())
    return np.result_type(np.min_scalar_type(min(least, 0)), np.min_scalar_type(most))
