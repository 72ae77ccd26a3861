"""Predict a scene with a fitted head, block by block.

Only the input table of one block is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import read_columns, table_bytes
from classifiers.heads.base import Head, ProbabilisticHead
from classifiers.layout import Layout
from classifiers.scene_sample import readable_pixels
from classifiers.smoothing import SceneGuide, SmoothingRule, check_memory, smooth_blocks
from hsifeat.errors import HeadError
from hsifeat.features.features import Features
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, silent
from hsifeat.types import Window, as_int, windows

# Largest table of one block, in bytes.
MAX_BLOCK_BYTES = 2**27
_MAX_BLOCK_PX = 128


@dataclass(frozen=True, eq=False)
class PredictedBlock:
    """Predictions for those pixels of a block that have a value in every input column.

    Attributes
    ----------
    window : Window
        Position of the block in the scene.
    pixels : tuple of two (n,) intp arrays
        Rows and columns of the predicted pixels, relative to the upper left corner of the block.
    classes : (n,) array
        Predicted class of each pixel.
    probabilities : (n, C) float64 array or None
        Probability of each class, in the order of the head's `classes_`. None if no probabilities were computed.
    """

    window: Window
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]]
    classes: NDArray[np.integer]
    probabilities: NDArray[np.float64] | None

    @property
    def confidence(self) -> NDArray[np.float64] | None:
        """Largest class probability of each pixel, an (n,) float64 array; None if `probabilities` is None."""
        return None if self.probabilities is None else self.probabilities.max(axis=1)


class BlockPredictor(Protocol):
    """Interface of objects that predict blocks in other processes, such as `classifiers.block_workers.BlockWorkers`."""

    def predict(self, windows: Iterable[Window], *, probabilities: bool) -> Iterator[PredictedBlock]:
        """Yield the predictions of the blocks at `windows`, in the order of `windows`."""
        ...


def predict_blocks(
    features: Features,
    head: Head,
    *,
    probabilities: bool = False,
    within: NDArray[np.bool_] | None = None,
    block_px: int | None = None,
    workers: BlockPredictor | None = None,
    listen: Listener = silent,
) -> Iterator[PredictedBlock]:
    """Predict a scene block by block.

    `predict_classes` and `probability_blocks` use this generator.

    Parameters
    ----------
    features : Features
        Store of the scene.
    head : Head
        A fitted head that has a layout.
    probabilities : bool
        Whether to compute class probabilities. Heads other than a `ProbabilisticHead` ignore this option.
    within : (rows, cols) bool array, optional
        Pixels to predict. If `workers` is passed, all pixels are predicted. [default: all]
    block_px : int, optional
        Side of a block in pixels. [default: 128, or less if the head takes many columns]
    workers : BlockPredictor, optional
        Workers that predict the blocks. [default: this process]
    listen : callable
        Callback for progress events, which count pixels.

    Yields
    ------
    PredictedBlock
        Predictions of each block, in row-major order. The arrays are empty if no pixel of the block has values in all
        columns.

    Raises
    ------
    HeadError
        If the head has no layout. If `block_px` is below 1.
    """
    rows, cols, _ = features.shape
    side_px = block_side_px(_layout_of(head)) if block_px is None else block_px
    if (as_int(side_px) or 0) < 1:
        raise HeadError(f"the side of a block is a whole number of at least 1 pixel; found {side_px!r:.60}")
    places = list(windows(rows, cols, side_px))
    listen(Started("map", rows * cols, "pixels"))
    done_px = 0
    if workers is None:
        predictor = ScenePredictor(features, head, within)
        blocks: Iterator[PredictedBlock] = (predictor.predict(window, probabilities=probabilities) for window in places)
    else:
        blocks = workers.predict(places, probabilities=probabilities)
    for block in blocks:
        yield block
        done_px += block.window.rows * block.window.cols
        listen(Advanced("map", done_px))
    listen(Finished("map"))


class ScenePredictor:
    """Predicts single blocks of a scene.

    Parameters
    ----------
    features : Features
        Store of the scene.
    head : Head
        A fitted head that has a layout.
    within : (rows, cols) bool array, optional
        Pixels to predict. [default: all]
    """

    def __init__(self, features: Features, head: Head, within: NDArray[np.bool_] | None = None) -> None:
        self._features, self._head, self._layout = features, head, _layout_of(head)
        readable = readable_pixels(features, self._layout)
        self._readable = readable if within is None else readable & within

    def predict(self, window: Window, *, probabilities: bool) -> PredictedBlock:
        """Predict those pixels of a block that have a value in every input column."""
        head, (rows, cols) = self._head, np.nonzero(self._readable[window.slices])
        if not len(rows):
            empty = np.empty((0, len(head.classes_))) if probabilities else None
            return PredictedBlock(window, (rows, cols), head.classes_[:0], empty)
        X = read_columns(self._features, self._layout, rows + window.row, cols + window.col)
        if probabilities and isinstance(head, ProbabilisticHead):
            values = head.predict_proba(X)
            return PredictedBlock(window, (rows, cols), head.classes_[values.argmax(axis=1)], values)
        return PredictedBlock(window, (rows, cols), head.predict(X), None)


def predict_classes(
    features: Features,
    head: Head,
    rule: SmoothingRule | None = None,
    *,
    only: NDArray[np.bool_] | None = None,
    block_px: int | None = None,
    workers: BlockPredictor | None = None,
    listen: Listener = silent,
) -> NDArray[np.integer]:
    """Predict the class of every pixel of a scene.

    Parameters
    ----------
    features : Features
        Store of the scene.
    head : Head
        A fitted head that has a layout.
    rule : SmoothingRule, optional
        Rule that smooths the class probabilities. If the head has no probabilities, the predicted class has probability 1,
        and all other classes have 0. [default: no smoothing]
    only : (rows, cols) bool array, optional
        Pixels whose classes are needed. The classes of all other pixels are arbitrary. [default: all]
    block_px : int, optional
        Side of a block in pixels. [default: 128, or less if the head takes many columns]
    workers : BlockPredictor, optional
        Workers that predict the blocks. With workers, `only` has no effect. [default: this process]
    listen : callable
        Callback for progress events.

    Returns
    -------
    (rows, cols) integer array
        Class numbers in the smallest integer dtype that holds them. Pixels where an input column has no value are 0.

    Raises
    ------
    HsifeatError
        If the head has no layout. If its classes are not whole numbers from 1. If the smoothing does not fit in memory.
    """
    rows, cols, _ = features.shape
    classes = np.zeros((rows, cols), _class_dtype(head))
    within = None if only is None else _reach(only, rule)
    if rule is None:
        for block in predict_blocks(features, head, within=within, block_px=block_px, workers=workers, listen=listen):
            classes[block.window.slices][block.pixels] = block.classes
        return classes
    blocks = probability_blocks(features, head, rule, within=within, block_px=block_px, workers=workers, listen=listen)
    for window, values in blocks:
        mapped = ~np.isnan(values[..., 0])
        classes[window.slices][mapped] = head.classes_[values[mapped].argmax(axis=1)]
    return classes


def smoothed_classes(
    features: Features,
    head: Head,
    rule: SmoothingRule,
    pixels: tuple[NDArray[np.integer], NDArray[np.integer]],
    *,
    block_px: int | None = None,
    listen: Listener = silent,
) -> NDArray[np.integer]:
    """Predict the classes of some pixels of a scene, after smoothing of the class probabilities.

    Only the pixels on which the result depends are predicted.

    Parameters
    ----------
    features, head, rule, block_px, listen
        See `predict_classes`.
    pixels : tuple of two (n,) integer arrays
        Rows and columns of the pixels.

    Returns
    -------
    (n,) integer array
        Class number of each pixel.
    """
    needed = np.zeros(features.shape[:2], bool)
    needed[pixels] = True
    classes = predict_classes(features, head, rule, only=needed, block_px=block_px, listen=listen)
    return np.asarray(classes[pixels])


def probability_blocks(
    features: Features,
    head: Head,
    rule: SmoothingRule | None = None,
    *,
    within: NDArray[np.bool_] | None = None,
    block_px: int | None = None,
    workers: BlockPredictor | None = None,
    listen: Listener = silent,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Return the class probabilities of a scene block by block, optionally smoothed by `rule`.

    Parameters
    ----------
    features : Features
        Store of the scene.
    head : Head
        A fitted head that has a layout. If the head has no probabilities, the predicted class has probability 1, and all
        other classes have 0.
    rule : SmoothingRule, optional
        Rule that smooths the probabilities. [default: no smoothing]
    within, block_px, workers, listen
        See `predict_blocks`. The rule treats pixels outside of `within` as invalid.

    Returns
    -------
    iterator of (Window, (rows, cols, C) float32 array)
        Each block of the scene, and the class probabilities of its pixels in the order of the head's `classes_`. Pixels
        where an input column has no value are NaN.

    Raises
    ------
    HsifeatError
        If the smoothing does not fit in memory. The memory is checked before the prediction.
    """
    rows, cols, _ = features.shape
    predicted = predict_blocks(
        features, head, probabilities=True, within=within, block_px=block_px, workers=workers, listen=listen
    )
    blocks = _probability_blocks(predicted, head)
    if rule is None:
        return blocks
    check_memory(rule, (rows, cols), len(head.classes_))
    guide = SceneGuide.from_features(features) if rule.guided else None
    for note in () if guide is None else guide.notes:
        listen(Note(f"{rule.text}: {note}"))
    return smooth_blocks(blocks, rule, (rows, cols), guide, listen)


