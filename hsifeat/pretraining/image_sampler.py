"""Training images: batches with random flips, and some images that are never trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.pretraining.batches import Batch, TimestepRule, generator

# Which images are held out is the same whatever the run's seed, so that runs can be compared.
_HELD_OUT_SEED, _ONE_IN = 0, 50


@dataclass(frozen=True)
class ImageSampler:
    """Draws images, mirrored at random, as values from -1 to 1.

    Attributes
    ----------
    images : (n, side, side, 3) uint8 array
        In memory or mapped from disk.
    most_held_out : int
        At most this many images, and one in fifty, are held out.
    timesteps : TimestepRule
        How timesteps are drawn.
    seed : int
        Seed of everything that is drawn.
    """

    images: NDArray[np.uint8]
    most_held_out: int
    timesteps: TimestepRule
    seed: int

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.images.shape[3])

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """A fixed shuffle of the images; the first of them are held out."""
        if len(self.images) < 2:
            raise PretrainingError("one image is too few: at least one is trained on and one held out")
        return generator(_HELD_OUT_SEED, 3).permutation(len(self.images))

    @property
    def _held_out_count(self) -> int:
        return max(1, min(self.most_held_out, len(self._order) // _ONE_IN))

    @property
    def held_out(self) -> NDArray[np.float32]:
        """Images that are never trained on: (n, 3, side, side)."""
        return _scale(self.images[np.sort(self._order[: self._held_out_count])])

    def draw(self, step: int, count: int) -> Batch:
        """Draw the images, noise and timesteps of a step."""
        random = generator(self.seed, 1, step)
        clean = _scale(self.images[random.choice(self._order[self._held_out_count :], count)])
        mirrored = random.integers(2, size=count) == 1
        clean[mirrored] = clean[mirrored, ..., ::-1]
        t = self.timesteps.draw(random, count)
        return Batch(clean, random.standard_normal(clean.shape, dtype=np.float32), t)


def _scale(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """From (n, side, side, 3) of 0 to 255 to (n, 3, side, side) of -1 to 1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(127.5) - np.float32(1)
