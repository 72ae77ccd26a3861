"""Training batches as a pure function of seed and step, so that an interrupted training continues with the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

TIMESTEPS = 1000


class Stream(IntEnum):
    """Independent streams of random numbers, by purpose."""

    BATCH = 1
    EVALUATION_NOISE = 2
    HELD_OUT_IMAGES = 3
    SAMPLE_NOISE = 4
    HELD_OUT_BLOCKS = 5
    DROPOUT = 6


@dataclass(frozen=True)
class Batch:
    """The data of one training step.

    Attributes
    ----------
    clean, noise : (n, channels, patch, patch) float32 arrays
        ``x_0`` and ``eps``.
    t : (n,) int64 array
        Training timesteps, one per patch.
    """

    clean: NDArray[np.float32]
    noise: NDArray[np.float32]
    t: NDArray[np.int64]


class Sampler(Protocol):
    """Draws the batch of each step."""

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        ...

    @property
    def seed(self) -> int:
        """Seed of all random numbers, those of the initial weights included."""
        ...

    def draw(self, step: int, count: int) -> Batch:
        """Draw the `count` patches of a step, with their noise and timesteps."""
        ...


@dataclass(frozen=True)
class TimestepSampling:
    """Distribution of a batch's timesteps, uniform over 0 to T - 1 in the long run.

    Attributes
    ----------
    boundaries : tuple of int
        First timesteps of all intervals but the first. Without boundaries each patch has a timestep of its own. With them
        all timesteps of a batch lie in one interval, which is drawn with a probability proportional to its length.
    """

    boundaries: tuple[int, ...] = ()

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw the timesteps of a batch, (count,) int64."""
        if not self.boundaries:
            return random.integers(TIMESTEPS, size=count)
        number = self.find_interval(random.integers(TIMESTEPS))
        edges = (0, *self.boundaries, TIMESTEPS)
        return random.integers(edges[number], edges[number + 1], size=count)

    def find_interval(self, t: int | np.integer) -> int:
        """Return the number, from 0, of the interval that contains a timestep."""
        return int(np.searchsorted(self.boundaries, t, side="right"))


def make_generator(seed: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """Return the generator of a step: NumPy's Philox, keyed by seed and stream, with the step as counter.

    Parameters
    ----------
    seed : int
        Seed of the training.
    stream : Stream
        What is drawn; streams are independent of one another.
    step : int
        Step of the training.

    Returns
    -------
    numpy.random.Generator
        Positioned at the first draw of the step.
    """
    key, counter = np.array([seed, stream], dtype=np.uint64), np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))
