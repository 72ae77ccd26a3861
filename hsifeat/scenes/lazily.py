"""Views of a cube on disk that turn its axes round or leave out bands; nothing is read until they are sliced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Cube


class Turned:
    """A cube with its axes in another order, for arrays on disk that can't be transposed without reading them.

    Parameters
    ----------
    source : array-like
        Takes slices and whole numbers, as h5py's and zarr's arrays do.
    axes : sequence of int
        ``np.transpose``'s: axis i of the view is axis ``axes[i]`` of the source.
    """

    def __init__(self, source: Cube, axes: Sequence[int]) -> None:
        self._source, self._axes = source, tuple(axes)
        self.dtype = np.dtype(source.dtype)
        self.shape = tuple(int(source.shape[axis]) for axis in self._axes)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block by slices and whole numbers."""
        wanted = _whole_key(key, len(self.shape))
        turned: list[slice | int] = [slice(None)] * len(self.shape)
        for axis, part in zip(self._axes, wanted, strict=True):
            turned[axis] = part
        values = np.asarray(self._source[tuple(turned)])
        # An axis taken by number is gone from what was read: the others keep their order.
        kept = [axis for axis, part in zip(self._axes, wanted, strict=True) if isinstance(part, slice)]
        there = sorted(kept)
        return values.transpose([there.index(axis) for axis in kept])


class Bands:
    """A cube (rows, cols, bands) with only some of its bands.

    Parameters
    ----------
    source : array-like of shape (rows, cols, all bands)
        What is seen.
    bands : sequence of int
        Which bands, from 0, in the order wanted.
    """

    def __init__(self, source: Cube, bands: Sequence[int]) -> None:
        self._source, self._bands = source, np.asarray(bands, np.intp)
        self.dtype = np.dtype(source.dtype)
        self.shape = (*source.shape[:2], len(self._bands))

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read a block by slices and whole numbers."""
        rows, cols, bands = _whole_key(key, 3)
        chosen = self._bands[bands]
        if isinstance(bands, int):
            return np.asarray(self._source[rows, cols, int(chosen)])
        return np.asarray(self._source[rows, cols, :])[..., chosen]


def _whole_key(key: Any, dimensions: int) -> tuple[slice | int, ...]:
    """Return a key of one slice or whole number for each dimension."""
    given = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in given:
        place = given.index(Ellipsis)
        given[place : place + 1] = [slice(None)] * (dimensions - len(given) + 1)
    given += [slice(None)] * (dimensions - len(given))
    return tuple(part if isinstance(part, slice) else int(part) for part in given)
