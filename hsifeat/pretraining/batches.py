"""What one training step sees: a pure function of a seed and the step's number, so that a run can go on anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

TIMESTEPS = 1000


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    Attributes
    ----------
    clean, noise : (n, channels, patch, patch) float32 arrays
        ``x_0`` and ``eps``.
    t : (n,) int64 array
        Training timesteps, one a patch.
    """

    clean: NDArray[np.float32]
    noise: NDArray[np.float32]
    t: NDArray[np.int64]


class Sampler(Protocol):
    """Gives each step its batch, whatever the data are."""

    @property
    def channels(self) -> int:
        """Channels of what the network sees."""
        ...

    @property
    def seed(self) -> int:
        """Seed of everything that is drawn, fresh weights included."""
        ...

    def draw(self, step: int, count: int) -> Batch:
        """Draw the patches, noise and timesteps of a step."""
        ...


@dataclass(frozen=True)
class TimestepRule:
    """How a batch's timesteps are drawn from 0 to T - 1.

    Attributes
    ----------
    boundaries : tuple of int
        None: each patch has its own, uniform. Otherwise the first timestep of every interval but the first: all of a batch
        lie in one interval, drawn with a probability in proportion to its length, so that t is uniform over all batches.
    """

    boundaries: tuple[int, ...] = ()

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw the timesteps of a batch of `count`."""
        if not self.boundaries:
            return random.integers(TIMESTEPS, size=count)
        number = self.interval(random.integers(TIMESTEPS))
        edges = (0, *self.boundaries, TIMESTEPS)
        return random.integers(edges[number], edges[number + 1], size=count)

    def interval(self, t: int | np.integer) -> int:
        """Return the number, from 0, of the interval that holds a timestep."""
        return int(np.searchsorted(self.boundaries, t, side="right"))


def generator(seed: int, stream: int, step: int = 0) -> np.random.Generator:
    """Return the random numbers of a step; streams keep apart what is drawn for training, held out and judged by."""
    key, counter = np.array([seed, stream], dtype=np.uint64), np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))
