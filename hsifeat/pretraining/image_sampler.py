"""Training batches of randomly mirrored images, without the images that are held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.pretraining.batches import Batch, Stream, TimestepSampling, make_generator

# The choice of held-out images does not depend on the seed of the training, so that trainings can be compared.
_HELD_OUT_SEED, _HELD_OUT_ONE_IN = 0, 50


@dataclass(frozen=True)
class ImageSampler:
    """Sampler of images, mirrored at random, with values from -1 to 1.

    Attributes
    ----------
    images : (n, side, side, 3) uint8 array
        The images, in memory or memory-mapped from a file.
    max_held_out : int
        Largest number of held-out images. At least one image and at most one image in fifty is held out.
    timesteps : TimestepSampling
        Distribution of the timesteps.
    seed : int
        Seed of all random numbers.
    """

    images: NDArray[np.uint8]
    max_held_out: int
    timesteps: TimestepSampling
    seed: int

    @property
    def channels(self) -> int:
        """Number of channels of an image."""
        return int(self.images.shape[3])

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """A fixed permutation of the images. The first images of the permutation are held out."""
        if len(self.images) < 2:
            raise PretrainingError(
                "found fewer than two images; a training needs at least one to learn from and one to hold out"
            )
        return make_generator(_HELD_OUT_SEED, Stream.HELD_OUT_IMAGES).permutation(len(self.images))

    @property
    def _held_out_count(self) -> int:
        return max(1, min(self.max_held_out, len(self._order) // _HELD_OUT_ONE_IN))

    @property
    def held_out(self) -> NDArray[np.float32]:
        """The held-out images, (n, 3, side, side) float32 from -1 to 1."""
        return _scale(self.images[np.sort(self._order[: self._held_out_count])])

    def draw(self, step: int, count: int) -> Batch:
        """Draw the batch of an optimizer step: `count` images, their noise and their timesteps."""
        random = make_generator(self.seed, Stream.BATCH, step)
        clean = _scale(self.images[random.choice(self._order[self._held_out_count :], count)])
        mirrored = random.integers(2, size=count) == 1
        clean[mirrored] = clean[mirrored, ..., ::-1]
        t = self.timesteps.draw(random, count)
        return Batch(clean, random.standard_normal(clean.shape, dtype=np.float32), t)


def _scale(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert images (n, side, side, 3) uint8 to (n, 3, side, side) float32 from -1 to 1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(127.5) - np.float32(1)
