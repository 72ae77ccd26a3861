"""Euclidean distances in pixels between training and test pixels, in one or several scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import SplitDraw
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.types import Window

# Approximate number of pixels for which distances are computed at once.
_STRIP_PIXELS = 2**18
# Number of values kept in memory for each test pixel of a block.
_VALUES_PER_PIXEL = 8


def drop_near(
    pixels: NDArray[np.bool_], others: NDArray[np.bool_], distance_px: int, scenes: Sequence[Window] = ()
) -> NDArray[np.bool_]:
    """Return the mask `pixels` without pixels that are at most `distance_px` away from a pixel of `others`.

    Parameters
    ----------
    pixels, others : (rows, cols) bool arrays
        Mask of the pixels to select from, and mask of the pixels whose surroundings are dropped.
    distance_px : int
        Pixels up to this distance are dropped. The distance is Euclidean, between pixel centres.
    scenes : sequence of Window, optional
        Window of each scene in the grid, see `Labels.windows`. Pixels of different scenes are never near each other.
        [default: the whole grid is one scene]

    Returns
    -------
    (rows, cols) bool array
        The pixels of `pixels` whose distance from all pixels of `others` exceeds `distance_px`.

    Examples
    --------
    >>> pixels, others = np.ones((1, 6), bool), np.array([[1, 0, 0, 0, 0, 0]], bool)
    >>> drop_near(pixels, others, 2).astype(int)
    array([[0, 0, 0, 1, 1, 1]])
    """
    from scipy.ndimage import distance_transform_edt

    if not distance_px:
        return pixels & ~others
    clear = pixels.copy()
    height = max(_STRIP_PIXELS // pixels.shape[1], distance_px)
    for scene in scenes or [Window(0, 0, *pixels.shape)]:
        begin, end = scene.row, scene.row + scene.rows
        for top in range(begin, end, height):
            stop = min(top + height, end)
            first = max(top - distance_px, begin)
            near = others[first : min(stop + distance_px, end)]
            if near.any():
                far = distance_transform_edt(~near) > distance_px
                clear[top:stop] &= far[top - first : stop - first]
    return clear


def training_distances(draw: SplitDraw, scenes: Sequence[Window] = ()) -> NDArray[np.float64]:
    """Return the distance from each test pixel to the nearest training pixel in the same scene.

    Parameters
    ----------
    draw : SplitDraw
        Training and test pixels.
    scenes : sequence of Window, optional
        Window of each scene in the grid, see `Labels.windows`. [default: the whole grid is one scene]

    Returns
    -------
    (n,) float64 array
        Exact Euclidean distance between pixel centres, in pixels, for the test pixels in row-major order. The distance is
        infinite in a scene without training pixels.

    Examples
    --------
    >>> train, test = np.array([[1, 0, 0, 0]], bool), np.array([[0, 1, 0, 1]], bool)
    >>> training_distances(SplitDraw.from_masks(train, test))
    array([1., 3.])
    """
    from scipy.spatial import cKDTree

    train, test = draw.train, draw.test
    parts = []
    for scene in scenes or [Window(0, 0, *draw.shape)]:
        at = np.argwhere(train[scene.slices])
        tree = cKDTree(at) if len(at) else None
        for block in blocks(scene.rows, scene.cols, depth=_VALUES_PER_PIXEL):
            pixels = np.argwhere(test[scene.slices][block.slices]) + np.array([block.row, block.col])
            parts.append(np.full(len(pixels), np.inf) if tree is None else tree.query(pixels)[0])
    return np.concatenate(parts)
