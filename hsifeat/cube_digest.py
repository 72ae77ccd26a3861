"""Digest of the values of a cube. It identifies the scene in the key of a store."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hsifeat.errors import SceneError


class CubeDigest:
    """SHA-256 digest of the shape, dtype, values and valid pixels of a cube. The byte order of the dtype does not affect it.

    Parameters
    ----------
    shape : tuple of int
        Number of rows, columns and bands.
    dtype : dtype-like
        Data type of the values.

    Examples
    --------
    >>> cube = np.arange(24, dtype=np.uint16).reshape(2, 4, 3)
    >>> whole, parts = CubeDigest(cube.shape, cube.dtype), CubeDigest(cube.shape, cube.dtype)
    >>> whole.add(cube)
    >>> for row in cube:
    ...     parts.add(row)
    >>> valid = np.ones((2, 4), bool)
    >>> whole.hexdigest(valid) == parts.hexdigest(valid)
    True
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype).newbyteorder("<")
        rows, cols, bands = map(int, shape)
        self._digest = hashlib.sha256(f"{rows},{cols},{bands},{self._dtype.str};".encode())

    def add(self, values: NDArray[Any]) -> None:
        """Add the next values of the cube in row-major order: a (rows, cols, bands) or (cols, bands) array of a real dtype."""
        self._digest.update(np.ascontiguousarray(values, dtype=self._dtype).data)

    def hexdigest(self, valid: NDArray[np.bool_]) -> str:
        """Return the digest as 64 hexadecimal digits, after all values were added.

        `valid` is the mask of the valid pixels, a (rows, cols) bool array.
        """
        digest = self._digest.copy()
        digest.update(np.packbits(valid).data)
        return digest.hexdigest()


def changed_scene_error(name: str) -> SceneError:
    """Return the error for a scene whose values or mask no longer have the digest that they had. `name` is its name."""
    return SceneError(
        f"{name}: the values of the scene have changed since it was opened: open the file again, or make a new Scene from the "
        "changed array"
    )
