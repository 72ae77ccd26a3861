"""Networks of GeoDiffNet-F: encoders of spectra, and two fusions of encoded spectra with diffusion features."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from classifiers.heads.torch.head import dense_layers

if TYPE_CHECKING:
    import torch

POOLING = 4  # the convolutional encoder halves the spectrum twice
GATED_CHANNELS = 256


def film_network(encoder: str, bands: int, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network that modulates features `f` by a spectrum `s`, and classifies the result.

    The result is ``fhat = gamma(s) * f + beta(s)``, see `FiLMClassifier`.

    Parameters
    ----------
    encoder : {"mlp", "conv"}
        Spectral encoder, a key of `ENCODERS`.
    bands, channels : int
        Number of bands of `s`, and number of diffusion features in `f`.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    classes : int
        Number of logits.

    Returns
    -------
    torch.nn.Module
        ``forward(s, f)`` returns logits (b, classes) for `s` (b, bands) and `f` (b, channels). ``modulate(s, f)`` returns
        ``fhat`` (b, channels).
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
            # The regressor returns gamma - 1, so training starts at gamma = 1 and weight decay pulls gamma towards 1, not 0.
            excess, beta = self.regressor(self.encoder(s)).chunk(2, dim=1)  # (b, channels) each
            modulated: torch.Tensor = (1 + excess) * f + beta
            return modulated

        def forward(self, s: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(self.modulate(s, f))
            return logits

    return FiLM()


def gated_network(encoder: str, bands: int, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network that classifies the gated sum of spectrum `s` and features `f`.

    The docstring of `FiLMClassifier` defines the gated sum.

    Parameters
    ----------
    encoder : {"mlp", "conv"}
        Spectral encoder, a key of `ENCODERS`.
    bands, channels : int
        Number of bands of the spectrum, and number of diffusion features.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    classes : int
        Number of logits.

    Returns
    -------
    torch.nn.Module
        ``forward(s, f)`` returns logits (b, classes) for `s` (b, bands) and `f` (b, channels).
    """
    import torch
    from torch import nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, encoded = ENCODERS[encoder](bands)
            self.project_features = nn.Sequential(nn.Linear(channels, GATED_CHANNELS), nn.BatchNorm1d(GATED_CHANNELS))
            self.project_spectrum = nn.Sequential(nn.Linear(encoded, GATED_CHANNELS), nn.BatchNorm1d(GATED_CHANNELS))
            self.alpha, self.beta = (nn.Parameter(torch.ones(GATED_CHANNELS)) for _ in range(2))
            widths = [GATED_CHANNELS, *hidden]
            stack = [
                layer
                for before, after in pairwise(widths)
                for layer in (nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU())
            ]
            self.classifier = nn.Sequential(*stack, nn.Linear(widths[-1], classes))

        def forward(self, s: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
            p, q = self.project_features(f), self.project_spectrum(self.encoder(s))  # (b, 256) each
            logits: torch.Tensor = self.classifier(self.alpha.sigmoid() * p + self.beta.sigmoid() * q)
            return logits

    return Gated()


def mlp_encoder(bands: int) -> tuple[torch.nn.Module, int]:
    """Return an encoder and its output width. The encoder is one linear layer with ReLU and batch norm."""
    from torch import nn

    return nn.Sequential(*dense_layers([bands, 128, 128])[:-1]), 128


def conv_encoder(bands: int) -> tuple[torch.nn.Module, int]:
    """Return the convolutional encoder of GeoSpecNet and its output width.

    Spectra of fewer than `POOLING` bands are padded with zeros.
    """
    from torch import nn

    padded = max(bands, POOLING)
    stack = [nn.ConstantPad1d((0, padded - bands), 0.0), nn.Unflatten(1, (1, padded))]
    for before, after in ((1, 16), (16, 32)):
        stack += [nn.Conv1d(before, after, 3, padding=1), nn.BatchNorm1d(after), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*stack, nn.Flatten()), 32 * (padded // POOLING)


# Builders of spectral encoders by name, and builders of fusion networks by name. Each fusion network has default widths of
# the hidden layers.
ENCODERS = {"mlp": mlp_encoder, "conv": conv_encoder}
FUSIONS = {"film": (film_network, (128, 32)), "gated": (gated_network, (128,))}
