"""The networks of GeoDiffNet-F: encoders of a spectrum, and two ways in which it meets diffusion features."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from classifiers.heads.torch.head import check_widths, dense_layers

if TYPE_CHECKING:
    import torch

POOLED = 4  # the convolutional encoder halves the spectrum twice
GATED = 256  # channels of the gated sum


def film_network(encoder: str, bands: int, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network of FiLM.

    Returns
    -------
    torch.nn.Module
        ``forward(s, f)`` of `s` ``(b, bands)`` and `f` ``(b, channels)`` gives logits ``(b, classes)``; `modulate`,
        of the same two, gives ``fhat`` ``(b, channels)``.
    """
    from torch import nn

    class FiLM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, encoded = ENCODERS[encoder](bands)
            self.regressor = nn.Linear(encoded, 2 * channels)
            nn.init.zeros_(self.regressor.weight)
            nn.init.zeros_(self.regressor.bias)
            self.classifier = nn.Sequential(*dense_layers([channels, *hidden, classes]))

        def modulate(self, s: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
            # Regressing gamma - 1 starts at the identity, and lets weight decay pull towards it and not towards 0.
            excess, beta = self.regressor(self.encoder(s)).chunk(2, dim=1)  # (b, channels) each
            modulated: torch.Tensor = (1 + excess) * f + beta
            return modulated

        def forward(self, s: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(self.modulate(s, f))
            return logits

    return FiLM()


def gated_network(encoder: str, bands: int, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network of the gated sum.

    Returns
    -------
    torch.nn.Module
        ``forward(s, f)`` of `s` ``(b, bands)`` and `f` ``(b, channels)`` gives logits ``(b, classes)``.
    """
    import torch
    from torch import nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, encoded = ENCODERS[encoder](bands)
            self.of_features = nn.Sequential(nn.Linear(channels, GATED), nn.BatchNorm1d(GATED))
            self.of_spectrum = nn.Sequential(nn.Linear(encoded, GATED), nn.BatchNorm1d(GATED))
            self.alpha, self.beta = (nn.Parameter(torch.ones(GATED)) for _ in range(2))
            widths = [GATED, *hidden]
            check_widths(widths)
            stack = [
                layer
                for before, after in pairwise(widths)
                for layer in (nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())
            ]
            self.classifier = nn.Sequential(*stack, nn.Linear(widths[-1], classes))

        def forward(self, s: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
            p, q = self.of_features(f), self.of_spectrum(self.encoder(s))  # (b, 256) each
            logits: torch.Tensor = self.classifier(self.alpha.sigmoid() * p + self.beta.sigmoid() * q)
            return logits

    return Gated()


def mlp_encoder(bands: int) -> tuple[torch.nn.Module, int]:
    """Return the encoder and its width."""
    from torch import nn

    return nn.Sequential(*dense_layers([bands, 128, 128])[:-1]), 128


def conv_encoder(bands: int) -> tuple[torch.nn.Module, int]:
    """Return GeoSpecNet's encoder and its width. A spectrum too short to be halved twice is padded with zeros."""
    from torch import nn

    padded = max(bands, POOLED)
    stack = [nn.ConstantPad1d((0, padded - bands), 0.0), nn.Unflatten(1, (1, padded))]
    for before, after in ((1, 16), (16, 32)):
        stack += [nn.Conv1d(before, after, 3, padding=1), nn.BatchNorm1d(after), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*stack, nn.Flatten()), 32 * (padded // POOLED)


# How a spectrum is encoded, and how it meets the features: the network, and the widths of its classifier.
ENCODERS = {"mlp": mlp_encoder, "conv": conv_encoder}
FUSIONS = {"film": (film_network, (128, 32)), "gated": (gated_network, (128,))}
