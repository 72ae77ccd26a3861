"""A scene behind a projection: an array of model channels, computed block by block when it is sliced."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.projection.projection import Projection
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.blocks import blocks
from hsifeat.types import Cube


class ProjectedScene(ArrayView):
    """The channels of a cube behind a projection, (rows, cols, channels) float32, projected when they are sliced.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        Values as the scene delivers them, in memory or on disk; only the rows and columns of a slice are read.
    projection : Projection
        From the cube's bands to the channels of the model.
    valid : (rows, cols) bool array, optional
        Pixels that keep their channels; all others are 0. By default the pixels whose bands are all finite.

    Examples
    --------
    >>> from hsifeat.projection.projection import Projection
    >>> mean = Projection("mean", np.full((4, 1), 0.25, np.float32), np.zeros(1, np.float32), clip=False)
    >>> channels = ProjectedScene(np.ones((3, 5, 4), np.float32), mean)
    >>> channels.shape, float(channels[0, 0, 0])
    ((3, 5, 1), 1.0)
    """

    def __init__(self, cube: Cube, projection: Projection, valid: NDArray[np.bool_] | None = None) -> None:
        rows, cols, bands = (int(size) for size in cube.shape)
        first = next(blocks(rows, cols, bands))
        super().__init__((rows, cols, projection.channels), np.float32, (first.rows, first.cols, projection.channels))
        self.cube, self.projection, self.valid = cube, projection, valid

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        rows, cols, channels = as_slices(parts)
        spectra = np.asarray(self.cube[rows, cols])
        projected = self.projection.apply(spectra)
        valid = np.isfinite(spectra).all(axis=-1) if self.valid is None else self.valid[rows, cols]
        projected[~valid] = 0
        return projected[..., channels]
