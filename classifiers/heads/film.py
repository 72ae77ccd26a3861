"""GeoDiffNet-F's fusion: the spectrum of a pixel modulates what the diffusion model saw there (FiLM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.base import ClassWeight
from classifiers.heads.columns import GroupReducer
from classifiers.heads.torch_head import TorchHead, dense_layers
from classifiers.heads.torch_training import Inputs
from classifiers.layout import Layout
from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch

POOLED = 4  # the convolutional encoder halves the spectrum twice


class FiLMClassifier(TorchHead):
    """``fhat = gamma(s) * f + beta(s)``, element by element, then a small classifier of `fhat`.

    Hu, Banerjee and Prasad 2025 (arXiv 2512.03430): an encoder of the spectrum `s` regresses `gamma` and `beta`, one
    number each per channel of the diffusion features `f`. Their encoder's size is not published. Training starts at
    the identity: gamma 1, beta 0, exactly; weight decay pulls back to it, hence its large default.

    Spectra are standardised band by band. Planes are standardised and reduced to principal components, which then are
    the channels: that is faster, and in a trial on Indian Pines with window means in place of planes it lost nothing
    clear on disjoint blocks, a little on random pixels. With no layout all columns are both `s` and `f`.

    Parameters
    ----------
    layout : Layout or None
        Its spectral groups are `s`, its plane groups `f`; positions are not used.
    encoder : {"mlp", "conv"}
        "mlp" is linear 128, ReLU, batch norm. "conv" is GeoSpecNet's stack of the same authors, twice Conv1d of width 3
        (16, then 32 channels), batch norm, ReLU, pooling by 2: about ten times slower, and no better in that trial.
    plane_components : int or None
        Principal components kept of the planes; None keeps all channels.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        See `TorchHead`.
    """

    needs = frozenset({"spectra", "plane"})

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        encoder: str = "mlp",
        plane_components: int | None = 64,
        hidden: tuple[int, ...] = (128, 32),
        epochs: int = 60,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 1.0,
        patience: int = 20,
        validation_fraction: float = 0.1,
        class_weight: ClassWeight = None,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            layout,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            patience=patience,
            validation_fraction=validation_fraction,
            class_weight=class_weight,
            device=device,
            random_state=random_state,
        )
        self.encoder = encoder
        self.plane_components = plane_components
        self.hidden = hidden

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - labels are not looked at
        if self.encoder not in ("mlp", "conv"):
            raise HeadError(f"no encoder is named {self.encoder!r}; allowed: mlp, conv")
        spectra, planes = self._columns(X.shape[1])
        self.spectra_ = _standardiser(len(spectra), None).fit(X[:, spectra])
        components = self.plane_components
        channels = len(planes) if components is None else min(components, len(planes), len(X))
        self.planes_ = _standardiser(channels, components).fit(X[:, planes])

    def _inputs(self, X: NDArray[np.floating]) -> Inputs:
        spectra, planes = self._columns(X.shape[1])
        return self.spectra_.transform(X[:, spectra]), self.planes_.transform(X[:, planes])

    def _network(self) -> torch.nn.Module:
        widths = self.spectra_.n_features_out, self.planes_.n_features_out
        return film_network(self.encoder, *widths, self.hidden, len(self.classes_))

    def _columns(self, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the columns of `s` and those of `f`."""
        if self.layout is None:
            return np.arange(width), np.arange(width)
        spectral, learned = self.layout.spectral, self.layout.learned
        if not spectral or not learned:
            has = ", ".join(dict.fromkeys(map(str, self.layout))) or "no columns"
            raise HeadError(f"film needs spectra and planes, the table has {has}; build it with spectra and planes")
        return self.layout.columns(*spectral), self.layout.columns(*learned)


def film_network(encoder: str, bands: int, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network of `FiLMClassifier`.

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
            self.encoder, encoded = _conv_encoder(bands) if encoder == "conv" else _mlp_encoder(bands)
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


def _mlp_encoder(bands: int) -> tuple[torch.nn.Module, int]:
    """Return the encoder and its width."""
    from torch import nn

    return nn.Sequential(*dense_layers([bands, 128, 128])[:-1]), 128


def _conv_encoder(bands: int) -> tuple[torch.nn.Module, int]:
    """Return GeoSpecNet's encoder and its width. A spectrum too short to be halved twice is padded with zeros."""
    from torch import nn

    padded = max(bands, POOLED)
    stack = [nn.ConstantPad1d((0, padded - bands), 0.0), nn.Unflatten(1, (1, padded))]
    for before, after in ((1, 16), (16, 32)):
        stack += [nn.Conv1d(before, after, 3, padding=1), nn.BatchNorm1d(after), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*stack, nn.Flatten()), 32 * (padded // POOLED)


def _standardiser(width: int, components: int | None) -> GroupReducer:
    """Return a reducer whose `width` output columns have a variance of 1 on average."""
    return GroupReducer(spectral_components=components, spectral_weight=float(np.sqrt(width)))
