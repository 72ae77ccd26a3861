"""Mask of the pixels of a cube that hold data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.blocks import blocks
from hsifeat.types import Cube


def valid_pixels(cube: Cube, nodata: Sequence[float] = ()) -> NDArray[np.bool_]:
    """Return a mask of the pixels that hold data, read block by block.

    A pixel is invalid if a band is not finite or holds a nodata value, if all bands are zero, or if all bands of an integer
    cube hold the largest value of its dtype (saturated). A nodata value of 0 needs all bands to be zero, since a single band
    may well be dark.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        Values, in memory or on disk.
    nodata : sequence of float
        Values that stand for missing data.

    Returns
    -------
    (rows, cols) bool array

    Examples
    --------
    >>> valid_pixels(np.array([[[1, 2], [0, 0], [7, -1]]]), nodata=[-1]).tolist()
    [[True, False, False]]
    """
    rows, cols, bands = (int(side) for side in cube.shape)
    dtype = np.dtype(cube.dtype)
    saturation = int(np.iinfo(dtype).max) if dtype.kind in "iu" else None
    mask = np.empty((rows, cols), dtype=bool)
    for block in blocks(rows, cols, bands):
        values = np.asarray(cube[block.slices])
        valid = np.isfinite(values).all(axis=2) & (values != 0).any(axis=2)
        for value in nodata:
            if value != 0:
                valid &= (values != value).all(axis=2)
        if saturation is not None:
            valid &= (values != saturation).any(axis=2)
        mask[block.slices] = valid
    return mask
