"""Noise policy ``shared``: one noise tensor for all tiles and timesteps, as in published extractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hsifeat.backbones.protocol import Backbone
from hsifeat.extraction.noise.gaussian_tiles import DrawnNoiseTiles
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SharedNoise(NoisePolicy):
    """Noise every tile at every timestep by the same tensor, as ddpm-segmentation, MTMSD and GeoDiffNet do."""

    name: ClassVar = "shared"
    form: ClassVar = "shared"
    several_draws: ClassVar = True

    def noised_tiles(
        self,
        backbone: Backbone,  # noqa: ARG002
        clean: torch.Tensor,
        cells: Sequence[Window],  # noqa: ARG002
        *,
        device: str,
        batch: int,  # noqa: ARG002
    ) -> _SharedNoiseTiles:
        """Begin a unit; see `NoisePolicy.noised_tiles`."""
        return _SharedNoiseTiles(self, clean, device)


class _SharedNoiseTiles(DrawnNoiseTiles):
    def __init__(self, policy: SharedNoise, clean: torch.Tensor, device: str) -> None:
        super().__init__(clean, policy.schedule, policy.draws, device)
        self._seed = policy.seed

    def _draw(self, draw: int) -> torch.Tensor:
        import torch

        # All draws come from one generator: the first is what torch.randn gives after manual_seed, as in the papers.
        generator = torch.Generator().manual_seed(self._seed)
        shape = (1, *self._clean.shape[1:])
        return [torch.randn(shape, generator=generator) for _ in range(draw + 1)][draw]

    def _select(self, noise: torch.Tensor, batch: slice) -> torch.Tensor:
        return noise.expand(len(self._clean[batch]), -1, -1, -1)
