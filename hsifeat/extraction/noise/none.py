"""Noise policy ``none``: the network processes clean tiles at any timestep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hsifeat.extraction.noise.policy import CleanUnit, NoisePolicy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class NoNoise(NoisePolicy):
    """Add no noise to tiles. Use this policy for networks that were trained on clean input.

    An example is CleanDIFT (Stracke et al., "CleanDIFT: diffusion features without noise", arXiv:2412.03439).
    """

    name: ClassVar = "none"
    form: ClassVar = "none"
    noises: ClassVar = False

    def noised_tiles(self, unit: CleanUnit) -> _CleanTiles:
        """Return an object that gives the clean tiles of `unit` at any timestep. See `NoisePolicy.noised_tiles`."""
        return _CleanTiles(unit.clean, unit.device)


class _CleanTiles:
    def __init__(self, clean: torch.Tensor, device: str) -> None:
        self._clean, self._device = clean, device

    def at(self, batch: slice, t: int) -> Iterator[torch.Tensor]:  # noqa: ARG002  # the same at every timestep
        yield self._clean[batch].clone().to(self._device)
