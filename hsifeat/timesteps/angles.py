"""Spectral angles between pixels and a model's estimates of them, at each timestep.

DiffCRN (Zhu & Xu, arXiv:2502.19699) selects timesteps by spectral angle; its rule is not published in what could be read.
The measure in this module, and the rule in `hsifeat.timesteps.proposal`, are our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.projection import Projection
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.timesteps.scene_patches import TileSample

if TYPE_CHECKING:
    import torch

_TASK = "spectral angle"


@dataclass(frozen=True)
class SpectralAngles:
    """Mean spectral angles between pixels and a model's estimates of them.

    Attributes
    ----------
    degrees : (n,) float64 array
        Mean over pixels at each timestep, from 0 to 180.
    mean_pixel_degrees : float
        Mean angle, in degrees, between a pixel and the mean of all pixels: that of an estimate which does not depend on the
        pixel.
    space : {"bands", "channels", "latents"}
        Whether angles are between spectra, between channels of the projection, or between latents.
    """

    degrees: NDArray[np.float64]
    mean_pixel_degrees: float
    space: str


def spectral_angle(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the spectral angle ``arccos(<u, v> / (|u| |v|))`` in degrees.

    Parameters
    ----------
    one, other : (..., n) float arrays
        Vectors along the last axis; other axes broadcast. A vector that is zero or not finite has no direction, and its
        angle counts as 90 degrees.

    Returns
    -------
    (...) float64 array

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
    """Measure the mean spectral angle between pixels and a model's estimates of them, at each timestep.

    Parameters
    ----------
    backbone : Backbone
        A model that predicts noise, image or velocity, as its schedule says.
    projection : Projection
        Projection of the tiles. If it can be inverted, as PCA can, angles are between spectra: the change that the estimate
        makes to the channels is added to the clean spectrum, so that what the projection drops counts as correct. If it
        can't (clipped, as ``rgb`` is, or with a gamma), angles are between vectors of channels; for a backbone in latent
        space, between vectors of latents.
    tiles : sequence of TileSample
        Tiles, processed one by one.
    timesteps : sequence of int
        Training timesteps.
    seed : int
        Seed of the noise, which is the same at every timestep.
    device : str
        Device of the network.
    listen : callable
        Called with events.

    Returns
    -------
    SpectralAngles
        Means over the valid pixels of all tiles.

    Notes
    -----
    ``x0_hat = (x_t - sqrt(1 - abar_t) eps_theta(x_t, t)) / sqrt(abar_t)`` (Ho et al., "Denoising diffusion probabilistic
    models", NeurIPS 2020, eq. 15), or its equivalent for other predictions, see `NoiseSchedule.separate`.
    """
    import torch

    backbone.to(device)
    random = np.random.default_rng(seed)
    totals, pixels = np.zeros(len(timesteps)), 0
    clean_vectors: list[NDArray[np.float64]] = []
    listen(Started(_TASK, len(tiles) * len(timesteps), "passes"))
    space = "bands" if channels_to_bands(projection) is not None else "channels"
    for number, tile in enumerate(tiles):
        image = torch.from_numpy(tile.image[None]).to(device)
        clean = backbone.encode(image)
        if not (clean.shape == image.shape and torch.equal(clean, image)):
            space = "latents"
        noise = torch.from_numpy(random.standard_normal(tuple(clean.shape), dtype=np.float32)).to(device)
        vectors = _TileVectors.from_tile(tile, clean, projection, space)
        clean_vectors.append(vectors.clean)
        pixels += len(vectors.clean)
        for n, t in enumerate(timesteps):
            noised = backbone.schedule.add_noise(clean, noise, t)
            estimate, _ = backbone.schedule.separate(noised, backbone.predict(noised, t), t)
            totals[n] += spectral_angle(vectors.clean, vectors.estimated(estimate)).sum()
            listen(Advanced(_TASK, number * len(timesteps) + n + 1))
    listen(Finished(_TASK))
    every = np.concatenate(clean_vectors)
    mean_pixel_degrees = float(spectral_angle(every, every.mean(axis=0)).mean())
    return SpectralAngles(totals / pixels, mean_pixel_degrees, space)


def channels_to_bands(projection: Projection) -> NDArray[np.float64] | None:
    """Return the (channels, bands) float64 matrix that maps a change of channels to bands; None if there is none."""
    if projection.clip or projection.gamma != 1:
        return None
    weights = projection.weights.astype(np.float64)
    inverse = np.asarray(np.linalg.pinv(weights), np.float64)
    return inverse if np.allclose(inverse @ weights, np.eye(projection.channels), atol=1e-4) else None


@dataclass(frozen=True)
class _TileVectors:
    """Vectors of a tile, of its valid pixels or of its latent cells, between which angles are measured.

    Attributes
    ----------
    clean : (n, dimensions) float64 array
        The vectors: spectra, channels or latents.
    clean_channels : (n, channels) float64 array
        Channels or latents of the same pixels or cells.
    valid : bool array
        Which pixels or cells of the encoded tile are meant.
    to_bands : (channels, bands) float64 array or None
        See `channels_to_bands`.
    """

    clean: NDArray[np.float64]
    clean_channels: NDArray[np.float64]
    valid: NDArray[np.bool_]
    to_bands: NDArray[np.float64] | None

    @classmethod
    def from_tile(cls, tile: TileSample, encoded: torch.Tensor, projection: Projection, space: str) -> Self:
        # A cell of latents is valid if one of its pixels is.
        valid = tile.valid
        for axis, (cells, side) in enumerate(zip(encoded.shape[2:], tile.valid.shape, strict=True)):
            valid = np.logical_or.reduceat(valid, np.arange(cells) * side // cells, axis=axis)
        channels = _vectors(encoded, valid)
        if space == "bands":
            return cls(tile.spectra[tile.valid].astype(np.float64), channels, valid, channels_to_bands(projection))
        return cls(channels, channels, valid, None)

    def estimated(self, estimate: torch.Tensor) -> NDArray[np.float64]:
        """Return the vectors of the model's estimate of the encoded tile."""
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
