"""Training batches that depend only on seed and step, so that an interrupted run continues with the same batches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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
    """Source of training batches, with one batch per optimizer step."""

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


def make_generator(seed: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """Return the random generator for one purpose and one optimizer step.

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
