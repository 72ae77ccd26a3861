"""Noise policy ``shared``: one noise tensor for all tiles and all timesteps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hsifeat.extraction.noise.gaussian_tiles import DrawnNoiseTiles
from hsifeat.extraction.noise.policy import CleanUnit, NoisePolicy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SharedNoise(NoisePolicy):
    """Use one noise tensor for all tiles and all timesteps, as ddpm-segmentation, MTMSD and GeoDiffNet do."""

    name: ClassVar = "shared"
    form: ClassVar = "shared"
    several_draws: ClassVar = True

    def noised_tiles(self, unit: CleanUnit) -> _SharedNoiseTiles:
        """Return an object that adds noise to the tiles of `unit` at any timestep. See `NoisePolicy.noised_tiles`."""
        return _SharedNoiseTiles(self, unit)


class _SharedNoiseTiles(DrawnNoiseTiles):
    def __init__(self, policy: SharedNoise, unit: CleanUnit) -> None:
        super().__init__(unit, policy.schedule, policy.draws)
        self._seed = policy.seed

    def _draw(self, draw: int) -> torch.Tensor:
        import torch

        # The first draw equals torch.randn after torch.manual_seed, as in the published code. Later draws continue the stream.
        generator = torch.Generator().manual_seed(self._seed)
        shape = (1, *self._clean.shape[1:])
        return [torch.randn(shape, generator=generator) for _ in range(draw + 1)][draw]

    def _select(self, noise: torch.Tensor, batch: slice) -> torch.Tensor:
        return noise.expand(len(self._clean[batch]), -1, -1, -1)
