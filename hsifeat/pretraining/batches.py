"""Training batches that depend on seed and step only, so that an interrupted training continues with the same batches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

TIMESTEPS = 1000


class Stream(IntEnum):
    """Independent streams of random numbers, one for each purpose."""

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
        Clean patches ``x_0`` and standard normal noise ``eps``.
    t : (n,) int64 array
        Training timesteps, one per patch.
    """

    clean: NDArray[np.float32]
    noise: NDArray[np.float32]
    t: NDArray[np.int64]


class Sampler(Protocol):
    """Source of training batches, one for each optimizer step."""

    @property
    def channels(self) -> int:
        """Number of channels of the network's input."""
        ...

    @property
    def seed(self) -> int:
        """Seed of all random numbers, including the initial weights."""
        ...

    def draw(self, step: int, count: int) -> Batch:
        """Draw the batch of an optimizer step: `count` patches, their noise and their timesteps."""
        ...


@dataclass(frozen=True)
class TimestepSampling:
    """Distribution of the timesteps of a batch. Unless `sigmas` is set, it is uniform from 0 to T - 1 over many batches.

    Attributes
    ----------
    boundaries : tuple of int
        First timestep of each interval except the first. Without boundaries, the timestep of each patch is drawn
        independently. With boundaries, all timesteps of a batch are in one interval, whose probability is proportional to its
        length.
    sigmas : (float, float) or None
        Noise levels ``sigma = sqrt((1 - abar) / abar)`` one standard deviation below and above the median of a log-normal
        distribution of noise levels (Karras et al. 2022, table 1). Not combined with boundaries.
    """

    boundaries: tuple[int, ...] = ()
    sigmas: tuple[float, float] | None = None

    def draw(self, random: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw the timesteps of a batch of `count` patches, (count,) int64."""
        if self.sigmas is not None:
            low, high = np.log(self.sigmas)
            levels = random.normal((low + high) / 2, (high - low) / 2, count)
            return np.searchsorted(_log_sigma_edges(), levels).astype(np.int64)
        if not self.boundaries:
            return random.integers(TIMESTEPS, size=count)
        number = self.find_interval(random.integers(TIMESTEPS))
        edges = (0, *self.boundaries, TIMESTEPS)
        return random.integers(edges[number], edges[number + 1], size=count)

    def find_interval(self, t: int | np.integer) -> int:
        """Return the index, counted from 0, of the interval that contains a timestep."""
        return int(np.searchsorted(self.boundaries, t, side="right"))


@cache
def _log_sigma_edges() -> NDArray[np.float64]:
    """Midpoints between the logarithms of the noise levels of neighbouring timesteps of the cosine schedule, (T - 1,).

    The cosine schedule is that of Nichol & Dhariwal 2021, eq. 17, with betas capped at 0.999.
    """
    f = np.cos((np.arange(TIMESTEPS + 1) / TIMESTEPS + 0.008) / 1.008 * np.pi / 2) ** 2
    abar = np.cumprod(np.maximum(f[1:] / f[:-1], 1 - 0.999))
    log_sigmas = (np.log1p(-abar) - np.log(abar)) / 2
    edges: NDArray[np.float64] = (log_sigmas[1:] + log_sigmas[:-1]) / 2
    return edges


def make_generator(seed: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """Return a random generator for a purpose and an optimizer step.

    The bit generator is NumPy's Philox. Seed and stream form the key, and the step is the counter.

    Parameters
    ----------
    seed : int
        Seed of the training.
    stream : Stream
        Purpose of the random numbers.
    step : int
        Number of the optimizer step.

    Returns
    -------
    numpy.random.Generator
        The generator.
    """
    key, counter = np.array([seed, stream], dtype=np.uint64), np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))
