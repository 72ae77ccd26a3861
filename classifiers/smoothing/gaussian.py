"""The smoothing rule ``gaussian:SIGMA``: a Gaussian filter (standard deviation: SIGMA pixels) of class probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.smoothing.rule import ProbabilityTile, SmoothingRule, normalise

# The Gaussian is cut off at this multiple of its standard deviation.
_TRUNCATE = 4.0
_MAX_SIGMA_PX = 64


@dataclass(frozen=True)
class GaussianSmoothing(SmoothingRule):
    """Gaussian mean of the class probabilities of valid pixels: normalised convolution (Knutsson and Westin, CVPR 1993).

    The rule does not use the spectra of the scene. It therefore also blurs boundaries between fields, and it removes
    objects that are smaller than about `sigma` pixels.

    Attributes
    ----------
    sigma : float
        Standard deviation in pixels.
    """

    sigma: float
    name: ClassVar[str] = "gaussian"
    form: ClassVar[str] = "gaussian:SIGMA"

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Return the rule whose standard deviation, in pixels, is the number in `argument`, such as ``1.5``."""
        return cls(cls._number(argument, 0.1, _MAX_SIGMA_PX))

    @property
    def text(self) -> str:
        """Value of ``--smooth`` that selects this rule."""
        return f"{self.name}:{self.sigma:g}"

    @property
    def reach_px(self) -> int:
        """Radius of the truncated Gaussian in pixels."""
        return int(_TRUNCATE * self.sigma + 0.5)

    def smooth(self, tile: ProbabilityTile) -> NDArray[np.float64]:
        """Return the Gaussian mean of the probabilities of valid pixels; see `SmoothingRule.smooth`."""
        from scipy.ndimage import gaussian_filter

        # Dividing by the blurred mask cancels in the normalisation, because the probabilities of a valid pixel sum to 1.
        return normalise(
            gaussian_filter(tile.probabilities, self.sigma, mode="constant", truncate=_TRUNCATE, axes=(0, 1))
        )
