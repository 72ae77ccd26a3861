"""What one training step sees: a pure function of a seed and the step's number, so that a run can go on anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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


def generator(seed: int, stream: int, step: int = 0) -> np.random.Generator:
    """Return the random numbers of a step; streams keep apart what is drawn for training, held out and judged by."""
    key, counter = np.array([seed, stream], dtype=np.uint64), np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))
