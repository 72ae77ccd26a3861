"""Spectral angles between pixels without noise and the estimates of these pixels by a diffusion model, at each timestep.

DiffCRN (Zhu & Xu, arXiv:2502.19699) selects timesteps by spectral angle. We found no published description of this
selection. The measure in this module and the rule in `hsifeat.timesteps.proposal` are designs of hsifeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.exclusive import exclusive_use
from hsifeat.backbones.protocol import Backbone
from hsifeat.projection import Projection
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.timesteps.scene_patches import TileSample

if TYPE_CHECKING:
    import torch

_TASK = "spectral angle"


@dataclass(frozen=True)
class SpectralAngles:
    """Mean spectral angles between pixels without noise and the estimates of a model, at n timesteps.

    Attributes
    ----------
    degrees : (n,) float64 array
        Mean angle over all pixels at each timestep, in degrees from 0 to 180.
    mean_pixel_degrees : float
        Mean angle between each pixel and the mean of all pixels, in degrees. The mean of all pixels is the estimate of a
        model that knows nothing about a pixel.
    space : {"bands", "channels", "latents"}
        Vectors between which angles are measured: spectra, channels of the projection, or latents.
    """

    degrees: NDArray[np.float64]
    mean_pixel_degrees: float
    space: str


def spectral_angle(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the spectral angle ``arccos(<u, v> / (|u| |v|))`` in degrees.

    Parameters
    ----------
    one, other : (..., n) float arrays
        The vectors u (`one`) and v (`other`) along the last axis. The other axes are broadcast.

    Returns
    -------
    (...) float64 array
        Angles from 0 to 180. If one of two vectors is zero or not finite, their angle is 90.

    Notes
    -----
    Kruse et al., "The spectral image processing system (SIPS)", Remote Sensing of Environment 44, 1993.

    Examples
    --------
    >>> spectral_angle(np.array([1.0, 0]), np.array([[2, 0], [1, 1], [0, 0]])).round(3).tolist()
    [0.0, 45.0, 90.0]
    """
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    u, v = (np.where(np.isfinite(a).all(axis=-1, keepdims=True), a, 0).astype(np.float64) for a in (one, other))
    lengths = np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1)
    cosine = (u * v).sum(axis=-1) / np.where(lengths > 0, lengths, 1)
    degrees: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return degrees


def measure_angles(
    backbone: Backbone,
    projection: Projection,
    tiles: Sequence[TileSample],
    timesteps: Sequence[int],
    *,
    seed: int = 0,
    device: str = "cpu",
    listen: Listener = silent,
) -> SpectralAngles:
    """Measure the mean spectral angle between pixels without noise and the estimates of a model, at each timestep.

    Parameters
    ----------
    backbone : Backbone
        Diffusion model that predicts noise, images or velocities.
    projection : Projection
        Projection of the tiles to the input channels of the model.
    tiles : sequence of TileSample
        Tiles of the scene. They are processed one at a time.
    timesteps : sequence of int
        Training timesteps at which angles are measured.
    seed : int
        Seed of the noise. Each pixel has the same noise at all timesteps.
    device : str
        Device on which the network runs, such as ``cuda``.
    listen : callable
        Function that receives progress events.

    Returns
    -------
    SpectralAngles
        Mean angles over the valid pixels of all tiles.

    Notes
    -----
    If the projection can be inverted, for example PCA, angles are measured between spectra. The error of the estimated
    channels is mapped to bands. The estimated spectrum is the sum of this error and the spectrum without noise. The part of
    the spectrum that the projection drops is therefore the same in both spectra.

    A projection with clipping (``rgb``) or a gamma can't be inverted. In this case, angles are measured between vectors of
    channels. For a latent diffusion model, angles are measured between latents.

    The estimate is ``x0_hat = (x_t - sqrt(1 - abar_t) eps_theta(x_t, t)) / sqrt(abar_t)`` (Ho et al., "Denoising diffusion
    probabilistic models", NeurIPS 2020, eq. 15), or its equivalent for models that predict images or velocities
    (`NoiseSchedule.separate`). Here, ``eps_theta`` is the noise that the model predicts, and ``abar_t`` is element t of
    `NoiseSchedule.alphas_cumprod`.
    """
    import torch

    with exclusive_use(backbone):
        backbone.to(device)
    random = np.random.default_rng(seed)
    totals, pixels = np.zeros(len(timesteps)), 0
    clean_vectors: list[NDArray[np.float64]] = []
    listen(Started(_TASK, len(tiles) * len(timesteps), "passes"))
    space = "bands" if channels_to_bands(projection) is not None else "channels"
    for number, tile in enumerate(tiles):
        image = torch.from_numpy(tile.image[None]).to(device)
        with exclusive_use(backbone):
            clean = backbone.encode(image)
        if not (clean.shape == image.shape and torch.equal(clean, image)):
            space = "latents"
        noise = torch.from_numpy(random.standard_normal(tuple(clean.shape), dtype=np.float32)).to(device)
        vectors = _TileVectors.from_tile(tile, clean, projection, space)
        clean_vectors.append(vectors.clean)
        pixels += len(vectors.clean)
        for n, t in enumerate(timesteps):
            noised = backbone.schedule.add_noise(clean, noise, t)
            with exclusive_use(backbone):
                predicted = backbone.predict(noised, t)
            estimate, _ = backbone.schedule.separate(noised, predicted, t)
            totals[n] += spectral_angle(vectors.clean, vectors.estimated(estimate)).sum()
            listen(Advanced(_TASK, number * len(timesteps) + n + 1))
    listen(Finished(_TASK))
    pixel_vectors = np.concatenate(clean_vectors)
    mean_pixel_degrees = float(spectral_angle(pixel_vectors, pixel_vectors.mean(axis=0)).mean())
    return SpectralAngles(totals / pixels, mean_pixel_degrees, space)


