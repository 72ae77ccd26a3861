"""Optimal denoiser of a finite set of patches, and comparison of its predictions between timesteps.

Equation numbers refer to Zhang et al., "Improving training efficiency of diffusion models via multi-stage framework and
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

# Maximum number of posterior weights in memory (2 MB).
_WEIGHTS_PER_BLOCK = 2**18
_TASK = "optimal denoiser"


@dataclass(frozen=True)
class OptimalDenoiser:
    """Denoiser with the smallest expected error if every image is one of N known patches.

    A network of unlimited capacity that is trained only on these patches converges to this denoiser.

    Attributes
    ----------
    patches : (N, D) float64 array
        Patches ``y_i`` of D values.
    alphas_cumprod : (T,) array
        ``abar_t`` of a variance-preserving noise schedule, for T timesteps. In the notation of Zhang et al. 2024, ``s_t``
        is ``sqrt(abar_t)`` and ``s_t sigma_t`` is ``sqrt(1 - abar_t)``.

    Notes
    -----
    If D is large and N is small, the patches are far apart. At timesteps with low noise, one patch then has a posterior
    probability of about 1. The predictions are therefore equal at all of these timesteps, unlike the predictions of a
    trained network. In this case, `DenoiserSimilarity.neighbours` is about 1.
    """

    patches: NDArray[np.float64]
    alphas_cumprod: NDArray[np.floating]

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        squares: NDArray[np.float64] = np.square(self.patches).sum(axis=1)
        return squares

    def scales(self, t: int | NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scales ``s_t`` of the image and ``s_t sigma_t`` of the noise, as two float64 arrays.

        The scales are ``sqrt(abar_t)`` and ``sqrt(1 - abar_t)``, where ``abar_t`` is element t of `alphas_cumprod`. The
        arrays have the shape (1, 1) for one timestep, and (n, 1) for n timesteps.
        """
        abar = np.asarray(self.alphas_cumprod, np.float64)[np.atleast_1d(t), None]
        # A small lower bound avoids a division by 0 if the schedule starts without noise.
        return np.sqrt(abar), np.sqrt(np.maximum(1 - abar, 1e-12))

    def posterior(self, noised: NDArray[np.float64], t: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the posterior probability of each clean patch, for each noised patch.

        The probabilities are the weights in eq. 4 of Zhang et al. 2024.

        Parameters
        ----------
        noised : (n, D) float64 array
            Noised patches ``x``.
        t : int or (n,) integer array
            One timestep for all noised patches, or one timestep per noised patch.

        Returns
        -------
        (n, N) float64 array
            Normal densities of ``x`` with mean ``s_t y_i`` and covariance ``s_t^2 sigma_t^2 I``, normalised over the N
            clean patches ``y_i`` in `patches`. `scales` returns ``s_t`` and ``s_t sigma_t``.
        """
        scale, noise = self.scales(t)
        # |x|^2 in ``-|x - s y_i|^2 / (2 s^2 sigma^2)`` is the same for all patches, and cancels in the softmax.
        exponents = (noised @ self.patches.T * scale - scale**2 * self._squares / 2) / noise**2
        weights: NDArray[np.float64] = softmax(exponents, axis=1)
        return weights

    def predict(self, noised: NDArray[np.float64], t: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Predict the noise in noised patches ``x``, and return it as an (n, D) float64 array.

        The prediction is ``eps*_t(x)`` in eq. 4 of Zhang et al. 2024.
        """
        return self.predict_from(self.posterior(noised, t), noised, t)

    def predict_from(
        self, posterior: NDArray[np.float64], noised: NDArray[np.float64], t: int | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Predict the noise in noised patches from the posterior probabilities of the clean patches.

        Parameters
        ----------
        posterior : (n, N) float64 array
            Result of the method `posterior` for `noised` and `t`.
        noised : (n, D) float64 array
            Noised patches ``x_t``.
        t : int or (n,) integer array
            One timestep for all noised patches, or one timestep per noised patch.

        Returns
        -------
        (n, D) float64 array
            Predicted noise.
        """
        scale, noise = self.scales(t)
        return (noised - scale * (posterior @ self.patches)) / noise

    def draw(self, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return random clean patches ``x_0`` and Gaussian noise ``eps``, as two (count, D) float64 arrays."""
        random = np.random.default_rng(seed)
        clean = self.patches[random.integers(len(self.patches), size=count)]
        return clean, random.standard_normal(clean.shape)

    def noise(
        self, clean: NDArray[np.float64], noise: NDArray[np.float64], t: int | NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return noised patches ``x_t = s_t x_0 + s_t sigma_t eps``.

        `scales` returns ``s_t`` and ``s_t sigma_t``.

        Parameters
        ----------
        clean, noise : (n, D) float64 arrays
            Clean patches ``x_0`` and noise ``eps``.
        t : int or (n,) integer array
            One timestep for all patches, or one timestep per patch.

        Returns
        -------
        (n, D) float64 array
            Noised patches ``x_t``.
        """
        image_scale, noise_scale = self.scales(t)
        return image_scale * clean + noise_scale * noise


@dataclass(frozen=True)
class DenoiserSimilarity:
    """Similarities between the predictions of an optimal denoiser at n timesteps.

    Attributes
    ----------
    similarity : (n, n) float64 array
        Similarity ``S(t_a, t_b)`` between each pair of timesteps, from 0 to 1.
    neighbours : (n,) float64 array
        Effective number of clean patches from which a noised patch can come, at each timestep. It is ``exp(H)``, where H is
        the mean entropy of the probabilities that `OptimalDenoiser.posterior` returns. If it is 1, each noised patch can
        come from only one clean patch.
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
    """Compare the predictions of an optimal denoiser at different timesteps (Zhang et al. 2024, eq. 5).

    Patches and noise are drawn at random. At each timestep, the noise is added to the patches, and the denoiser predicts
    the noise. For two timesteps, `agreement` computes the share of values on which the two predictions for a patch agree.
    The similarity of the two timesteps is the mean of this share over all patches.

    Parameters
    ----------
    denoiser : OptimalDenoiser
        Optimal denoiser of patches of the scene.
    timesteps : sequence of int
        Timesteps to compare.
    tolerance : float
        Maximum difference ``eta`` between two predicted values that agree, in standard deviations of the noise.
    draws : int
        Number ``K`` of patches that are drawn.
    seed : int
        Seed of the patches and the noise.
    listen : callable
        Function that receives progress events.

    Returns
    -------
    DenoiserSimilarity
        Similarity between each pair of timesteps, and effective number of clean patches at each timestep.
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
    """Return the share of values on which two predictions agree, for each row.

    See eq. 5 of Zhang et al. 2024.

    Parameters
    ----------
    one, other : (n, D) float64 arrays
        Predictions to compare.
    tolerance : float
        Maximum absolute difference between values that agree.

    Returns
    -------
    (n,) float64 array
        Shares from 0 to 1.
    """
    shares: NDArray[np.float64] = (np.abs(one - other) <= tolerance).mean(axis=1)
    return shares
