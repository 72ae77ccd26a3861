"""Predict classification maps of whole scenes, block by block to bound the memory of the input table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import read_columns, table_bytes
from classifiers.heads.base import Head, ProbabilisticHead
from classifiers.heads.registry import head_class, head_names
from classifiers.layout import Layout
from classifiers.model import Model
from classifiers.scene_sample import readable_pixels
from hsifeat.errors import HeadError
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.scenes.maps import check_map_fits, check_map_path, write_map, write_probabilities
from hsifeat.types import Window, windows

# Largest table of one block.
MAX_BLOCK_BYTES = 2**27
_MAX_BLOCK_PX = 128


@dataclass(frozen=True, eq=False)
class PredictedBlock:
    """Predictions for the pixels of one block of a scene that have all input columns.

    Attributes
    ----------
    window : Window
        Position of the block in the scene.
    pixels : tuple of two (n,) intp arrays
        Rows and columns of the predicted pixels, relative to the corner of the block.
    classes : (n,) array
        Predicted class of each pixel.
    probabilities : (n, C) float64 array or None
        Probability of each class, in the order of the head's `classes_`; None if they were not computed.
    """

    window: Window
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]]
    classes: NDArray[np.integer]
    probabilities: NDArray[np.float64] | None

    @property
    def confidence(self) -> NDArray[np.float64] | None:
        """Largest probability of each pixel: (n,) float64, or None without probabilities."""
        return None if self.probabilities is None else self.probabilities.max(axis=1)


def predict_blocks(
    features: Features,
    head: Head,
    *,
    probabilities: bool = False,
    block_px: int | None = None,
    listen: Listener = silent,
) -> Iterator[PredictedBlock]:
    """Predict a scene block by block.

    All other functions that map a scene use this generator.

    Parameters
    ----------
    features : Features
        Store of the scene.
    head : Head
        A fitted head that has a layout.
    probabilities : bool
        Whether to compute class probabilities. The head must then be a `ProbabilisticHead`, and the predicted class is
        the most probable class, as in `Head.predict`.
    block_px : int, optional
        Side of a block in pixels. [default: 128, less for wide tables]
    listen : callable
        Callback for progress events, which count pixels.

    Yields
    ------
    PredictedBlock
        Predictions of each block, in row-major order. The arrays are empty if no pixel of the block has all columns.

    Raises
    ------
    HeadError
        If the head has no layout.
    """
    layout = _layout_of(head)
    rows, cols, _ = features.shape
    readable = readable_pixels(features, layout)
    listen(Started("map", rows * cols, "pixels"))
    done_px = 0
    for window in windows(rows, cols, block_px or block_side_px(layout)):
        pixels = np.nonzero(readable[window.slices])
        yield _predict_block(features, head, layout, window, (pixels[0], pixels[1]), probabilities=probabilities)
        done_px += window.rows * window.cols
        listen(Advanced("map", done_px))
    listen(Finished("map"))


def predict_map(
    features: Features, model: Model | Head, *, block_px: int | None = None, listen: Listener = silent
) -> NDArray[np.integer]:
    """Predict the class of every pixel of a scene.

    Parameters
    ----------
    features : Features
        Store of the scene to predict.
    model : Model or Head
        A fitted model, or a fitted head with a layout. The store is checked against a model before the prediction.
    block_px : int, optional
        Side in pixels of the blocks in which the scene is read. [default: 128, less for wide tables]
    listen : callable
        Callback for progress events.

    Returns
    -------
    (rows, cols) integer array
        Class numbers in the smallest integer dtype that holds them. Pixels that are invalid or have no planes are 0.

    Raises
    ------
    HeadError
        If the store lacks columns that the model was trained on.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> predict_map(features, hsifeat.load_model("model")).shape
    (75, 53)
    """
    head = _checked_head(features, model)
    rows, cols, _ = features.shape
    classes = np.zeros((rows, cols), _class_dtype(head))
    for block in predict_blocks(features, head, block_px=block_px, listen=listen):
        classes[block.window.slices][block.pixels] = block.classes
    return classes


def predict_probabilities(
    features: Features, model: Model | Head, *, block_px: int | None = None, listen: Listener = silent
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Predict the probability of every class for every pixel of a scene, block by block.

    Parameters
    ----------
    features : Features
        Store of the scene to predict.
    model : Model or Head
        A fitted model, or a fitted head with a layout. The store is checked against a model before the prediction.
    block_px : int, optional
        Side in pixels of the blocks in which the scene is read. [default: 128, less for wide tables]
    listen : callable
        Callback for progress events.

    Returns
    -------
    iterator of (Window, (rows, cols, classes) float32 array)
        Position and probabilities of each block. The blocks cover the scene, and the classes are in the order of the
        head's `classes_`. Pixels that are invalid or have no planes are NaN.

    Raises
    ------
    HeadError
        If the head has no probabilities, or the store lacks columns that the model was trained on.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> for window, probabilities in predict_probabilities(features, hsifeat.load_model("model")):
    ...     print(window, probabilities.shape)
    Window(row=0, col=0, rows=75, cols=53) (75, 53, 4)
    """
    head = _checked_head(features, model)
    if not isinstance(head, ProbabilisticHead):
        capable = ", ".join(name for name in head_names() if issubclass(head_class(name), ProbabilisticHead))
        raise HeadError(
            f"{type(head).__name__} has no class probabilities: fit a head that has them ({capable}), or map classes"
        )
    return _probability_blocks(features, head, block_px, listen)


