"""Training objectives: the losses that a denoiser minimises, with the parameters that only the loss has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

if TYPE_CHECKING:
    from diffusers import DDPMScheduler


class Objective(nn.Module, ABC):
    """A loss of a network on a batch. It is deterministic, so that a step depends on its batch alone.

    Its own parameters are trained together with the network and discarded in the end.

    Parameters
    ----------
    network : torch.nn.Module
        The network that will be trained; only its sizes are used. Parameters of the objective are drawn from torch's current
        seed.
    """

    def __init__(self, network: nn.Module) -> None:  # noqa: ARG002  # for subclasses
        super().__init__()

    @abstractmethod
    def forward(
        self, network: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, scheduler: DDPMScheduler
    ) -> torch.Tensor:
        """Return the loss, a float32 scalar.

        Parameters
        ----------
        network : torch.nn.Module
            ``network(noisy, t, return_dict=False)`` returns ``(predicted noise,)``.
        clean, noise : (n, channels, rows, cols) float32 tensors
            ``x_0`` and ``eps``.
        t : (n,) int64 tensor
            Training timesteps.
        scheduler : DDPMScheduler
            Adds the noise (Ho et al. 2020, eq. 4).
        """


class NoisePrediction(Objective):
    """Mean squared error of the predicted noise (Ho et al. 2020, eq. 14)."""

    def forward(
        self, network: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, scheduler: DDPMScheduler
    ) -> torch.Tensor:
        """Return ``mean (eps - eps_theta(x_t, t))^2`` (Ho et al. 2020, eq. 14).

        Parameters
        ----------
        network : torch.nn.Module
            The denoiser ``eps_theta``.
        clean, noise : (n, channels, rows, cols) float32 tensors
            ``x_0`` and ``eps``.
        t : (n,) int64 tensor
            Timesteps.
        scheduler : DDPMScheduler
            Noise schedule that forms ``x_t``.

        Returns
        -------
        () float32 tensor
            The loss.
        """
        predicted = network(scheduler.add_noise(clean, noise, t), t, return_dict=False)[0]
        return mse_loss(predicted.float(), noise)


class LogAbsoluteContrastive(Objective):
    """DiffCRN's loss (Zhu & Xu 2025, arXiv 2502.19699): logarithmic absolute error of the noise, and a contrastive term.

    ``L = mean log(1 + |eps - eps_theta|) + weight * InfoNCE``. The formulas of the paper could not be read: both terms, the
    weight, the temperature and the projection are our construction. Each patch is noised twice, the second time with the
    noise and the timestep of the next patch of the batch. Two views of a patch thus share only the patch: neither noise nor
    timestep reveals the pairs. The noise of both views is predicted.

    Parameters
    ----------
    network : torch.nn.Module
        Has ``encode(noisy, t)``, which returns maps (n, C, rows, cols), ``output_projection`` from these to the noise, and
        ``config.width``, which is C.
    weight : float
        Weight of the contrastive term.
    temperature : float
        Divisor of the cosine similarities.
    projected_channels : int
        Channels of the projections that are compared.
    """

    def __init__(
        self, network: Any, weight: float = 0.1, temperature: float = 0.1, projected_channels: int = 32
    ) -> None:
        super().__init__(network)
        width = network.config.width
        self.weight, self.temperature = weight, temperature
        self.projection = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, projected_channels))

    def forward(
        self, network: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, scheduler: DDPMScheduler
    ) -> torch.Tensor:
        """Return the logarithmic absolute error plus `weight` times the contrastive term. See `NoisePrediction.forward`."""
        noises, timesteps = torch.cat([noise, noise.roll(-1, 0)]), torch.cat([t, t.roll(-1, 0)])
        noisy = scheduler.add_noise(clean.repeat(2, 1, 1, 1), noises, timesteps)
        maps = network.encode(noisy, timesteps)  # (2 n, C, rows, cols)
        predicted = network.output_projection(maps)
        first, second = self.projection(maps.mean((2, 3))).float().chunk(2)  # each (n, projected channels)
        error = log_absolute_error(predicted.float(), noises)
        return error + self.weight * info_nce(first, second, self.temperature)


def log_absolute_error(predicted: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return ``mean log(1 + |eps - eps_theta|)``, () float32, for predicted and true noise (n, channels, rows, cols).

    It is our reading of the LAE of Zhu & Xu 2025.
    """
    return (noise - predicted).abs().log1p().mean()


def info_nce(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the symmetric InfoNCE loss of identifying each patch's second view among all (Oord et al. 2018, eq. 4).

    ``-1/2 mean_i [log softmax_j(s_ij) + log softmax_j(s_ji)]`` at ``j = i``, ``s_ij = cos(first_i, second_j) / temperature``: both
    directions are compared, as in Chen et al. 2020.

    Parameters
    ----------
    first, second : (n, d) float32 tensors
        The two views of each patch.
    temperature : float
        Divisor of the similarities, above 0.

    Returns
    -------
    float32 scalar tensor
    """
    with torch.autocast(first.device.type, enabled=False):
        similarity = normalize(first, dim=1) @ normalize(second, dim=1).T / temperature  # (n, n)
    pairs = torch.arange(len(first), device=first.device)
    return (cross_entropy(similarity, pairs) + cross_entropy(similarity.T, pairs)) / 2
