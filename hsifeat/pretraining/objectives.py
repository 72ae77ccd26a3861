"""What a training step minimises. An objective may have parameters of its own, which are trained along and not kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

if TYPE_CHECKING:
    from diffusers import DDPMScheduler


class Objective(nn.Module, ABC):
    """A loss of a network on a batch. It draws no random numbers, so that a step follows from what it is given.

    Parameters
    ----------
    network : torch.nn.Module
        What is going to be trained: sizes are taken from it, and nothing else is kept. Fresh parameters are drawn from
        torch's current seed.
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
            ``network(noised, t, return_dict=False)`` gives ``(predicted noise,)``.
        clean, noise : (n, channels, rows, cols) float32 tensors
            ``x_0`` and ``eps``.
        t : (n,) int64 tensor
            Training timesteps.
        scheduler : DDPMScheduler
            Noises the images (Ho et al. 2020, eq. 4).
        """


class NoisePrediction(Objective):
    """Mean squared error of the predicted noise (Ho et al. 2020, eq. 14)."""

    def forward(
        self, network: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, scheduler: DDPMScheduler
    ) -> torch.Tensor:
        """Return ``mean (eps - eps_theta(x_t, t))^2``."""
        predicted = network(scheduler.add_noise(clean, noise, t), t, return_dict=False)[0]
        return mse_loss(predicted.float(), noise)


class LogAbsoluteContrastive(Objective):
    """DiffCRN's loss (Zhu & Xu 2025): logarithmic absolute error of the noise, and a contrastive term.

    ``L = mean log(1 + |eps - eps_theta|) + weight * InfoNCE``. The paper's formulas could not be read: both terms, the
    weight, the temperature and the projection are our construction. Each patch is noised twice, the second time with the
    noise and the timestep of the batch's next patch. So what two views of a patch have in common is the patch alone,
    and neither noise nor timestep tells which belong together. The noise of both views is predicted.

    Parameters
    ----------
    network : torch.nn.Module
        With ``encode(noised, t)``, which gives maps (n, C, rows, cols); ``output_projection``, from those to the noise;
        and C as ``config.width``.
    weight : float
        Of the contrastive term.
    temperature : float
        What similarities are divided by.
    projected : int
        Channels in which views are compared.
    """

    def __init__(self, network: Any, weight: float = 0.1, temperature: float = 0.1, projected: int = 32) -> None:
        super().__init__(network)
        width = network.config.width
        self.weight, self.temperature = weight, temperature
        self.projection = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, projected))

    def forward(
        self, network: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, scheduler: DDPMScheduler
    ) -> torch.Tensor:
        """Return the sum of both terms."""
        noises, timesteps = torch.cat([noise, noise.roll(-1, 0)]), torch.cat([t, t.roll(-1, 0)])
        noised = scheduler.add_noise(clean.repeat(2, 1, 1, 1), noises, timesteps)
        maps = network.encode(noised, timesteps)  # (2 n, C, rows, cols)
        predicted = network.output_projection(maps)
        one, other = self.projection(maps.mean((2, 3))).float().chunk(2)  # each (n, projected)
        error = log_absolute_error(predicted.float(), noises)
        return error + self.weight * info_nce(one, other, self.temperature)


def log_absolute_error(predicted: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return ``mean log(1 + |eps - eps_theta|)``, our reading of the paper's LAE."""
    return (noise - predicted).abs().log1p().mean()


def info_nce(one: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    """Tell from which patch a view is, by its other view among those of all patches (Oord et al. 2018, eq. 4).

    ``-1/2 mean_i [log softmax_j(s_ij) + log softmax_j(s_ji)]`` at ``j = i``, ``s_ij = cos(one_i, other_j) / temperature``: both
    directions, as Chen et al. 2020 compare them.

    Parameters
    ----------
    one, other : (n, d) float32 tensors
        The two views of each patch.
    temperature : float
        Above 0.
    """
    with torch.autocast(one.device.type, enabled=False):
        similarity = normalize(one, dim=1) @ normalize(other, dim=1).T / temperature  # (n, n)
    own = torch.arange(len(one), device=one.device)
    return (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2