def write_scene_map(
    features: Features, model: Model, out: Path, *, probabilities: bool = False, listen: Listener = silent
) -> tuple[str, ...]:
    """Predict a whole scene and write the map to a file.

    Parameters
    ----------
    features : Features
        Store of the scene to predict.
    model : Model
        The fitted model.
    out : Path
        File to write; its suffix selects the format: ``.tif``, ``.png``, ``.npy`` or ``.mat``.
    probabilities : bool
        Write the probability of each class instead of the predicted class.
    listen : callable
        Callback for progress events.

    Returns
    -------
    tuple of str
        Remarks on the file, such as the number of pixels without planes.

    Raises
    ------
    HsifeatError
        If the store lacks columns that the model was trained on, the head has no probabilities, or the file can't be
        written. The checks come before the prediction.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> notes = write_scene_map(features, hsifeat.load_model("model"), Path("map.npy"))
    """
    check_map_path(out, probabilities=probabilities)
    model.check_store(features)
    rows, cols, _ = features.shape
    check_map_fits(out, (rows, cols), model.legend, probabilities=probabilities)
    if probabilities:
        blocks = predict_probabilities(features, model, listen=listen)
        notes = write_probabilities(out, blocks, (rows, cols), model.legend, features.georeference)
    else:
        classes = predict_map(features, model, listen=listen)
        notes = write_map(out, classes, model.legend, features.georeference)
    mapped = int(np.count_nonzero(readable_pixels(features, model.layout)))
    if mapped < np.count_nonzero(features.valid):
        notes += (f"{features.name} holds planes at {mapped} pixels only: the others are left empty",)
    return notes


def block_side_px(layout: Layout, max_bytes: int | None = None) -> int:
    """Return the side in pixels of the largest block whose table takes at most `max_bytes`.

    The side is a power of 2 up to 128, so that blocks align with the chunks of a store. `max_bytes` is 128 MiB by default.
    """
    side = _MAX_BLOCK_PX
    while side > 1 and table_bytes(side * side, layout) > (max_bytes or MAX_BLOCK_BYTES):
        side //= 2
    return side


def _predict_block(
    features: Features,
    head: Head,
    layout: Layout,
    window: Window,
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    probabilities: bool,
) -> PredictedBlock:
    if not len(pixels[0]):
        empty = np.empty((0, len(head.classes_))) if probabilities else None
        return PredictedBlock(window, pixels, head.classes_[:0], empty)
    X = read_columns(features, layout, pixels[0] + window.row, pixels[1] + window.col)
    if probabilities and isinstance(head, ProbabilisticHead):
        values = head.predict_proba(X)
        return PredictedBlock(window, pixels, head.classes_[values.argmax(axis=1)], values)
    return PredictedBlock(window, pixels, head.predict(X), None)


def _probability_blocks(
    features: Features, head: ProbabilisticHead, block_px: int | None, listen: Listener
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    for block in predict_blocks(features, head, probabilities=True, block_px=block_px, listen=listen):
        values = np.full((block.window.rows, block.window.cols, len(head.classes_)), np.nan, np.float32)
        values[block.pixels] = block.probabilities
        yield block.window, values


def _checked_head(features: Features, model: Model | Head) -> Head:
    if isinstance(model, Head):
        return model
    model.check_store(features)
    return model.head


def _layout_of(head: Head) -> Layout:
    if head.layout is None:
        raise HeadError(
            f"this {type(head).__name__} has no layout, so it is unknown which columns to read from the store: "
            "make it with layout=table.layout"
        )
    return head.layout


def _class_dtype(head: Head) -> np.dtype[np.integer]:
    # A small dtype saves memory: one byte per pixel of the map instead of the eight of NumPy's default integer.
    lowest, highest = int(head.classes_.min()), int(head.classes_.max())
    return np.result_type(np.min_scalar_type(min(lowest, 0)), np.min_scalar_type(highest))
