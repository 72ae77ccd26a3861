"""Division of timesteps into stages or intervals, in which predictions of a denoiser are similar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.optimal_denoiser import OptimalDenoiser, agreement


def three_stages(
    denoiser: OptimalDenoiser, *, tolerance: float, alpha: float, draws: int, seed: int = 0
) -> tuple[int, int]:
    """Divide the timesteps of an optimal denoiser into three stages.

    Parameters
    ----------
    denoiser : OptimalDenoiser
        Optimal denoiser of patches of the scene.
    tolerance : float
        Maximum difference ``eta`` between two predicted values that agree, in standard deviations of the noise.
    alpha : float
        The timesteps of the first stage have at least this mean similarity to the first timestep. The timesteps of the
        last stage have at least this mean similarity to the last timestep.
    draws : int
        Number ``K`` of random draws. Each draw has a patch, noise and a timestep.
    seed : int
        Seed of the draws.

    Returns
    -------
    t1, t2 : int
        Last timestep of the first stage, and first timestep of the last stage, as `split_stages` finds them.

    Notes
    -----
    Zhang et al., "Improving training efficiency of diffusion models via multi-stage framework and tailored multi-decoder
    architecture", CVPR 2024, Algorithm 1.
    """
    last = len(denoiser.alphas_cumprod) - 1
    clean, noise = denoiser.draw(draws, seed)
    t = np.random.default_rng([seed, 1]).integers(last + 1, size=draws)
    to_ends = np.empty((2, draws))
    for part in np.array_split(np.arange(draws), -(-draws // 256)):
        predictions = [
            denoiser.predict(denoiser.noise(clean[part], noise[part], timestep), timestep)
            for timestep in (t[part], np.zeros_like(part), np.full_like(part, last))
        ]
        for n in (0, 1):
            to_ends[n, part] = agreement(predictions[0], predictions[1 + n], tolerance)
    return split_stages(t, to_ends[0], to_ends[1], alpha, last)


def split_stages(
    timesteps: ArrayLike, to_first: ArrayLike, to_last: ArrayLike, alpha: float, last: int
) -> tuple[int, int]:
    """Divide timesteps into three stages by their similarity to the first timestep and to the last timestep.

    Parameters
    ----------
    timesteps : (K,) int array
        Random timesteps ``t_k``.
    to_first, to_last : (K,) float arrays
        Similarities ``S0_k = D(t_k, 0)`` to the first timestep, and ``S1_k = D(t_k, last)`` to the last timestep.
        `agreement` computes ``D``.
    alpha : float
        The timesteps of the first stage have at least this mean similarity to the first timestep. The timesteps of the
        last stage have at least this mean similarity to the last timestep.
    last : int
        Last timestep, T - 1.

    Returns
    -------
    t1 : int
        Last timestep of the first stage. It is the largest timestep tau for which the mean of ``S0_k`` over ``t_k <= tau``
        is at least `alpha`. If there is no such tau, it is 0.
    t2 : int
        First timestep of the last stage. It is the smallest timestep tau for which the mean of ``S1_k`` over ``t_k >= tau``
        is at least `alpha`. If there is no such tau, it is `last`.

    Notes
    -----
    The rule is eqs. 6 and 7 of Zhang et al. 2024, the paper that `three_stages` cites. Algorithm 1 in the paper sums
    ``S1_k`` over ``t_k <= tau``. We assume that this is an error.

    Examples
    --------
    >>> split_stages([0, 250, 500, 750], [1, 0.9, 0.5, 0.2], [0.1, 0.2, 0.8, 1], 0.75, 999)
    (500, 500)
    """
    t, first, final = np.asarray(timesteps), np.asarray(to_first, float), np.asarray(to_last, float)
    up = [int(tau) for tau in np.unique(t) if first[t <= tau].mean() >= alpha]
    down = [int(tau) for tau in np.unique(t) if final[t >= tau].mean() >= alpha]
    return max(up, default=0), min(down, default=last)


def best_intervals(similarity: NDArray[np.float64], count: int) -> list[tuple[int, int]]:
    """Divide timesteps into intervals of similar timesteps.

    The score of a timestep is its mean similarity to all timesteps of its interval, including itself. Dynamic programming
    finds the intervals with the largest mean score of all timesteps.

    Parameters
    ----------
    similarity : (n, n) float64 array
        Similarity between timesteps. Rows and columns are in ascending order of the timesteps.
    count : int
        Number of intervals.

    Returns
    -------
    list of (int, int)
        Index of the first timestep of each interval, and index after its last timestep. Intervals are in ascending order.

    Raises
    ------
    HsifeatError
        If `count` is less than 1 or greater than the number of timesteps.

    Examples
    --------
    >>> best_intervals(np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]), 2)
    [(0, 2), (2, 3)]
    """
    n = len(similarity)
    if not 1 <= count <= n:
        raise HsifeatError(f"{n} timesteps can be divided into 1 to {n} intervals; found {count}")
    best = np.full((count + 1, n + 1), -np.inf)
    start = np.zeros((count + 1, n + 1), int)
    best[0, 0] = 0
    values = _interval_values(similarity)
    for m in range(1, count + 1):
        for end in range(m, n + 1):
            totals = best[m - 1, :end] + values[:end, end]
            start[m, end] = np.argmax(totals)
            best[m, end] = totals[start[m, end]]
    intervals: list[tuple[int, int]] = []
    end = n
    for m in range(count, 0, -1):
        intervals.append((int(start[m, end]), end))
        end = int(start[m, end])
    return intervals[::-1]


def _interval_values(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each possible interval, return the sum of the scores of its timesteps; see `best_intervals`.

    Returns
    -------
    (n + 1, n + 1) float64 array
        Value at (first, end): sum of the similarities of all pairs of timesteps in the interval, divided by the number
        of timesteps in the interval. The end index is exclusive.
    """
    n = len(similarity)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = similarity.cumsum(axis=0).cumsum(axis=1)
    values = np.zeros((n + 1, n + 1))
    for first in range(n):
        for end in range(first + 1, n + 1):
            block = sums[end, end] - sums[first, end] - sums[end, first] + sums[first, first]
            values[first, end] = block / (end - first)
    return values


def interval_timesteps(timesteps: Sequence[int], intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the first timestep and the last timestep of each interval in `intervals`, a result of `best_intervals`.

    >>> interval_timesteps([0, 50, 100], [(0, 2), (2, 3)])
    [(0, 50), (100, 100)]
    """
    return [(timesteps[first], timesteps[end - 1]) for first, end in intervals]
