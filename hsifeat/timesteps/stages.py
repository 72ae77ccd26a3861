"""Cutting the timesteps into intervals within which a denoiser hardly changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.denoiser import OptimalDenoiser, agreement


def three_stages(
    denoiser: OptimalDenoiser, *, tolerance: float, alpha: float, draws: int, seed: int = 0
) -> tuple[int, int]:
    """Find where the first of three stages ends and the last begins: Algorithm 1 of Zhang et al., CVPR 2024.

    Parameters
    ----------
    denoiser : OptimalDenoiser
        Of the scene's patches.
    tolerance : float
        ``eta``, see `similarity_map`.
    alpha : float
        How alike a stage must be to its end of the timesteps, on average.
    draws : int
        ``K``: triples of a patch, noise and a timestep.
    seed : int
        Seed of the triples.

    Returns
    -------
    t1, t2 : int
        As `split` gives them.
    """
    last = len(denoiser.alphas_cumprod) - 1
    clean, noise = denoiser.draw(draws, seed)
    t = np.random.default_rng([seed, 1]).integers(last + 1, size=draws)
    to_ends = np.empty((2, draws))
    for some in np.array_split(np.arange(draws), -(-draws // 256)):
        at = [
            denoiser.predict(denoiser.noise(clean[some], noise[some], when), when)
            for when in (t[some], np.zeros_like(some), np.full_like(some, last))
        ]
        for n in (0, 1):
            to_ends[n, some] = agreement(at[0], at[1 + n], tolerance)
    return split(t, to_ends[0], to_ends[1], alpha, last)


def split(timesteps: ArrayLike, to_first: ArrayLike, to_last: ArrayLike, alpha: float, last: int) -> tuple[int, int]:
    """Decide on three stages from recorded similarities: eqs. 6 and 7.

    Parameters
    ----------
    timesteps : (K,) int array
        ``t_k``.
    to_first, to_last : (K,) float array
        ``S0_k = D(t_k, 0)`` and ``S1_k = D(t_k, last)``.
    alpha : float
        Least mean similarity.
    last : int
        The last timestep, T - 1.

    Returns
    -------
    t1 : int
        The largest tau for which the mean of ``S0_k`` over ``t_k <= tau`` is at least alpha; 0 if there is none.
    t2 : int
        The smallest tau for which the mean of ``S1_k`` over ``t_k >= tau`` is at least alpha; `last` if there is none. (The
        printed algorithm sums S1 over the set of the first search, which is taken for a slip.)

    Examples
    --------
    >>> split([0, 250, 500, 750], [1, 0.9, 0.5, 0.2], [0.1, 0.2, 0.8, 1], 0.75, 999)
    (500, 500)
    """
    t, first, final = np.asarray(timesteps), np.asarray(to_first, float), np.asarray(to_last, float)
    up = [int(tau) for tau in np.unique(t) if first[t <= tau].mean() >= alpha]
    down = [int(tau) for tau in np.unique(t) if final[t >= tau].mean() >= alpha]
    return max(up, default=0), min(down, default=last)


def best_intervals(similarity: NDArray[np.float64], count: int) -> list[tuple[int, int]]:
    """Cut ordered timesteps into intervals so that each is as alike as possible to those in its own.

    What is maximised is the mean over all timesteps of their mean similarity to the members of their interval, themselves
    included: of an interval of k timesteps, k counts of its mean. (Plain means of intervals would reward singletons, which
    are alike to themselves.) The optimum is exact, by dynamic programming over where the last interval begins.

    Parameters
    ----------
    similarity : (n, n) float64 array
        Of the timesteps in ascending order.
    count : int
        How many intervals.

    Returns
    -------
    list of (first, end)
        Indices from `first` to before `end`, in ascending order.

    Raises
    ------
    HsifeatError
        No interval, or more than there are timesteps.

    Examples
    --------
    >>> best_intervals(np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]]), 2)
    [(0, 2), (2, 3)]
    """
    n = len(similarity)
    if not 1 <= count <= n:
        raise HsifeatError(f"{n} timesteps are cut into 1 to {n} intervals; found {count}")
    best = np.full((count + 1, n + 1), -np.inf)
    begin = np.zeros((count + 1, n + 1), int)
    best[0, 0] = 0
    values = _interval_values(similarity)
    for m in range(1, count + 1):
        for end in range(m, n + 1):
            totals = best[m - 1, :end] + values[:end, end]
            begin[m, end] = np.argmax(totals)
            best[m, end] = totals[begin[m, end]]
    found: list[tuple[int, int]] = []
    end = n
    for m in range(count, 0, -1):
        found.append((int(begin[m, end]), end))
        end = int(begin[m, end])
    return found[::-1]


def _interval_values(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each interval [first, end) counts: the sum of its block of the map over its length; (n + 1, n + 1)."""
    n = len(similarity)
    sums = np.zeros((n + 1, n + 1))
    sums[1:, 1:] = similarity.cumsum(axis=0).cumsum(axis=1)
    values = np.zeros((n + 1, n + 1))
    for first in range(n):
        for end in range(first + 1, n + 1):
            block = sums[end, end] - sums[first, end] - sums[end, first] + sums[first, first]
            values[first, end] = block / (end - first)
    return values


def name_intervals(timesteps: Sequence[int], intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the first and last timestep of each interval."""
    return [(timesteps[first], timesteps[end - 1]) for first, end in intervals]
