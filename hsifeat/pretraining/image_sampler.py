"""Training batches of randomly mirrored, cropped and recoloured images. Held-out images are excluded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.pretraining.batches import Batch, Stream, make_generator
from hsifeat.pretraining.timestep_sampling import TimestepSampling

# The choice of held-out images does not depend on the seed of the training, so that training runs can be compared.
_HELD_OUT_SEED, _HELD_OUT_ONE_IN = 0, 50
# Typical covariance of the colours of photographs with values from -1 to 1: variance 0.25, correlation 0.9. The covariance
# only sets the scale of mixtures.
_COLOUR_COVARIANCE = 0.25 * (0.1 * np.eye(3) + 0.9)


@dataclass(frozen=True)
class ImageSampler:
    """Sampler of randomly mirrored images, with values from -1 to 1.

    Attributes
    ----------
    images : sequence of (n, side, side, 3) uint8 arrays
        The images of each source, in memory or memory-mapped from a file. All images are equally likely.
    max_held_out : int
        Maximum number of held-out images, all sources together. One in fifty of all images is held out, but at least one image
        and at most this number.
    timesteps : TimestepSampling
        Distribution of the timesteps.
    seed : int
        Seed of all random numbers.
    crops_px : tuple of int
        Possible sides of the patches that are cropped from the images, in pixels. For each batch, one side is drawn at
        random. If empty, patches are whole images.
    mixes_channels : bool
        Whether the channels of half of the images are replaced by random mixtures of the colours. Such mixtures resemble
        the principal components of scenes, which are mixtures of bands.
    """

    images: Sequence[NDArray[np.uint8]]
    max_held_out: int
    timesteps: TimestepSampling
    seed: int
    crops_px: tuple[int, ...] = ()
    mixes_channels: bool = False

    @property
    def channels(self) -> int:
        """Number of channels of an image."""
        return int(self.images[0].shape[3])

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """A fixed permutation of the images. The first images of the permutation are held out."""
        count = sum(map(len, self.images))
        if count < 2:
            raise PretrainingError(
                "found fewer than two images; a training needs at least one to learn from and one to hold out"
            )
        return make_generator(_HELD_OUT_SEED, Stream.HELD_OUT_IMAGES).permutation(count)

    @property
    def _held_out_count(self) -> int:
        return max(1, min(self.max_held_out, len(self._order) // _HELD_OUT_ONE_IN))

    @property
    def held_out(self) -> NDArray[np.float32]:
        """Held-out images, as an (n, 3, side, side) float32 array with values from -1 to 1."""
        return _scale(self._read(np.sort(self._order[: self._held_out_count])))

    def draw(self, step: int, count: int) -> Batch:
        """Draw the batch of an optimizer step: `count` patches, their noise and their timesteps."""
        random = make_generator(self.seed, Stream.BATCH, step)
        clean = _scale(self._read(random.choice(self._order[self._held_out_count :], count)))
        mirrored = random.integers(2, size=count) == 1
        clean[mirrored] = clean[mirrored, ..., ::-1]
        if self.crops_px:
            clean = _crop(clean, int(random.choice(self.crops_px)), random)
        if self.mixes_channels:
            mixed = random.integers(2, size=count) == 1
            clean[mixed] = _mix(clean[mixed], random)
        t = self.timesteps.draw(random, count)
        return Batch(clean, random.standard_normal(clean.shape, dtype=np.float32), t)

    def _read(self, numbers: NDArray[np.intp]) -> NDArray[np.uint8]:
        ends = np.cumsum([len(source) for source in self.images])
        sources = np.searchsorted(ends, numbers, side="right")
        pixels = np.empty((len(numbers), *self.images[0].shape[1:]), np.uint8)
        for i, source in enumerate(self.images):
            pixels[sources == i] = source[numbers[sources == i] - (ends[i] - len(source))]
        return pixels


def _crop(images: NDArray[np.float32], side_px: int, random: np.random.Generator) -> NDArray[np.float32]:
    windows = np.lib.stride_tricks.sliding_window_view(images, (side_px, side_px), axis=(2, 3))
    rows, cols = random.integers(windows.shape[2], size=(2, len(images)))
    return np.ascontiguousarray(windows[np.arange(len(images)), :, rows, cols])


def _mix(images: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Return a copy of the (n, 3, rows, cols) array `images`. Its channels are random mixtures of the colours.

    The mixtures have about the same variance as the colours.
    """
    weights = random.standard_normal((len(images), 3, 3))
    variances = np.einsum("nij,jk,nik->ni", weights, _COLOUR_COVARIANCE, weights)
    weights *= np.sqrt(_COLOUR_COVARIANCE[0, 0] / variances)[:, :, None]
    mixtures: NDArray[np.float32] = np.einsum("nij,njrc->nirc", weights.astype(np.float32), images, optimize=True)
    return mixtures


def _scale(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(127.5) - np.float32(1)
