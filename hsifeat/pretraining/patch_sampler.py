"""Training patches of one scene or several, drawn around their valid pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.pretraining.batches import Batch, TimestepRule, generator
from hsifeat.pretraining.patch_grid import Corners
from hsifeat.types import Cube, Window

_SYMMETRIES = 8


@dataclass(frozen=True)
class PatchSampler:
    """Draws square patches around valid pixels, flipped and turned by quarters at random; labels play no part.

    Attributes
    ----------
    scenes : sequence of (rows, cols, channels) array-likes
        What the network sees of each scene; only patches of them are ever read.
    corners : sequence of Corners
        Where patches of each may lie; a scene is drawn as often as it has patches.
    timesteps : TimestepRule
        How timesteps are drawn.
    seed : int
        Seed of everything that is drawn.
    """

    scenes: Sequence[Cube]
    corners: Sequence[Corners]
    timesteps: TimestepRule
    seed: int

    @property
    def channels(self) -> int:
        """Channels of a patch."""
        return int(self.scenes[0].shape[2])

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.cumsum([len(corners) for corners in self.corners], dtype=np.int64)

    def draw(self, step: int, count: int) -> Batch:
        """Draw the patches, noise and timesteps of a step."""
        random = generator(self.seed, 1, step)
        numbers = random.integers(self._ends[-1], size=count)
        turns = random.integers(_SYMMETRIES, size=count)
        clean = np.stack([turned(self._patch(int(n)), int(turn)) for n, turn in zip(numbers, turns, strict=True)])
        t = self.timesteps.draw(random, count)
        return Batch(clean, random.standard_normal(clean.shape, dtype=np.float32), t)

    def held_out(self) -> NDArray[np.float32] | None:
        """Return the held-out blocks, each in its 8 symmetries: (n, channels, side, side); None where there are none."""
        blocks = [(scene, block) for scene, of in zip(self.scenes, self.corners, strict=True) for block in of.held_out]
        views = [turned(np.asarray(scene[b.slices]), turn) for scene, b in blocks for turn in range(_SYMMETRIES)]
        return np.stack(views) if views else None

    def _patch(self, number: int) -> NDArray[np.float32]:
        which = int(np.searchsorted(self._ends, number, side="right"))
        corners = self.corners[which]
        row, col = corners.find(number - int(self._ends[which]) + len(corners))
        side = corners.patch_px
        return np.asarray(self.scenes[which][Window(row, col, side, side).slices])


def turned(patch: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """Return one of the 8 symmetries of a patch (side, side, channels), as (channels, side, side)."""
    whole = np.rot90(patch[::-1] if turn >= 4 else patch, turn % 4)
    return np.ascontiguousarray(whole.transpose(2, 0, 1))
