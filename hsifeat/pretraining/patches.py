"""Training patches of a scene, drawn around its valid pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import PretrainingError
from hsifeat.pretraining.batches import Batch, generator
from hsifeat.projection import Projection
from hsifeat.scenes.scene import Scene


@dataclass(frozen=True)
class PatchSampler:
    """Draws square patches around valid pixels, flipped and turned by quarters at random; labels play no part.

    Attributes
    ----------
    scene, projection
        What is seen, and through what.
    patch_px : int
        Side of a patch.
    timesteps : int
        T: t is uniform on 0 to T - 1.
    seed : int
        Seed of everything that is drawn.
    """

    scene: Scene
    projection: Projection
    patch_px: int
    timesteps: int
    seed: int

    @property
    def channels(self) -> int:
        """Channels of a patch."""
        return self.projection.channels

    @cached_property
    def _corners(self) -> NDArray[np.intp]:
        """Flat indices of the upper left corners whose patch lies in the scene and has a valid centre."""
        rows, cols = self.scene.rows - self.patch_px + 1, self.scene.cols - self.patch_px + 1
        if rows < 1 or cols < 1:
            raise PretrainingError(
                f"{self.scene.name} is {self.scene.rows} x {self.scene.cols} px, smaller than a patch of {self.patch_px}: "
                "take a larger scene or a preset with smaller patches"
            )
        half = self.patch_px // 2
        corners = np.flatnonzero(self.scene.valid[half : half + rows, half : half + cols])
        if not len(corners):
            raise PretrainingError(
                f"{self.scene.name} has no valid pixel that a patch of {self.patch_px} px fits around"
            )
        return corners

    def draw(self, step: int, count: int) -> Batch:
        """Draw the patches, noise and timesteps of a step."""
        random = generator(self.seed, 1, step)
        cols = self.scene.cols - self.patch_px + 1
        clean = np.stack(
            [
                self._patch(int(corner) // cols, int(corner) % cols, int(turn))
                for corner, turn in zip(
                    random.choice(self._corners, count), random.integers(8, size=count), strict=True
                )
            ]
        )
        t = random.integers(self.timesteps, size=count)
        return Batch(clean, random.standard_normal(clean.shape, dtype=np.float32), t)

    def _patch(self, row: int, col: int, turn: int) -> NDArray[np.float32]:
        inside = slice(row, row + self.patch_px), slice(col, col + self.patch_px)
        patch = self.projection.apply(np.asarray(self.scene.cube[inside]))
        patch[~self.scene.valid[inside]] = 0
        turned = np.rot90(patch[::-1] if turn >= 4 else patch, turn % 4)
        return np.ascontiguousarray(turned.transpose(2, 0, 1))
