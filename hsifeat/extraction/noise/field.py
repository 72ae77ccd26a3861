"""Noise policy ``field``: overlapping tiles get the same noise at the same scene pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hsifeat.extraction.noise.gaussian_tiles import DrawnNoiseTiles
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.noise.policy import CleanUnit, NoisePolicy
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FieldNoise(NoisePolicy):
    """Add noise from a noise field that covers the scene.

    Each tile gets the part of the field at the tile's position. The field is the same at all timesteps; see `noise_field`.
    """

    name: ClassVar = "field"
    form: ClassVar = "field"
    several_draws: ClassVar = True
    aligned: ClassVar = True

    def noised_tiles(self, unit: CleanUnit) -> _FieldNoiseTiles:
        """Return an object that adds noise to the tiles of `unit` at any timestep. See `NoisePolicy.noised_tiles`."""
        return _FieldNoiseTiles(self, unit)


class _FieldNoiseTiles(DrawnNoiseTiles):
    """Tiles with noise from a noise field.

    The field is generated for the bounding box of all tiles, or for each tile separately if this needs fewer values.
    """

    def __init__(self, policy: FieldNoise, unit: CleanUnit) -> None:
        super().__init__(unit, policy.schedule, policy.draws)
        cells = unit.cells
        self._seed, self._cells = policy.seed, cells
        self._bounds = bounding_window(cells) if cells else Window(0, 0, 0, 0)
        self._scattered = self._bounds.rows * self._bounds.cols > sum(cell.rows * cell.cols for cell in cells)

    def _draw(self, draw: int) -> torch.Tensor:
        import torch

        windows = self._cells if self._scattered else [self._bounds]
        fields = [noise_field(window, self._clean.shape[1], self._seed, draw) for window in windows]
        return torch.from_numpy(np.stack(fields))

    def _select(self, noise: torch.Tensor, batch: slice) -> torch.Tensor:
        import torch

        if self._scattered:
            return noise[batch]
        bounds = self._bounds
        shifted = (Window(w.row - bounds.row, w.col - bounds.col, w.rows, w.cols) for w in self._cells[batch])
        return torch.stack([noise[0, :, *window.slices] for window in shifted])


def bounding_window(windows: Sequence[Window]) -> Window:
    """Return the bounding box of windows.

    >>> bounding_window([Window(0, 4, 2, 2), Window(3, 1, 2, 2)])
    Window(row=0, col=1, rows=5, cols=5)
    """
    top, left = min(w.row for w in windows), min(w.col for w in windows)
    bottom, right = max(w.row + w.rows for w in windows), max(w.col + w.cols for w in windows)
    return Window(top, left, bottom - top, right - left)
