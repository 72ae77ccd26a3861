"""Training losses (cross-entropy and focal loss), and mix-up for networks with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

MIN_COMPLEMENT = 1e-6  # lower bound of 1 - p: at 0 the gradient of a power below 1 is infinite


@dataclass(frozen=True)
class MixUp:
    """Mix-up with a separate strength for each input of a network.

    Zhang et al. (ICLR 2018, sec. 2) train on ``lambda * x + (1 - lambda) * x'``. Here, x' is another row, and lambda is
    drawn from Beta(a, a). GeoDiffNet-F (Hu, Banerjee and Prasad, code of 2024) draws separate lambdas for the spectra
    and for the diffusion features. The lambda of the labels is the weighted mean of these two lambdas.

    Attributes
    ----------
    strengths : tuple of float
        Strength `a` of each input. With 0, the input is not mixed: lambda is 1.
    shares : tuple of float
        Weight of each input's lambda in the lambda of the labels. The weights add up to 1.

    Examples
    --------
    >>> MixUp(strengths=(0.2, 0.0), shares=(0.5, 0.5)).label_weight([0.6, 1.0])
    0.8
    """

    strengths: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if min(self.strengths) < 0:
            raise HeadError(f"a mix-up strength is {min(self.strengths)}; give 0 for no mixing, or more")
        if not all(0 <= share <= 1 for share in self.shares):
            raise HeadError(f"the mix-up shares of the inputs are {self.shares}; give numbers from 0 to 1")

    def draw(self) -> list[float]:
        """Draw the lambda of each input from torch's global random generator."""
        import torch

        return [float(torch.distributions.Beta(a, a).sample()) if a else 1.0 for a in self.strengths]

    def label_weight(self, lambdas: Sequence[float]) -> float:
        """Return the lambda of the labels: the mean of the lambdas of the inputs, weighted by `shares`."""
        return sum(share * value for share, value in zip(self.shares, lambdas, strict=True))


def mix(inputs: Sequence[torch.Tensor], partner: torch.Tensor, lambdas: Sequence[float]) -> list[torch.Tensor]:
    """Return ``lambda * x + (1 - lambda) * x[partner]`` for each input.

    Parameters
    ----------
    inputs : sequence of (b, …) float32 tensors
        Inputs ``x`` of a batch.
    partner : (b,) int64 tensor
        Index of the row with which each row is mixed.
    lambdas : sequence of float
        Mixing weight lambda of each input, from 0 to 1.

    Returns
    -------
    list of (b, …) float32 tensors
        The mixed inputs.
    """
    return [value * x + (1 - value) * x[partner] for x, value in zip(inputs, lambdas, strict=True)]


def row_losses(logits: torch.Tensor, target: torch.Tensor, focal_gamma: float = 0.0) -> torch.Tensor:
    """Return the focal loss ``-(1 - p)**focal_gamma * log p`` of each row; p is the probability of the row's class.

    The loss is eq. 4 of Lin et al., ICCV 2017. A `focal_gamma` of 0 gives cross-entropy.

    Parameters
    ----------
    logits : (b, C) float32 tensor
        Outputs of a network before the softmax.
    target : (b,) int64 tensor or (b, C) float32 tensor
        Class codes, or the proportion of each class. For proportions ``q``, ``log p`` is ``sum_c q_c log p_c``.
    focal_gamma : float
        Exponent. With a larger exponent, rows that are already classified with confidence have less weight.

    Returns
    -------
    (b,) float32 tensor
        Loss of each row, at least 0.
    """
    from torch.nn import functional

    entropy = functional.cross_entropy(logits, target, reduction="none")
    if not focal_gamma:
        return entropy
    complement = (-(-entropy).expm1()).clamp(min=MIN_COMPLEMENT)  # 1 - p, exact near p = 1
    return complement**focal_gamma * entropy
