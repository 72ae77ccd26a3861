"""What a network is trained to lower: cross-entropy or focal loss, row by row, and mix-up of several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

SMALLEST_DOUBT = 1e-6  # of 1 - p, whose powers below one have no gradient at 0


@dataclass(frozen=True)
class MixUp:
    """Mix-up with a strength for each input of a network.

    Zhang et al., ICLR 2018, train on ``lambda * x + (1 - lambda) * x'``, with x' another row and lambda ~ Beta(a, a).
    GeoDiffNet-F (Hu, Banerjee and Prasad, code of 2024) draws a lambda of its own for the spectra and for the
    diffusion features, and weighs the labels by a mean of the two.

    Attributes
    ----------
    strengths : tuple of float
        The `a` of each input; 0 leaves an input as it is (lambda 1).
    shares : tuple of float
        What each input's lambda counts in that of the labels; they add up to 1.
    """

    strengths: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if min(self.strengths) < 0:
            raise HeadError(f"a strength of mix-up is {min(self.strengths)}; give 0 for none, or more")
        if not all(0 <= share <= 1 for share in self.shares):
            raise HeadError(f"the inputs' shares in the label weight of mix-up are {self.shares}; give 0 to 1")

    def draw(self) -> list[float]:
        """Draw the lambda of each input by torch's current random state."""
        import torch

        return [float(torch.distributions.Beta(a, a).sample()) if a else 1.0 for a in self.strengths]

    def label_weight(self, lambdas: Sequence[float]) -> float:
        """Return how much a row's own label counts beside its partner's."""
        return sum(share * one for share, one in zip(self.shares, lambdas, strict=True))


def mix(inputs: Sequence[torch.Tensor], partner: torch.Tensor, lambdas: Sequence[float]) -> list[torch.Tensor]:
    """Return ``lambda * x + (1 - lambda) * x[partner]`` for each input ``(b, …)`` and its lambda."""
    return [one * x + (1 - one) * x[partner] for x, one in zip(inputs, lambdas, strict=True)]


def row_losses(logits: torch.Tensor, target: torch.Tensor, focal_gamma: float = 0.0) -> torch.Tensor:
    """Return ``-(1 - p)**gamma * log p`` ``(b,)``, with p the probability of a row's class.

    The focal loss of Lin et al., ICCV 2017, eq. 4; cross-entropy for a gamma of 0.

    Parameters
    ----------
    logits : (b, C) tensor
        What a network says.
    target : (b,) int64 tensor
        Class codes.
    focal_gamma : float
        How little rows count that are known already.
    """
    from torch.nn import functional

    entropy = functional.cross_entropy(logits, target, reduction="none")
    if not focal_gamma:
        return entropy
    doubt = (-(-entropy).expm1()).clamp(min=SMALLEST_DOUBT)  # 1 - p, exact near p = 1
    return doubt**focal_gamma * entropy
