"""Base class for tiles with Gaussian noise. The draws of the noise are the same at all timesteps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.extraction.noise.policy import CleanUnit

if TYPE_CHECKING:
    import torch


class DrawnNoiseTiles(ABC):
    """Tiles with noise at timestep t, ``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps``.

    The draws of ``eps`` are the same at all timesteps.

    Parameters
    ----------
    unit : CleanUnit
        Encoded tiles ``x_0``.
    schedule : NoiseSchedule
        Noise schedule; its `alphas_cumprod` are ``abar_t``.
    draws : int
        Number of draws of ``eps``.
    """

    def __init__(self, unit: CleanUnit, schedule: NoiseSchedule, draws: int) -> None:
        self._clean, self._device, self._schedule, self._draws = unit.clean, unit.device, schedule, draws
        self._noise: dict[int, torch.Tensor] = {}

    def at(self, batch: slice, t: int) -> Iterator[torch.Tensor]:
        """Yield a batch of tiles with noise at timestep `t`, once per draw of the noise. See `NoisedTiles.at`."""
        clean = self._clean[batch].to(self._device)
        for draw in range(self._draws):
            if draw not in self._noise:
                self._noise[draw] = self._draw(draw)
            noise = self._select(self._noise[draw], batch).to(self._device)
            yield self._schedule.add_noise(clean, noise, t)

    @abstractmethod
    def _draw(self, draw: int) -> torch.Tensor:
        """Return the noise of all tiles for draw number `draw`, in a form that `_select` accepts."""

    @abstractmethod
    def _select(self, noise: torch.Tensor, batch: slice) -> torch.Tensor:
        """Return the (n, denoiser channels, cell rows, cell cols) noise of a batch from the noise of all tiles."""
