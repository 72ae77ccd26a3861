"""Smooth the class probabilities of a scene tile by tile, while blocks of the scene are predicted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from classifiers.smoothing.guide import SceneGuide
from classifiers.smoothing.rule import ProbabilityTile, SmoothingRule
from classifiers.smoothing.rules import parse_smoothing
from hsifeat.errors import HsifeatError
from hsifeat.formatting import format_bytes
from hsifeat.runtime.events import Finished, Listener, Started, silent
from hsifeat.runtime.resources import available_bytes
from hsifeat.types import Window

# Side of the tiles of rules with finite reach, without the margin.
_TILE_PX = 128

Blocks = Iterable[tuple[Window, NDArray[np.float32]]]


def smooth_blocks(
    blocks: Blocks,
    rule: SmoothingRule,
    shape: tuple[int, int],
    guide: SceneGuide | None = None,
    listen: Listener = silent,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Smooth the class probabilities of a scene.

    If `rule.reach_px` is a number, the function keeps only some rows in memory: the 128 rows of a tile,
    `rule.reach_px` rows above it, and as many below it. If `rule.reach_px` is None, the function keeps the whole scene
    in memory.

    Parameters
    ----------
    blocks : iterable of (Window, (rows, cols, C) float32 array)
        Class probabilities of the windows of a scene, in row-major order; NaN at invalid pixels. Windows with the same
        first row have the same height.
    rule : SmoothingRule
        Smoothing rule.
    shape : tuple of int
        Rows and columns of the scene.
    guide : SceneGuide, optional
        Image that guides the smoothing, for rules that need one.
    listen : callable
        Callback for notes on the smoothing, and for progress events. Progress is sent only if `rule.reach_px` is None.

    Yields
    ------
    (Window, (rows, cols, C) float32 array)
        Smoothed probabilities of windows that cover the scene; NaN at invalid pixels. The values do not depend on how
        `blocks` divides the scene.
    """
    rows, cols = shape
    whole = rule.reach_px is None
    reach = max(shape) if rule.reach_px is None else rule.reach_px
    side = max(shape) if whole else _TILE_PX
    strips = _full_strips(blocks, cols)
    first, buffer = 0, None
    for top in range(0, rows, side):
        stop = min(top + side, rows)
        kept, needed = max(top - reach, 0), min(stop + reach, rows)
        parts: list[NDArray[np.float32]] = [] if buffer is None else [buffer[kept - first :]]
        filled = kept + sum(len(part) for part in parts)
        while filled < needed:
            parts.append(next(strips))
            filled += len(parts[-1])
        first, buffer = kept, np.concatenate(parts)
        if whole:
            listen(Started("smoothing", rows * cols, "pixels"))
        for left in range(0, cols, side):
            window = Window(top, left, stop - top, min(side, cols - left))
            outer = Window(kept, left - reach, needed - kept, window.cols + 2 * reach).clip(rows, cols)
            yield window, _smooth_tile(buffer[: needed - kept, outer.slices[1]], rule, window, outer, guide, listen)
        if whole:
            listen(Finished("smoothing"))


def parse_scene_smoothing(text: str | None, shape: tuple[int, int], classes: int) -> SmoothingRule | None:
    """Parse a smoothing rule, and check that the smoothing of a scene fits in memory.

    Parameters
    ----------
    text : str or None
        The rule, see `parse_smoothing`; None for no smoothing.
    shape : tuple of int
        Rows and columns of the scene.
    classes : int
        Number of classes.

    Returns
    -------
    SmoothingRule or None
        The rule; None for no smoothing.

    Raises
    ------
    HsifeatError
        If the rule is unknown, if its argument is wrong, or if the available memory is too small.
    """
    rule = None if text is None else parse_smoothing(text)
    if rule is not None:
        check_memory(rule, shape, classes)
    return rule


def check_memory(rule: SmoothingRule, shape: tuple[int, int], classes: int) -> None:
    """Raise `HsifeatError` if the smoothing of a scene does not fit in the available memory.

    Parameters
    ----------
    rule : SmoothingRule
        Smoothing rule.
    shape : tuple of int
        Rows and columns of the scene.
    classes : int
        Number of classes.
    """
    rows, cols = shape
    needed = smoothing_bytes(rule, shape, classes)
    available = available_bytes()
    if needed > available:
        advice = (
            "the rule needs the whole scene at once: use gaussian, guided or mrf, which work tile by tile, or `smooth='none'`"
            if rule.reach_px is None
            else "use a rule with a smaller reach, or `smooth='none'`"
        )
        raise HsifeatError(
            f"smoothing {rows} x {cols} pixels of {classes} classes by {rule.text} takes about {format_bytes(needed)}, and "
            f"{format_bytes(available)} of memory are free: {advice}"
        )


def smoothing_bytes(rule: SmoothingRule, shape: tuple[int, int], classes: int) -> int:
    """Return the peak memory of the smoothing of a scene in bytes. For the parameters, see `check_memory`."""
    rows, cols = shape
    if rule.reach_px is None:
        kept_rows, tile_pixels = rows, rows * cols
    else:
        kept_rows, tile_pixels = min(rows, 2 * _TILE_PX + 2 * rule.reach_px), (_TILE_PX + 2 * rule.reach_px) ** 2
    # Two copies of the kept rows, because the buffer is copied when rows are added.
    return 8 * kept_rows * cols * classes + rule.working_bytes(tile_pixels, classes)


def _full_strips(blocks: Blocks, cols: int) -> Iterator[NDArray[np.float32]]:
    """Join blocks that have the same rows into (rows, cols, C) arrays as wide as the scene."""
    for _, group in groupby(blocks, key=lambda block: block[0].row):
        strip = None
        for window, values in group:
            if strip is None:
                strip = np.empty((window.rows, cols, values.shape[-1]), np.float32)
            strip[:, window.slices[1]] = values
        if strip is not None:
            yield strip


def _smooth_tile(
    values: NDArray[np.float32],
    rule: SmoothingRule,
    window: Window,
    outer: Window,
    guide: SceneGuide | None,
    listen: Listener,
) -> NDArray[np.float32]:
    """Smooth `values`, the probabilities in the window `outer`. Return the part in `window`, a window inside `outer`."""
    valid = ~np.isnan(values[..., 0])
    inner = Window(window.row - outer.row, window.col - outer.col, window.rows, window.cols).slices
    if not valid[inner].any():
        return values[inner].copy()
    image = guide.read(outer) * valid[..., None] if rule.guided and guide is not None else None
    probabilities = np.where(valid[..., None], values, 0).astype(np.float64)
    smoothed = rule.smooth(ProbabilityTile(probabilities, valid, image, outer.row, outer.col, listen))
    return np.where(valid[..., None], smoothed, np.nan)[inner].astype(np.float32)
