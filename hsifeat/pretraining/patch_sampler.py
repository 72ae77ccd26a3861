"""Training batches of randomly placed, mirrored and rotated patches of one scene or several scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.pretraining.batches import Batch, Stream, make_generator
from hsifeat.pretraining.patch_grid import PatchGrid
from hsifeat.pretraining.timestep_sampling import TimestepSampling
from hsifeat.types import Cube, Window

_SYMMETRIES = 8


@dataclass(frozen=True)
class PatchSampler:
    """Sampler of square patches with a valid centre pixel. Each patch is mirrored and rotated at random.

    Attributes
    ----------
    scenes : sequence of (rows, cols, channels) float32 array-likes
        Channels of each scene. The sampler reads only the pixels of the drawn patches.
    grids : sequence of PatchGrid
        Positions of the patches of each scene. All positions of all scenes are equally probable.
    timesteps : TimestepSampling
        Distribution of the timesteps.
    seed : int
        Seed of all random numbers.
    """

    scenes: Sequence[Cube]
    grids: Sequence[PatchGrid]
    timesteps: TimestepSampling
    seed: int

    @property
    def channels(self) -> int:
        """Number of channels of a patch."""
        return int(self.scenes[0].shape[2])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(grid) for grid in self.grids], dtype=np.int64)

    def draw(self, step: int, count: int) -> Batch:
        """Draw the batch of an optimizer step: `count` patches, their noise and their timesteps."""
        random = make_generator(self.seed, Stream.BATCH, step)
        numbers = random.integers(self._ends[-1], size=count)
        symmetries = random.integers(_SYMMETRIES, size=count)
        clean = np.stack(
            [apply_symmetry(self._read_patch(int(n)), int(s)) for n, s in zip(numbers, symmetries, strict=True)]
        )
        t = self.timesteps.draw(random, count)
        return Batch(clean, random.standard_normal(clean.shape, dtype=np.float32), t)

    def read_held_out(self) -> NDArray[np.float32] | None:
        """Return each held-out block in 8 mirrored and rotated versions.

        The result is an (8 * blocks, channels, side, side) float32 array, or None if no block is held out.
        """
        blocks = [
            (scene, block) for scene, grid in zip(self.scenes, self.grids, strict=True) for block in grid.held_out
        ]
        views = [
            apply_symmetry(np.asarray(scene[block.slices]), s) for scene, block in blocks for s in range(_SYMMETRIES)
        ]
        return np.stack(views) if views else None

    def _read_patch(self, number: int) -> NDArray[np.float32]:
        i = int(np.searchsorted(self._ends, number, side="right"))
        grid = self.grids[i]
        row, col = grid.locate(number - int(self._ends[i]) + len(grid))
        side = grid.patch_px
        return np.asarray(self.scenes[i][Window(row, col, side, side).slices])


def apply_symmetry(patch: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """Apply one of the 8 symmetries of the square to a patch.

    Parameters
    ----------
    patch : (side, side, channels) float32 array
        The patch.
    number : int
        Number of the symmetry, from 0 to 7. Symmetries 4 to 7 mirror the patch before they rotate it.

    Returns
    -------
    (channels, side, side) float32 array
        The mirrored and rotated patch.
    """
    rotated = np.rot90(patch[::-1] if number >= 4 else patch, number % 4)
    return np.ascontiguousarray(rotated.transpose(2, 0, 1))
