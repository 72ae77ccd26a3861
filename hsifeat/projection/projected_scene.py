"""Lazy array of the projected channels of a scene. Indexing the array computes the indexed channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.projection.projection import Projection
from hsifeat.scenes.array_views import ArrayView, AxisIndex, as_slices
from hsifeat.scenes.scene_blocks import blocks
from hsifeat.types import Cube


class ProjectedScene(ArrayView):
    """Lazy (rows, cols, channels) float32 array of the projected channels of a cube.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        Stored values of a scene, in memory or on disk. Indexing reads only the indexed rows and columns.
    projection : Projection
        Projection from the bands of the cube to the channels of a backbone.
    valid : (rows, cols) bool array, optional
        Mask of the valid pixels; the channels of all other pixels are 0. [default: the pixels whose bands are all finite]

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
