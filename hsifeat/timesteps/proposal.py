"""Which few timesteps to cache: a rule of ours, on what the maps say."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.angles import Angles

# An estimate counts as resembling the pixel while its angle is at most this part of the mean spectrum's.
BOUND = 0.5
# Similarities are estimates from some hundreds of draws: what lies closer than this is alike.
_DECIMALS = 2


@dataclass(frozen=True)
class Order:
    """All timesteps in the order in which they are worth caching.

    Attributes
    ----------
    order : (n,) int array
        Indices of the timesteps, the most useful first.
    covered : (n,) float64 array
        Mean similarity of every resembling timestep to the nearest one taken so far, in that order; 1: nothing is lost.
    resembles : (n,) bool array
        By index of timestep: whether the model's estimate still resembles the pixel.
    """

    order: NDArray[np.intp]
    covered: NDArray[np.float64]
    resembles: NDArray[np.bool_]


def order_timesteps(similarity: NDArray[np.float64], angles: Angles | None = None) -> Order:
    """Order timesteps by what each adds to those before it.

    First come those at which the model's estimate still resembles the pixel: whose spectral angle is at most half of that
    between a pixel and the mean spectrum. Among them the one is taken, again and again, that raises most the mean similarity
    of all resembling timesteps to the nearest one taken: greedy facility location, which reaches at least 1 - 1/e of the
    best coverage possible (Nemhauser, Wolsey & Fisher 1978), and whose first N timesteps are part of its first N + 1, so
    that a larger budget adds planes and drops none. Similarities count to two decimals, and of equals the least noised is
    taken. The others follow by their angle.

    Parameters
    ----------
    similarity : (n, n) float64 array
        Of the timesteps in ascending order.
    angles : Angles, optional
        Of the model's estimates; without them all timesteps count as resembling.
    """
    n = len(similarity)
    resembles = np.ones(n, bool) if angles is None else angles.degrees <= BOUND * angles.of_mean
    rounded = similarity.round(_DECIMALS)
    wanted, left = np.flatnonzero(resembles), list(np.flatnonzero(resembles))
    best = np.zeros(len(wanted))
    order: list[int] = []
    while left:
        gains = [np.maximum(best, rounded[wanted, t]).sum().round(_DECIMALS) for t in left]
        taken = left.pop(int(np.argmax(gains)))
        best = np.maximum(best, rounded[wanted, taken])
        order.append(int(taken))
    if angles is not None:
        others = np.flatnonzero(~resembles)
        order += [int(t) for t in others[np.argsort(angles.degrees[others].round(_DECIMALS), kind="stable")]]
    measured = wanted if len(wanted) else np.arange(n)
    covered = [float(similarity[measured][:, order[: k + 1]].max(axis=1).mean()) for k in range(n)]
    return Order(np.array(order, np.intp), np.array(covered), resembles)


def check_budget(budget: int, candidates: int) -> None:
    """Raise `HsifeatError` unless so many timesteps can be taken of the candidates."""
    if not 1 <= budget <= candidates:
        raise HsifeatError(
            f"{candidates} timesteps are compared: a budget is 1 to {candidates} of them; found {budget}"
        )


def parse_auto(timesteps: object) -> int | None:
    """Return the budget where timesteps are asked for as ``auto:N``, None where they are given otherwise.

    Raises
    ------
    HsifeatError
        A text that begins like it and isn't.

    Examples
    --------
    >>> parse_auto("auto:5"), parse_auto([0, 50])
    (5, None)
    """
    if not isinstance(timesteps, str) or not timesteps.startswith("auto"):
        return None
    found = re.fullmatch(r"auto:([0-9]{1,9})", timesteps)
    if found is None:
        raise HsifeatError(f"timesteps are chosen by auto:N, such as auto:5; found {timesteps!r}")
    return int(found[1])