def block_side_px(layout: Layout, max_bytes: int | None = None) -> int:
    """Return the side in pixels of the largest block whose input columns take at most `max_bytes`.

    The side is a power of 2 up to 128, so that blocks align with the chunks of a store. `max_bytes` is 128 MiB by default.
    """
    side = _MAX_BLOCK_PX
    while side > 1 and table_bytes(side * side, layout) > (max_bytes or MAX_BLOCK_BYTES):
        side //= 2
    return side


def _probability_blocks(blocks: Iterable[PredictedBlock], head: Head) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    for block in blocks:
        values = np.full((block.window.rows, block.window.cols, len(head.classes_)), np.nan, np.float32)
        if block.probabilities is None:  # votes of a head without probabilities
            values[block.pixels] = block.classes[:, None] == head.classes_
        else:
            values[block.pixels] = block.probabilities
        yield block.window, values


def _reach(pixels: NDArray[np.bool_], rule: SmoothingRule | None) -> NDArray[np.bool_] | None:
    """Return the pixels on which smoothed values of `pixels` depend; None for all pixels of the scene."""
    from scipy.ndimage import maximum_filter

    if rule is None:
        return pixels
    if rule.reach_px is None:
        return None
    grown: NDArray[np.bool_] = maximum_filter(pixels, 2 * rule.reach_px + 1, mode="constant", cval=0)
    return grown


def _layout_of(head: Head) -> Layout:
    if head.layout is None:
        raise HeadError(
            f"this {type(head).__name__} has no layout, so it is unknown which columns to read from the store: "
            "make it with layout=table.layout"
        )
    return head.layout


def _class_dtype(head: Head) -> np.dtype[np.integer]:
    classes = head.classes_
    wrong = classes if classes.dtype.kind not in "iuf" else classes[classes < 1]
    if len(wrong):
        raise HeadError(
            "maps need classes that are whole numbers from 1, because 0 stands for pixels without data; found "
            f"{wrong.tolist()[0]!r}: fit the head to class numbers from 1"
        )
    # A small dtype saves memory: one byte per pixel of the map instead of the eight of NumPy's default integer.
    return np.min_scalar_type(int(classes.max()))
