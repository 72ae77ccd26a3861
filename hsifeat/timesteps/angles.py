"""How far a model's estimate of the clean image turns the spectra away from what they are, at each timestep.

DiffCRN (Zhu & Xu, arXiv:2502.19699) selects timesteps by spectral angle; its rule is not published in what could be read.
What is measured here, and the rule made of it, are our own construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.projection import Projection
from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent
from hsifeat.timesteps.scene_patches import Tile

if TYPE_CHECKING:
    import torch

_TASK = "spectral angle"


@dataclass(frozen=True)
class Angles:
    """Angles between clean spectra and a model's estimates of them.

    Attributes
    ----------
    degrees : (n,) float64 array
        Mean over pixels at each timestep; 0 to 180.
    of_mean : float
        Mean angle, in degrees, between a pixel and the mean of all pixels: an estimate that knows nothing of the pixel.
    within : str
        Between what: ``bands``, ``channels`` of the projection, or ``latents``.
    """

    degrees: NDArray[np.float64]
    of_mean: float
    within: str


def angle(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the spectral angle ``arccos(<u, v> / (|u| |v|))`` in degrees, along the last axis.

    A vector of zeros, or one that is not finite, has no direction and counts as 90.

    >>> angle(np.array([1.0, 0]), np.array([[2, 0], [1, 1], [0, 0]])).round(3).tolist()
    [0.0, 45.0, 90.0]
    """
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    u, v = (np.where(np.isfinite(a).all(axis=-1, keepdims=True), a, 0).astype(np.float64) for a in (one, other))
    lengths = np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1)
    cosine = (u * v).sum(axis=-1) / np.where(lengths > 0, lengths, 1)
    degrees: NDArray[np.float64] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return degrees


def spectral_angles(
    backbone: Backbone,
    projection: Projection,
    tiles: Sequence[Tile],
    timesteps: Sequence[int],
    *,
    seed: int = 0,
    device: str = "cpu",
    listen: Listener = silent,
) -> Angles:
    """Measure the mean spectral angle between pixels and a model's estimate of them, at each timestep.

    Parameters
    ----------
    backbone : Backbone
        Predicts noise, image or velocity, as its schedule says.
    projection : Projection
        Behind which it sees the tiles. Where it can be undone, as PCA can, angles are between spectra: what the estimate
        changes in the channels is added to the clean spectrum, so that the part that the projection drops, which the
        model never saw, counts as right. Where it cannot (clipped, as ``rgb`` is, or bent by a gamma), angles are between
        vectors of channels; of a backbone in latent space, between vectors of latents.
    tiles : sequence of Tile
        Seen one by one.
    timesteps : sequence of int
        Which.
    seed : int
        Seed of the noise, which is the same at every timestep.
    device : str
        Where the network runs.
    listen : callable
        Gets events.

    Returns
    -------
    Angles
        Over the valid pixels of all tiles.

    Notes
    -----
    ``x0_hat = (x_t - sqrt(1 - abar_t) eps_theta(x_t, t)) / sqrt(abar_t)`` (Ho et al. 2020, eq. 15), or what follows for a
    model that predicts otherwise, see `NoiseSchedule.separate`.
    """
    import torch

    backbone.to(device)
    random = np.random.default_rng(seed)
    totals, of_mean, pixels = np.zeros(len(timesteps)), 0.0, 0
    clean_parts: list[NDArray[np.float64]] = []
    listen(Started(_TASK, len(tiles) * len(timesteps), "passes"))
    within = "bands" if undoes(projection) is not None else "channels"
    for number, tile in enumerate(tiles):
        image = torch.from_numpy(tile.image[None]).to(device)
        clean = backbone.encode(image)
        if not (clean.shape == image.shape and torch.equal(clean, image)):
            within = "latents"
        noise = torch.from_numpy(random.standard_normal(tuple(clean.shape), dtype=np.float32)).to(device)
        seen = _Seen.of(tile, clean, projection, within)
        clean_parts.append(seen.vectors)
        pixels += len(seen.vectors)
        for n, t in enumerate(timesteps):
            noised = backbone.schedule.add_noise(clean, noise, t)
            estimate, _ = backbone.schedule.separate(noised, backbone.predict(noised, t), t)
            totals[n] += angle(seen.vectors, seen.estimated(estimate)).sum()
            listen(Advanced(_TASK, number * len(timesteps) + n + 1))
    listen(Finished(_TASK))
    every = np.concatenate(clean_parts)
    of_mean = float(angle(every, every.mean(axis=0)).mean())
    return Angles(totals / pixels, of_mean, within)


def undoes(projection: Projection) -> NDArray[np.float64] | None:
    """Return the (channels, bands) matrix that takes a change of channels back to bands; None where there is none."""
    if projection.clip or projection.gamma != 1:
        return None
    weights = projection.weights.astype(np.float64)
    back = np.asarray(np.linalg.pinv(weights), np.float64)
    return back if np.allclose(back @ weights, np.eye(projection.channels), atol=1e-4) else None


@dataclass(frozen=True)
class _Seen:
    """The vectors of a tile between which angles are taken: of its valid pixels, or of its latent cells."""

    vectors: NDArray[np.float64]
    clean: NDArray[np.float64]
    chosen: NDArray[np.bool_]
    back: NDArray[np.float64] | None

    @classmethod
    def of(cls, tile: Tile, clean: torch.Tensor, projection: Projection, within: str) -> _Seen:
        # A cell of latents counts where one of its pixels is valid.
        chosen = tile.valid
        for axis, (cells, side) in enumerate(zip(clean.shape[2:], tile.valid.shape, strict=True)):
            chosen = np.logical_or.reduceat(chosen, np.arange(cells) * side // cells, axis=axis)
        channels = _vectors(clean, chosen)
        if within == "bands":
            return cls(tile.spectra[tile.valid].astype(np.float64), channels, chosen, undoes(projection))
        return cls(channels, channels, chosen, None)

    def estimated(self, estimate: torch.Tensor) -> NDArray[np.float64]:
        """Return the vectors as the model estimates them."""
        channels = _vectors(estimate, self.chosen)
        if self.back is None:
            return channels
        finite = np.isfinite(channels).all(axis=1)
        estimated = np.full_like(self.vectors, np.nan)
        estimated[finite] = self.vectors[finite] + (channels[finite] - self.clean[finite]) @ self.back
        return estimated


def _vectors(image: torch.Tensor, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    values: NDArray[np.float32] = image[0].cpu().numpy()
    return values.transpose(1, 2, 0)[chosen].astype(np.float64)
