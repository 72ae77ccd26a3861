"""Projections that map two percentiles of each selected band to -1 and 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import ProjectionError
from hsifeat.projection.projection import Projection
from hsifeat.projection.rgb import is_constant
from hsifeat.projection.spec import ProjectionSpec


def scale_bands(
    name: str, spec: ProjectionSpec, bands: tuple[int, ...], count: int, samples: NDArray[np.floating]
) -> Projection:
    """Return a projection that maps two percentiles of each selected band to -1 and 1.

    Parameters
    ----------
    name : str
        Text form of the projection, which becomes `Projection.spec`.
    spec : ProjectionSpec
        Percentiles, gamma, and whether the percentiles are computed from all selected bands together.
    bands : tuple of int
        Selected bands, one per channel.
    count : int
        Number of bands of the scene.
    samples : (n, k) floating-point array
        Values of some pixels in the k selected bands.
    """
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
    """Return a projection whose weights and offset are rounded to float32.

    Parameters
    ----------
    spec : str
        Text form of the projection.
    weights : (bands, channels) float64 array
        Weight of each band in each channel.
    offset : (channels,) float64 array
        Constant that is added to each channel.
    clip : bool
        Whether values are clipped to the range -1 to 1.
    gamma : float
        Exponent of the gamma correction; 1 for none.

    Raises
    ------
    ProjectionError
        If a weight or the offset is beyond the range of float32.
    """
    # The last bits of float64 results depend on the linear algebra library. Rounding to float32 removes this dependence from
    # cache keys.
    with np.errstate(over="ignore"):
        linear, constant = (np.ascontiguousarray(values, np.float32) for values in (weights, offset))
    if not (np.isfinite(linear).all() and np.isfinite(constant).all()):
        raise ProjectionError(
            f"{spec}: the values of the scene vary by too little for numbers of float32: multiply them, so that they are near 1"
        )
    return Projection(spec, linear, constant, clip, gamma)
