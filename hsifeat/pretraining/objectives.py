"""Training objectives, which compute the loss of a denoiser and can have trainable parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, l1_loss, mse_loss, normalize

if TYPE_CHECKING:
    from diffusers import DDPMScheduler


class Objective(nn.Module, ABC):
    """Base class of objectives. An objective computes the loss of a network on a batch.

    The loss is computed without random numbers, so that an optimizer step depends only on its batch. The parameters of an
    objective are trained together with the network and discarded at the end. Their initial values come from torch's global
    random generator.

    Parameters
    ----------
    network : torch.nn.Module
        The network to train. The objective reads only the sizes of the network.
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
            The denoiser: ``network(noisy, t, return_dict=False)`` returns ``(predicted noise,)``.
        clean, noise : (n, channels, rows, cols) float32 tensors
            Clean images ``x_0`` and noise ``eps``.
        t : (n,) int64 tensor
            Training timesteps.
        scheduler : DDPMScheduler
            Noise schedule that adds the noise (Ho et al. 2020, eq. 4).
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
            Clean images ``x_0`` and noise ``eps``.
        t : (n,) int64 tensor
            Training timesteps.
        scheduler : DDPMScheduler
            Noise schedule that computes ``x_t``.

        Returns
        -------
        () float32 tensor
            The loss.
        """
        predicted = network(scheduler.add_noise(clean, noise, t), t, return_dict=False)[0]
        return mse_loss(predicted.float(), noise)


class AbsoluteNoisePrediction(Objective):
    """Mean absolute error of the predicted noise, the loss of SpectralDiff (Chen et al. 2023, arXiv 2304.05961)."""

    def forward(
        self, network: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, scheduler: DDPMScheduler
    ) -> torch.Tensor:
        """Return ``mean |eps - eps_theta(x_t, t)|``.

        Parameters
        ----------
        network, clean, noise, t, scheduler
            See `NoisePrediction.forward`.

        Returns
        -------
        () float32 tensor
            The loss.
        """
        predicted = network(scheduler.add_noise(clean, noise, t), t, return_dict=False)[0]
        return l1_loss(predicted.float(), noise)


class LogAbsoluteContrastive(Objective):
    """DiffCRN's loss (Zhu & Xu 2025, arXiv 2502.19699): logarithmic absolute error of the noise plus a contrastive term.

    The loss is ``mean log(1 + |eps - eps_theta|) + weight * InfoNCE``, for the noise ``eps``, the predicted noise
    ``eps_theta`` and the contrastive term ``InfoNCE``. The formulas of the paper were not available: both terms, the weight,
    the temperature and the projection to `projected_channels` are our design. The contrastive term compares two noised views
    of each patch. The first view has the noise and the timestep of the patch. The second view has the noise and the timestep
    of the next patch in the batch, so that the two views share only the clean patch. The network predicts the noise of both
    views.

    Parameters
    ----------
    network : torch.nn.Module
        A network with the attributes of `hsifeat.backbones.networks.diffcrn.DiffCRN`: ``encode(noisy, t)`` returns feature
        maps (n, C, rows, cols), ``output_projection`` maps them to the noise, and ``config.width`` is C.
    weight : float
        Weight of the contrastive term.
    temperature : float
        Divisor of the cosine similarities.
    projected_channels : int
        Number of channels of the vectors that the contrastive term compares.
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
        """Return the logarithmic absolute error plus `weight` times the contrastive term.

        Parameters
        ----------
        network : torch.nn.Module
            The denoiser, as in the class description.
        clean, noise : (n, channels, rows, cols) float32 tensors
            Clean patches ``x_0`` and noise ``eps``.
        t : (n,) int64 tensor
            Training timesteps.
        scheduler : DDPMScheduler
            Noise schedule that computes ``x_t``.

        Returns
        -------
        () float32 tensor
            The loss.
        """
        noises, timesteps = torch.cat([noise, noise.roll(-1, 0)]), torch.cat([t, t.roll(-1, 0)])
        noisy = scheduler.add_noise(clean.repeat(2, 1, 1, 1), noises, timesteps)
        maps = network.encode(noisy, timesteps)  # (2 n, C, rows, cols)
        predicted = network.output_projection(maps)
        first, second = self.projection(maps.mean((2, 3))).float().chunk(2)  # each (n, projected channels)
        error = log_absolute_error(predicted.float(), noises)
        return error + self.weight * info_nce(first, second, self.temperature)


def log_absolute_error(predicted: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return ``mean log(1 + |noise - predicted|)``, our reading of the logarithmic absolute error of Zhu & Xu 2025.

    `predicted` and `noise` are (n, channels, rows, cols) float32 tensors, and the result is a () float32 tensor.
    """
    return (noise - predicted).abs().log1p().mean()


def info_nce(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the symmetric InfoNCE loss between two views of n patches (Oord et al. 2018, eq. 4).

    With ``s_ij = cos(first_i, second_j) / temperature`` for the patches i and j, the loss is the mean over i of
    ``-1/2 [log softmax_j(s_ij) + log softmax_j(s_ji)]`` at ``j = i``. The loss is small if each view is most similar to the other
    view of its patch. As in Chen et al. 2020, the loss is averaged over both directions of the comparison.

    Parameters
    ----------
    first, second : (n, d) float32 tensors
        Vectors of the first and of the second view of each patch.
    temperature : float
        Divisor of the similarities, above 0.

    Returns
    -------
    () float32 tensor
        The loss.
    """
    with torch.autocast(first.device.type, enabled=False):
        similarity = normalize(first, dim=1) @ normalize(second, dim=1).T / temperature  # (n, n)
    pairs = torch.arange(len(first), device=first.device)
    return (cross_entropy(similarity, pairs) + cross_entropy(similarity.T, pairs)) / 2