def channels_to_bands(projection: Projection) -> NDArray[np.float64] | None:
    """Return the (channels, bands) float64 matrix that converts a difference of channels to a difference of bands.

    Return None if the projection can't be inverted.
    """
    if projection.clip or projection.gamma != 1:
        return None
    weights = projection.weights.astype(np.float64)
    inverse = np.asarray(np.linalg.pinv(weights), np.float64)
    return inverse if np.allclose(inverse @ weights, np.eye(projection.channels), atol=1e-4) else None


@dataclass(frozen=True)
class _TileVectors:
    """Vectors of the n valid pixels (or latent cells) of a tile, for the measurement of spectral angles.

    Attributes
    ----------
    clean : (n, dimensions) float64 array
        Spectra, channels or latents of the clean tile.
    clean_channels : (n, channels) float64 array
        Channels or latents of the clean tile.
    valid : (rows, cols) bool array
        Valid pixels or latent cells of the encoded tile.
    to_bands : (channels, bands) float64 array or None
        Result of `channels_to_bands` if `clean` contains spectra; otherwise None.
    """

    clean: NDArray[np.float64]
    clean_channels: NDArray[np.float64]
    valid: NDArray[np.bool_]
    to_bands: NDArray[np.float64] | None

    @classmethod
    def from_tile(cls, tile: TileSample, encoded: torch.Tensor, projection: Projection, space: str) -> Self:
        # A latent cell is valid if at least one of its pixels is valid.
        valid = tile.valid
        for axis, (cells, side) in enumerate(zip(encoded.shape[2:], tile.valid.shape, strict=True)):
            valid = np.logical_or.reduceat(valid, np.arange(cells) * side // cells, axis=axis)
        channels = _vectors(encoded, valid)
        if space == "bands":
            return cls(tile.spectra[tile.valid].astype(np.float64), channels, valid, channels_to_bands(projection))
        return cls(channels, channels, valid, None)

    def estimated(self, estimate: torch.Tensor) -> NDArray[np.float64]:
        """Convert the model's estimate of the tile to vectors of the same kind and shape as `clean`."""
        channels = _vectors(estimate, self.valid)
        if self.to_bands is None:
            return channels
        finite = np.isfinite(channels).all(axis=1)
        estimated = np.full_like(self.clean, np.nan)
        estimated[finite] = self.clean[finite] + (channels[finite] - self.clean_channels[finite]) @ self.to_bands
        return estimated


def _vectors(image: torch.Tensor, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    values: NDArray[np.float32] = image[0].cpu().numpy()
    return values.transpose(1, 2, 0)[valid].astype(np.float64)
