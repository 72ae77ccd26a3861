"""The smoothing rule ``superpixel:PIXELS``: mean class probabilities over superpixels of about PIXELS pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.smoothing.rule import ProbabilityTile, SmoothingRule
from hsifeat.runtime.events import Note

# Weight of distance in pixels against distance in the guide, whose range scikit-image scales to [0, 1].
_COMPACTNESS = 0.1
# Smallest share of superpixels, out of the number of cells, without a note. In the scenes of the tests, the share is 0.3 or more.
_MIN_SHARE = 0.25


@dataclass(frozen=True)
class SuperpixelSmoothing(SmoothingRule):
    """Mean class probabilities over SLIC superpixels (Achanta et al., TPAMI 2012).

    `skimage.segmentation.slic` computes the superpixels from the scene's principal components. All pixels of a
    superpixel get the same probabilities. If invalid pixels cut a superpixel into several parts, each part has its own
    mean.

    Attributes
    ----------
    pixels : int
        Number of pixels in a cell, 4 or more. Superpixels grow from square cells of this size. The scene has about
        ``rows * cols / pixels`` cells. SLIC joins each superpixel that is smaller than half a cell with a neighbour.
        If the scene is noisy, SLIC joins many superpixels, and fewer superpixels than cells remain.
    """

    pixels: int
    name: ClassVar[str] = "superpixel"
    form: ClassVar[str] = "superpixel:PIXELS"
    guided: ClassVar[bool] = True

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Return the rule for `argument`, the number of pixels per superpixel, such as ``100``."""
        return cls(cls._whole(argument, 4, 1_000_000))

    @property
    def text(self) -> str:
        """Value of ``--smooth`` that selects this rule."""
        return f"{self.name}:{self.pixels}"

    @property
    def reach_px(self) -> None:
        """None: the superpixels depend on the whole scene."""
        return

    def smooth(self, tile: ProbabilityTile) -> NDArray[np.float64]:
        """Return the mean probabilities of superpixels; see `SmoothingRule.smooth`."""
        superpixels = self.superpixels(tile.image, tile.valid)
        if note := self.collapse_note(superpixels):
            tile.listen(Note(f"{self.text}: {note}; use another rule, such as guided"))
        segments = connected_parts(superpixels).ravel()
        p = tile.probabilities.reshape(len(segments), -1)
        sizes = np.maximum(np.bincount(segments), 1)
        means = np.stack([np.bincount(segments, column) / sizes for column in p.T], axis=-1)
        return means[segments].reshape(tile.probabilities.shape)

    def superpixels(self, guide: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Compute the superpixels of a scene. Invalid pixels may cut a superpixel into parts, see `connected_parts`.

        Parameters
        ----------
        guide : (rows, cols, K) float64 array
            Principal components of the scene.
        valid : (rows, cols) bool array
            Valid pixels.

        Returns
        -------
        (rows, cols) int64 array
            Number of the superpixel of each valid pixel, from 1; 0 at invalid pixels.
        """
        from skimage.segmentation import slic

        superpixels = slic(
            guide,
            n_segments=max(round(valid.size / self.pixels), 1),
            compactness=_COMPACTNESS,
            convert2lab=False,
            channel_axis=-1,
        )
        return np.where(valid, superpixels, 0)

    def collapse_note(self, superpixels: NDArray[np.int64]) -> str:
        """Return a note if superpixels have far more than `pixels` pixels on average; otherwise return an empty text.

        SLIC joins small superpixels with their neighbours. In a noisy scene, only a few large superpixels may remain.

        Parameters
        ----------
        superpixels : (rows, cols) int64 array
            Superpixels of the scene, as returned by the method `superpixels`.
        """
        numbers = superpixels[superpixels > 0]
        found, expected = len(np.unique(numbers)), round(len(numbers) / self.pixels)
        if found >= _MIN_SHARE * expected:
            return ""
        return f"the scene is too noisy for superpixels of about {self.pixels} pixels: SLIC found {found} where {expected} were asked for"

    def working_bytes(self, pixels: int, classes: int) -> int:
        """Return the memory in bytes of mean probabilities, guide and segmentation; see `SmoothingRule.working_bytes`."""
        return pixels * (24 * classes + 160)


def connected_parts(superpixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the connected parts of each superpixel.

    Parameters
    ----------
    superpixels : (rows, cols) int64 array
        Number of the superpixel of each pixel; 0 at invalid pixels.

    Returns
    -------
    (rows, cols) int64 array
        Number of the part of each pixel, from 1 without gaps; 0 at invalid pixels. Pixels that touch only at a corner
        are not connected.
    """
    from skimage.measure import label

    return np.asarray(label(superpixels, connectivity=1), np.int64)
