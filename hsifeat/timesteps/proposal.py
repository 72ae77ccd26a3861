"""The rule that proposes timesteps to cache, from their similarity and the spectral angles of a model's estimates."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.angles import SpectralAngles

# A timestep is eligible while its angle is at most this fraction of the mean pixel's.
ELIGIBLE_FRACTION = 0.5
# Similarities are estimated from some hundred draws; smaller differences are noise.
_DECIMALS = 2


@dataclass(frozen=True)
class TimestepOrder:
    """Timesteps in the order in which they are worth caching.

    Attributes
    ----------
    order : (n,) intp array
        Indices of the timesteps, the most useful first.
    coverage : (n,) float64 array
        For each length of the selection, the mean over eligible timesteps of the similarity to the nearest selected one;
        1 means that nothing is lost.
    eligible : (n,) bool array
        Per timestep, whether the model's estimate still resembles the pixel.
    """

    order: NDArray[np.intp]
    coverage: NDArray[np.float64]
    eligible: NDArray[np.bool_]


def order_timesteps(similarity: NDArray[np.float64], angles: SpectralAngles | None = None) -> TimestepOrder:
    """Order timesteps by what each adds to those before it.

    A timestep is eligible if its spectral angle is at most half of the mean pixel's. Eligible timesteps come first: each is
    the one that most raises the mean, over all eligible timesteps, of the similarity to the nearest selected one. Since the
    first N timesteps are part of the first N + 1, a larger budget adds planes and drops none. Similarities are rounded to
    two decimals, and ties go to the least noise. The other timesteps follow in order of their angle.

    Parameters
    ----------
    similarity : (n, n) float64 array
        Similarity of timesteps, in ascending order of the timesteps.
    angles : SpectralAngles, optional
        Angles of a model's estimates; without them all timesteps are eligible.

    Returns
    -------
    TimestepOrder

    Notes
    -----
    Greedy facility location, which reaches at least 1 - 1/e of the best coverage (Nemhauser, Wolsey & Fisher, "An analysis
    of approximations for maximizing submodular set functions", Mathematical Programming 14, 1978).

    Examples
    --------
    >>> order_timesteps(np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])).order.tolist()
    [1, 2, 0]
    """
    n = len(similarity)
    eligible = np.ones(n, bool) if angles is None else angles.degrees <= ELIGIBLE_FRACTION * angles.mean_pixel_degrees
    rounded = similarity.round(_DECIMALS)
    targets, candidates = np.flatnonzero(eligible), list(np.flatnonzero(eligible))
    best = np.zeros(len(targets))
    order: list[int] = []
    while candidates:
        gains = [np.maximum(best, rounded[targets, t]).sum().round(_DECIMALS) for t in candidates]
        selected = candidates.pop(int(np.argmax(gains)))
        best = np.maximum(best, rounded[targets, selected])
        order.append(int(selected))
    if angles is not None:
        others = np.flatnonzero(~eligible)
        order += [int(t) for t in others[np.argsort(angles.degrees[others].round(_DECIMALS), kind="stable")]]
    rows = targets if len(targets) else np.arange(n)
    coverage = [float(similarity[rows][:, order[: k + 1]].max(axis=1).mean()) for k in range(n)]
    return TimestepOrder(np.array(order, np.intp), np.array(coverage), eligible)


def check_budget(budget: int, candidates: int) -> None:
    """Raise `HsifeatError` unless the budget is between 1 and the number of candidates."""
    if not 1 <= budget <= candidates:
        raise HsifeatError(f"{candidates} timesteps are compared, so the budget is 1 to {candidates}; found {budget}")


def parse_auto(timesteps: object) -> int | None:
    """Return N if timesteps are ``auto:N``, None if they are anything else.

    Raises
    ------
    HsifeatError
        A text that starts with ``auto`` but has another form.

    Examples
    --------
    >>> parse_auto("auto:5"), parse_auto([0, 50])
    (5, None)
    """
    if not isinstance(timesteps, str) or not timesteps.startswith("auto"):
        return None
    match = re.fullmatch(r"auto:([0-9]{1,9})", timesteps)
    if match is None:
        raise HsifeatError(f"automatic timesteps have the form auto:N, such as auto:5; found {timesteps!r}")
    return int(match[1])
