"""Masks of scenes: in memory, or in a temporary file that is mapped into memory if the scene is large."""

from __future__ import annotations

import os
import tempfile
from math import prod

import numpy as np
from numpy.typing import NDArray

_MAX_PIXELS_IN_MEMORY = 2**21


def empty_mask(rows: int, cols: int) -> NDArray[np.bool_]:
    """Return a mask whose values are not set yet.

    The mask of a scene with more than 2**21 pixels lies in a temporary file. The operating system can then free its
    memory at any time. The file has no name and disappears with the array. If the file can't be written, for example
    because the disk is full, the mask lies in memory.

    Parameters
    ----------
    rows, cols : int
        Shape of the scene.

    Returns
    -------
    (rows, cols) bool array

    Examples
    --------
    >>> empty_mask(2, 3).shape
    (2, 3)
    """
    shape = rows, cols
    if prod(shape) <= _MAX_PIXELS_IN_MEMORY:
        return np.empty(shape, bool)
    try:
        with tempfile.TemporaryFile(prefix="hsifeat-") as file:
            file.truncate(prod(shape))
            # Writing to a memory map on a full disk kills the process, so the disk space is reserved first.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, prod(shape))
            return np.asarray(np.memmap(file, bool, "r+", shape=shape))
    except OSError:
        return np.empty(shape, bool)
