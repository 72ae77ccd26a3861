"""The optimal denoiser of a finite set of patches, and how alike it is at two timesteps. No network is needed.

Formulas are those of Zhang et al., "Improving training efficiency of diffusion models via multi-stage framework and
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

# Weights of a block of draws: 2 MB.
_WEIGHTS_AT_A_TIME = 2**18
_TASK = "optimal denoiser"


@dataclass(frozen=True)
class OptimalDenoiser:
    """What an ideal network, trained without end on nothing but these patches, would give.

    Attributes
    ----------
    patches : (N, D) float64 array
        ``y_i``.
    alphas_cumprod : (T,) array
        ``abar_t`` of a variance-preserving schedule: the paper's ``s_t`` is ``sqrt(abar_t)``, its ``s_t sigma_t`` is
        ``sqrt(1 - abar_t)``.

    Notes
    -----
    Of few patches of many numbers, each is soon alone: below some t the posterior holds one patch, and the denoiser is the
    same for all such t, whatever a network would do. `neighbours` tells.
    """

    patches: NDArray[np.float64]
    alphas_cumprod: NDArray[np.floating]

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        squares: NDArray[np.float64] = np.square(self.patches).sum(axis=1)
        return squares

    def scales(self, t: int | NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``s_t`` and ``s_t sigma_t``, to be multiplied with (n, D) arrays: for one t, or for n of them."""
        kept = np.asarray(self.alphas_cumprod, np.float64)[np.atleast_1d(t), None]
        # Where a schedule begins without any noise, the limit is taken.
        return np.sqrt(kept), np.sqrt(np.maximum(1 - kept, 1e-12))

    def posterior(self, noised: NDArray[np.float64], t: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return how likely each patch is to lie under what is seen: the weights of the sums in eq. 4.

        Parameters
        ----------
        noised : (n, D) float64 array
            ``x``.
        t : int or (n,) int array
            Timestep, or one for each.

        Returns
        -------
        (n, N) float64 array
            ``N(x; s_t y_i, s_t^2 sigma_t^2 I)`` over its sum; the largest exponent is taken out before any exponential.
        """
        scale, noise = self.scales(t)
        # |x|^2 is the same for all patches, so it drops out of ``-|x - s y_i|^2 / (2 s^2 sigma^2)``.
        exponents = (noised @ self.patches.T * scale - scale**2 * self._squares / 2) / noise**2
        weights: NDArray[np.float64] = softmax(exponents, axis=1)
        return weights

    def predict(self, noised: NDArray[np.float64], t: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return ``eps*_t(x)`` (n, D): Proposition 1, eq. 4."""
        return self.predict_by(self.posterior(noised, t), noised, t)

    def predict_by(
        self, posterior: NDArray[np.float64], noised: NDArray[np.float64], t: int | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return the same where the posterior is known."""
        scale, noise = self.scales(t)
        return (noised - scale * (posterior @ self.patches)) / noise

    def draw(self, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw pairs of a patch and noise ``(x_0, eps)``, each (count, D)."""
        random = np.random.default_rng(seed)
        clean = self.patches[random.integers(len(self.patches), size=count)]
        return clean, random.standard_normal(clean.shape)

    def noise(
        self, clean: NDArray[np.float64], noise: NDArray[np.float64], t: int | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return ``x_t = s_t x_0 + s_t sigma_t eps``."""
        image, part = self.scales(t)
        return image * clean + part * noise


@dataclass(frozen=True)
class Similarity:
    """How alike the optimal denoiser is at each pair of timesteps.

    Attributes
    ----------
    similarity : (n, n) float64 array
        ``S(t_a, t_b)``, from 0 to 1.
    neighbours : (n,) float64 array
        How many patches share the posterior: the exponential of its mean entropy. 1: it has collapsed to one patch.
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
) -> Similarity:
    """Compare the denoiser at each pair of timesteps: eq. 5, the mean over draws of the same patch and noise.

    Parameters
    ----------
    denoiser : OptimalDenoiser
        Of the scene's patches.
    timesteps : sequence of int
        Which.
    tolerance : float
        ``eta``: how far two predictions of a number of the noise, whose standard deviation is 1, may lie apart to agree.
    draws : int
        ``K``: pairs of patch and noise.
    seed : int
        Seed of the draws.
    listen : callable
        Gets events.
    """
    clean, noise = denoiser.draw(draws, seed)
    agree, entropy = np.zeros((len(timesteps), len(timesteps))), np.zeros(len(timesteps))
    step = max(_WEIGHTS_AT_A_TIME // len(denoiser.patches), 1)
    listen(Started(_TASK, draws, "draws"))
    for start in range(0, draws, step):
        some = slice(start, start + step)
        given = []
        for n, t in enumerate(timesteps):
            x = denoiser.noise(clean[some], noise[some], t)
            weights = denoiser.posterior(x, t)
            entropy[n] += entr(weights).sum()
            given.append(denoiser.predict_by(weights, x, t))
        for a, one in enumerate(given):
            for b, other in enumerate(given):
                agree[a, b] += agreement(one, other, tolerance).sum()
        listen(Advanced(_TASK, min(start + step, draws)))
    listen(Finished(_TASK))
    return Similarity(agree / draws, np.exp(entropy / draws))


def agreement(one: NDArray[np.float64], other: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return ``D`` (n,): the share of the numbers of each row in which two predictions agree (in eq. 5)."""
    shares: NDArray[np.float64] = (np.abs(one - other) <= tolerance).mean(axis=1)
    return shares
