"""The smoothing rule ``guided:RADIUS[,EPS]``: a filter of class probabilities that follows the edges of the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.smoothing.rule import ProbabilityTile, SmoothingRule, normalise
from hsifeat.errors import HsifeatError

_MAX_RADIUS_PX = 64
_DEFAULT_EPSILON = 0.01


@dataclass(frozen=True)
class GuidedSmoothing(SmoothingRule):
    """Guided filter (He, Sun and Tang, ECCV 2010) of the class probabilities, with the scene's principal components as guide.

    The filter moves a square window over the scene. In each window, a ridge regression predicts the probability of a
    class from the guide. A pixel gets the mean prediction of all windows that contain it. Edges in the guide therefore
    remain edges in the map. Each window is centred on a valid pixel. Invalid pixels in a window are ignored.

    Attributes
    ----------
    radius : int
        Radius of a window in pixels. The side of a window is ``2 * radius + 1`` pixels.
    epsilon : float
        Ridge penalty. In windows in which the variance of the guide is well below this value, the probabilities are
        averaged. The unit is the variance of the scene's first principal component.
    """

    radius: int
    epsilon: float = _DEFAULT_EPSILON
    name: ClassVar[str] = "guided"
    form: ClassVar[str] = "guided:RADIUS[,EPS]"
    guided: ClassVar[bool] = True

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Return the rule for `argument`, which is ``RADIUS`` or ``RADIUS,EPS``: a radius in pixels and a ridge penalty.

        Raises
        ------
        HsifeatError
            If the argument has another form, or a number is out of range.
        """
        radius, *epsilon = argument.split(",")
        if len(epsilon) > 1:
            raise HsifeatError(f"smoothing {cls.form} takes a radius and a penalty; found {argument!r}")
        return cls(
            cls._whole(radius, 1, _MAX_RADIUS_PX),
            cls._number(epsilon[0], 1e-6, 1e6) if epsilon else _DEFAULT_EPSILON,
        )

    @property
    def text(self) -> str:
        """Value of ``--smooth`` that selects this rule."""
        return f"{self.name}:{self.radius},{self.epsilon:g}"

    @property
    def reach_px(self) -> int:
        """Twice the radius, because a pixel affects all pixels of all windows that contain it."""
        return 2 * self.radius

    def smooth(self, tile: ProbabilityTile) -> NDArray[np.float64]:
        """Return the filtered probabilities, clipped to non-negative values; see `SmoothingRule.smooth`."""
        p, guide = tile.probabilities, tile.image  # (rows, cols, C) and (rows, cols, K), 0 at invalid pixels
        valid = tile.valid[..., None].astype(np.float64)
        pixels = np.maximum(self._box(valid), 1)

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return self._box(values) / pixels

        mean_guide, mean_p = mean(guide), mean(p)
        channels = guide.shape[-1]
        covariance = np.empty((*tile.valid.shape, channels, channels))
        joint = np.empty((*tile.valid.shape, channels, p.shape[-1]))
        for k in range(channels):
            joint[..., k, :] = mean(guide[..., k, None] * p) - mean_guide[..., k, None] * mean_p
            covariance[..., k, :] = mean(guide[..., k, None] * guide) - mean_guide[..., k, None] * mean_guide
        # Equations 5 and 6 for one channel; for several channels, the ridge regression of section 3.5 (colour guide).
        penalised = covariance + self.epsilon * np.eye(channels)
        slope = np.asarray(np.linalg.solve(penalised, joint), np.float64)  # (rows, cols, K, C)
        intercept = mean_p - _weighted_sum(mean_guide, slope)
        # Equation 8.
        slope = mean((slope * valid[..., None]).reshape(*tile.valid.shape, -1)).reshape(slope.shape)
        return normalise(np.maximum(_weighted_sum(guide, slope) + mean(intercept * valid), 0) * valid)

    def _box(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values (rows, cols, channels) over the window around each pixel.

        Each sum is computed separately, because the last bits of a running sum would depend on the position of the
        tile.
        """
        from scipy.ndimage import correlate1d

        ones = np.ones(2 * self.radius + 1)
        return np.asarray(
            correlate1d(correlate1d(values, ones, axis=0, mode="constant"), ones, axis=1, mode="constant"), np.float64
        )

    def working_bytes(self, pixels: int, classes: int) -> int:
        """Return the memory, in bytes, that `smooth` needs for a tile with a guide of three channels."""
        return 8 * pixels * (16 * classes + 40)


def _weighted_sum(guide: NDArray[np.float64], slope: NDArray[np.floating]) -> NDArray[np.float64]:
    """Multiply `guide` (rows, cols, K) by `slope` (rows, cols, K, C), and return the sum over the K channels."""
    total = np.zeros((*guide.shape[:-1], slope.shape[-1]))
    for k in range(guide.shape[-1]):
        total += guide[..., k, None] * slope[..., k, :]
    return total
