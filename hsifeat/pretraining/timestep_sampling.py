"""Distribution of the timesteps of training batches. Importing this module does not import NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TIMESTEPS = 1000


@dataclass(frozen=True)
class TimestepSampling:
    """Distribution of the timesteps of a batch.

    If `sigmas` is None, all timesteps are equally probable.

    Attributes
    ----------
    boundaries : tuple of int
        First timestep of each interval except the first interval. Without boundaries, the timestep of each patch is drawn
        independently. With boundaries, all timesteps of a batch are in one interval. The probability of an interval is
        proportional to its length.
    sigmas : (float, float) or None
        Two noise levels, ``low`` and ``high``. The noise level of a timestep is ``sigma = sqrt((1 - abar) / abar)``, where
        ``abar`` is the cumulative product of ``1 - beta``. If `sigmas` is set, ``log(sigma)`` is drawn from a normal
        distribution (Karras et al. 2022, table 1) with the mean ``(log(low) + log(high)) / 2`` and the standard deviation
        ``(log(high) - log(low)) / 2``. `sigmas` is for the cosine schedule with T = 1000, and can't be combined with
        `boundaries`.
    count : int
        Number T of timesteps. The timesteps are 0 to T - 1.
    """

    boundaries: tuple[int, ...] = ()
    sigmas: tuple[float, float] | None = None
    count: int = TIMESTEPS

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw the timesteps of a batch of `count` patches with the generator `random`, as a (count,) int64 array."""
        import numpy as np

        if self.sigmas is not None:
            low, high = np.log(self.sigmas)
            levels = random.normal((low + high) / 2, (high - low) / 2, count)
            return np.searchsorted(_log_sigma_edges(), levels).astype(np.int64)
        if not self.boundaries:
            return random.integers(self.count, size=count)
        number = self.find_interval(random.integers(self.count))
        edges = (0, *self.boundaries, self.count)
        return random.integers(edges[number], edges[number + 1], size=count)

    def find_interval(self, t: int | np.integer) -> int:
        """Return the index, counted from 0, of the interval that contains a timestep."""
        import numpy as np

        return int(np.searchsorted(self.boundaries, t, side="right"))


@cache
def _log_sigma_edges() -> NDArray[np.float64]:
    """Return the midpoints of log sigma between neighbouring timesteps, as a (999,) float64 array.

    sigma is the noise level of a timestep in the cosine schedule (Nichol & Dhariwal 2021, eq. 17), with betas of at most
    0.999.
    """
    import numpy as np

    f = np.cos((np.arange(TIMESTEPS + 1) / TIMESTEPS + 0.008) / 1.008 * np.pi / 2) ** 2
    abar = np.cumprod(np.maximum(f[1:] / f[:-1], 1 - 0.999))
    log_sigmas = (np.log1p(-abar) - np.log(abar)) / 2
    edges: NDArray[np.float64] = (log_sigmas[1:] + log_sigmas[:-1]) / 2
    return edges
