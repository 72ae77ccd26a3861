"""Rule that orders timesteps by the usefulness of their features."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.timesteps.angles import SpectralAngles

# A timestep is eligible if its angle is at most this fraction of `SpectralAngles.mean_pixel_degrees`.
ELIGIBLE_FRACTION = 0.5
# Differences in similarity below 0.01 are not significant, because similarities are means over a few hundred draws.
_DECIMALS = 2


@dataclass(frozen=True)
class TimestepOrder:
    """Order of n timesteps by the usefulness of their features.

    Attributes
    ----------
    order : (n,) intp array
        Indices of the timesteps, starting with the index of the most useful timestep.
    coverage : (n,) float64 array
        Element k describes how well the first k + 1 timesteps of the order represent the eligible timesteps. It is the mean
        similarity of an eligible timestep to the most similar of these k + 1 timesteps. If no timestep is eligible, the
        mean is over all timesteps. Values are at most 1.
    eligible : (n,) bool array
        For each timestep, whether the estimates of the model resemble the pixels.
    """

    order: NDArray[np.intp]
    coverage: NDArray[np.float64]
    eligible: NDArray[np.bool_]


def order_timesteps(similarity: NDArray[np.float64], angles: SpectralAngles | None = None) -> TimestepOrder:
    """Order timesteps so that the first timesteps represent all timesteps well.

    The spectral angle of a timestep is the mean angle between pixels and the estimates of a denoiser. A timestep is
    eligible if this angle is at most half of the mean angle between pixels and the mean spectrum. Eligible timesteps
    come first. They are selected one at a time, so that the mean coverage of all eligible timesteps is as large as
    possible after each selection. The coverage of a timestep is its similarity to the most similar selected timestep,
    rounded to two decimals. If several timesteps give the same mean coverage, the lowest of these timesteps is
    selected.

    Timesteps that are not eligible follow, in ascending order of their spectral angles.

    Parameters
    ----------
    similarity : (n, n) float64 array
        Similarity between timesteps. Rows and columns are in ascending order of the timesteps.
    angles : SpectralAngles, optional
        Spectral angle of each timestep, and the mean angle between pixels and the mean spectrum. If None, all timesteps are
        eligible.

    Returns
    -------
    TimestepOrder
        The order of the timesteps, and the mean coverage after each selection.

    Notes
    -----
    This is the greedy algorithm for the facility location problem. For each number of selected timesteps, the mean coverage
    is at least 1 - 1/e of the largest possible value (Nemhauser, Wolsey & Fisher, "An analysis of approximations for
    maximizing submodular set functions", Mathematical Programming 14, 1978).

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
    """Raise `HsifeatError` if the number of timesteps to propose is less than 1 or greater than `candidates`."""
    if not 1 <= budget <= candidates:
        raise HsifeatError(f"{candidates} timesteps are compared, so the budget is 1 to {candidates}; found {budget}")


def parse_auto(timesteps: object) -> int | None:
    """Return N if the value of the option `timesteps` is ``auto:N``; otherwise return None.

    Raises
    ------
    HsifeatError
        If `timesteps` is a text that starts with ``auto`` but does not have the form ``auto:N``.

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
