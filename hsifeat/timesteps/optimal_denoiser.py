"""The optimal denoiser of a finite set of patches, and its similarity between timesteps; needs no network.

Formulas are from Zhang et al., "Improving training efficiency of diffusion models via multi-stage framework and
tailored multi-decoder architecture", CVPR 2024, arXiv:2312.09181.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, softmax

from hsifeat.runtime.events import Advanced, Finished, Listener, Started, silent

# Posterior weights in memory at a time: 2 MB.
_WEIGHTS_PER_BLOCK = 2**18
_TASK = "optimal denoiser"


@dataclass(frozen=True)
class OptimalDenoiser:
    """The noise that an ideal network, trained forever on these patches alone, would predict.

    Attributes
    ----------
    patches : (N, D) float64 array
        ``y_i``.
    alphas_cumprod : (T,) array
        ``abar_t`` of a variance-preserving schedule: the paper's ``s_t`` is ``sqrt(abar_t)``, its ``s_t sigma_t`` is
        ``sqrt(1 - abar_t)``.

    Notes
    -----
    With few patches of many values each patch is isolated: below some t the posterior contains a single patch, and the
    denoiser is the same for all such t, which says nothing about a network. `DenoiserSimilarity.neighbours` shows this.
    """

    patches: NDArray[np.float64]
    alphas_cumprod: NDArray[np.floating]

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        squares: NDArray[np.float64] = np.square(self.patches).sum(axis=1)
        return squares

    def scales(self, t: int | NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``s_t`` and ``s_t sigma_t`` for one or n timesteps, (1 or n, 1) float64 arrays."""
        abar = np.asarray(self.alphas_cumprod, np.float64)[np.atleast_1d(t), None]
        # The limit, for a schedule that begins without any noise.
        return np.sqrt(abar), np.sqrt(np.maximum(1 - abar, 1e-12))

    def posterior(self, noised: NDArray[np.float64], t: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the posterior probability of each patch given a noised one: the weights of the sums in eq. 4.

        Parameters
        ----------
        noised : (n, D) float64 array
            ``x``.
        t : int or (n,) int array
            One timestep, or one per row.

        Returns
        -------
        (n, N) float64 array
            ``N(x; s_t y_i, s_t^2 sigma_t^2 I)``, normalised over the patches.
        """
        scale, noise = self.scales(t)
        # |x|^2 is the same for all patches, so it drops out of ``-|x - s y_i|^2 / (2 s^2 sigma^2)``.
        exponents = (noised @ self.patches.T * scale - scale**2 * self._squares / 2) / noise**2
        weights: NDArray[np.float64] = softmax(exponents, axis=1)
        return weights

    def predict(self, noised: NDArray[np.float64], t: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the predicted noise ``eps*_t(x)``, (n, D) float64: Proposition 1, eq. 4."""
        return self.predict_from(self.posterior(noised, t), noised, t)

    def predict_from(
        self, posterior: NDArray[np.float64], noised: NDArray[np.float64], t: int | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return the predicted noise, given the result of `posterior`.

        Parameters
        ----------
        posterior : (n, N) float64 array
            Result of `posterior`.
        noised : (n, D) float64 array
            ``x_t``.
        t : int or (n,) integer array
            Timesteps.

        Returns
        -------
        (n, D) float64 array
            The noise.
        """
        scale, noise = self.scales(t)
        return (noised - scale * (posterior @ self.patches)) / noise

    def draw(self, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw pairs of a patch and noise ``(x_0, eps)``, each (count, D) float64."""
        random = np.random.default_rng(seed)
        clean = self.patches[random.integers(len(self.patches), size=count)]
        return clean, random.standard_normal(clean.shape)

    def noise(
        self, clean: NDArray[np.float64], noise: NDArray[np.float64], t: int | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return ``x_t = s_t x_0 + s_t sigma_t eps``.

        Parameters
        ----------
        clean, noise : (n, D) float64 arrays
            ``x_0`` and ``eps``.
        t : int or (n,) integer array
            Timesteps.

        Returns
        -------
        (n, D) float64 array
            ``x_t``.
        """
        image_scale, noise_scale = self.scales(t)
        return image_scale * clean + noise_scale * noise


@dataclass(frozen=True)
class DenoiserSimilarity:
    """Similarity of the optimal denoiser between timesteps.

    Attributes
    ----------
    similarity : (n, n) float64 array
        ``S(t_a, t_b)``, from 0 to 1.
    neighbours : (n,) float64 array
        Effective number of patches in the posterior, the exponential of its mean entropy; 1 means a single patch.
    """

    similarity: NDArray[np.float64]
    neighbours: NDArray[np.float64]


def similarity_map(
    denoiser: OptimalDenoiser,
    timesteps: Sequence[int],
    *,
    tolerance: float,
    draws: int,
    seed: int = 0,
    listen: Listener = silent,
) -> DenoiserSimilarity:
    """Compare the denoiser at each pair of timesteps by eq. 5, a mean over draws of patch and noise.

    Parameters
    ----------
    denoiser : OptimalDenoiser
        Denoiser of the scene's patches.
    timesteps : sequence of int
        Timesteps to compare.
    tolerance : float
        ``eta``: largest difference, in standard deviations of the noise, at which two predictions of a value agree.
    draws : int
        ``K``: number of pairs of patch and noise.
    seed : int
        Seed of the draws.
    listen : callable
        Called with events.

    Returns
    -------
    DenoiserSimilarity
    """
    clean, noise = denoiser.draw(draws, seed)
    agree, entropy = np.zeros((len(timesteps), len(timesteps))), np.zeros(len(timesteps))
    step = max(_WEIGHTS_PER_BLOCK // len(denoiser.patches), 1)
    listen(Started(_TASK, draws, "draws"))
    for start in range(0, draws, step):
        block = slice(start, start + step)
        predictions = []
        for n, t in enumerate(timesteps):
            x = denoiser.noise(clean[block], noise[block], t)
            weights = denoiser.posterior(x, t)
            entropy[n] += entr(weights).sum()
            predictions.append(denoiser.predict_from(weights, x, t))
        for a, one in enumerate(predictions):
            for b, other in enumerate(predictions):
                agree[a, b] += agreement(one, other, tolerance).sum()
        listen(Advanced(_TASK, min(start + step, draws)))
    listen(Finished(_TASK))
    return DenoiserSimilarity(agree / draws, np.exp(entropy / draws))


def agreement(one: NDArray[np.float64], other: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return ``D`` of eq. 5: per row, the share of values in which two predictions agree.

    Parameters
    ----------
    one, other : (n, D) float64 arrays
        The predictions.
    tolerance : float
        Largest absolute difference of values that agree.

    Returns
    -------
    (n,) float64 array
        Shares from 0 to 1.
    """
    shares: NDArray[np.float64] = (np.abs(one - other) <= tolerance).mean(axis=1)
    return shares
