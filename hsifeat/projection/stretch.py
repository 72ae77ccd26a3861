"""Projections that scale each selected band from percentiles of its values to the range -1 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.projection.projection import Projection
from hsifeat.projection.rgb import is_constant
from hsifeat.projection.spec import ProjectionSpec


def scale_bands(
    name: str, spec: ProjectionSpec, bands: tuple[int, ...], count: int, samples: NDArray[np.floating]
) -> Projection:
    """Return the projection of `bands` out of `count` that maps percentiles of `samples` (n, bands) to -1 and 1."""
    weights = np.zeros((count, len(bands)))
    offset = np.empty(len(bands))
    joint = np.percentile(samples, spec.percentiles) if spec.joint else None
    for channel, (band, values) in enumerate(zip(bands, samples.T, strict=True)):
        low, high = np.percentile(values, spec.percentiles) if joint is None else joint
        # A constant band has no contrast, and its channel is 0.
        scale = 0.0 if is_constant(low, high) else 2 / (high - low)
        weights[band, channel], offset[channel] = scale, -1 - scale * low if scale else 0
    return affine(name, weights, offset, clip=True, gamma=spec.gamma)


def affine(
    spec: str, weights: NDArray[np.float64], offset: NDArray[np.float64], *, clip: bool = False, gamma: float = 1.0
) -> Projection:
    """Return a projection with float32 weights (bands, channels) and offset (channels,)."""
    # The last bits of float64 results depend on the linear algebra library. Rounding to float32 removes this dependence from
    # cache keys.
    linear, constant = (np.ascontiguousarray(values, np.float32) for values in (weights, offset))
    return Projection(spec, linear, constant, clip, gamma)
