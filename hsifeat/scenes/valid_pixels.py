"""Mask of the valid pixels of a cube."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.blocks import blocks
from hsifeat.types import Cube


def valid_pixels(cube: Cube, nodata: Sequence[float] = ()) -> NDArray[np.bool_]:
    """Return the mask of the valid pixels of a cube.

    A pixel is invalid in each of these cases:

    - a band is NaN, infinite, or equal to a nonzero value of `nodata`
    - all bands are 0
    - all bands have the largest value of an integer dtype (saturation).

    A single band of 0 does not make a pixel invalid, even if `nodata` contains 0, because a valid pixel can be dark.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        Values, in memory or on disk, which are read block by block.
    nodata : sequence of float
        Values of missing data.

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
