"""Image that guides a smoothing rule: the first principal components of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.features.features import Features
from hsifeat.projection.fit import fit_projection
from hsifeat.projection.projection import Projection
from hsifeat.types import Cube, Window

_COMPONENTS = 3
# Components are clipped at this multiple of the standard deviation of the first, so that edges of outliers don't outweigh
# all others.
_CLIP = 3.0


@dataclass(frozen=True, eq=False)
class SceneGuide:
    """First three principal components of a scene, in units of the standard deviation of the first component.

    Values are clipped to ±3, so that edges of outliers don't outweigh all others. Outliers still increase the standard
    deviation, see `notes`. Edges between pixels that are clipped to the same value are lost. If `fit_projection` finds fewer
    than three significant components, the guide has fewer than three channels.

    Attributes
    ----------
    cube : array-like of shape (rows, cols, bands)
        Stored values of the scene.
    valid : (rows, cols) bool array
        Valid pixels; the guide is 0 at other pixels.
    projection : Projection or None
        The fitted components; None if all valid pixels are equal.
    """

    cube: Cube
    valid: NDArray[np.bool_]
    projection: Projection | None

    @classmethod
    def from_features(cls, features: Features) -> Self:
        """Fit the principal components on the valid pixels of the scene of a store."""
        scene, projection = features.scene, None
        for count in range(min(_COMPONENTS, scene.bands), 0, -1):
            try:
                projection = fit_projection(f"pca:{count}", scene)
                break
            except ProjectionError:  # the scene has fewer significant components
                continue
        return cls(scene.cube, features.valid, projection)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the pixels of the scene, such as a pixel that has most of the variance."""
        return () if self.projection is None else self.projection.notes

    def read(self, window: Window) -> NDArray[np.float64]:
        """Return the guide in a window of the scene, as a (rows, cols, channels) float64 array.

        A pixel has bit-identical values in all windows that contain it.
        """
        if self.projection is None:
            return np.zeros((window.rows, window.cols, 1))
        weights = self.projection.weights.astype(np.float64)
        # The variance of each channel is 1; the norm of its weights is the inverse standard deviation of the component.
        norms = np.linalg.norm(weights, axis=0)
        scales = norms.min() / norms
        spectra = np.asarray(self.cube[window.slices])
        valid = self.valid[window.slices]
        channels = np.tile(self.projection.offset.astype(np.float64), (window.rows, window.cols, 1))
        # The sum runs band by band, since the last bits of a matrix product depend on the number of rows.
        for band, weight in enumerate(weights):
            channels += np.where(valid, spectra[..., band], 0).astype(np.float64)[..., None] * weight
        return np.asarray(np.clip(channels * scales, -_CLIP, _CLIP) * valid[..., None], np.float64)
