"""Division of the timesteps into stages and intervals within which a denoiser hardly changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.optimal_denoiser import OptimalDenoiser, agreement


def three_stages(
    denoiser: OptimalDenoiser, *, tolerance: float, alpha: float, draws: int, seed: int = 0
) -> tuple[int, int]:
    """Find where the first of three stages ends and the last begins.

    Parameters
    ----------
    denoiser : OptimalDenoiser
        Denoiser of the scene's patches.
    tolerance : float
        ``eta``, see `similarity_map`.
    alpha : float
        Minimum mean similarity of a stage to its end of the range of timesteps.
    draws : int
        ``K``: number of triples of a patch, noise and a timestep.
    seed : int
        Seed of the triples.

    Returns
    -------
    t1, t2 : int
        See `split_stages`.

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
    """Divide the timesteps into three stages by their similarity to both ends: eqs. 6 and 7 of Zhang et al.

    Parameters
    ----------
    timesteps : (K,) int array
        ``t_k``.
    to_first, to_last : (K,) float array
        ``S0_k = D(t_k, 0)`` and ``S1_k = D(t_k, last)``.
    alpha : float
        Minimum mean similarity.
    last : int
        The last timestep, T - 1.

    Returns
    -------
    t1 : int
        The largest tau for which the mean of ``S0_k`` over ``t_k <= tau`` is at least alpha; 0 if there is none.
    t2 : int
        The smallest tau for which the mean of ``S1_k`` over ``t_k >= tau`` is at least alpha; `last` if there is none. The
        printed algorithm sums S1 over the set of the first search, which we take for a slip.

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
    """Divide ordered timesteps into intervals within which they are as similar as possible.

    The intervals maximise the mean over all timesteps of their mean similarity to the members of their interval, themselves
    included, so that an interval of k timesteps counts k times. (Plain means of intervals would reward intervals of a single
    timestep, which is similar to itself.) The optimum is exact, by dynamic programming over the start of the last interval.

    Parameters
    ----------
    similarity : (n, n) float64 array
        Similarity of the timesteps, in ascending order.
    count : int
        Number of intervals.

    Returns
    -------
    list of (first, end)
        Indices from `first` to before `end`, in ascending order.

    Raises
    ------
    HsifeatError
        Fewer than one interval, or more than there are timesteps.

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
    """Return the value of each interval [first, end), the sum of its block over its length: (n + 1, n + 1) float64."""
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
    """Return the first and last timestep of each interval of indices.

    >>> interval_timesteps([0, 50, 100], [(0, 2), (2, 3)])
    [(0, 50), (100, 100)]
    """
    return [(timesteps[first], timesteps[end - 1]) for first, end in intervals]
