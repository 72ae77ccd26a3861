"""Diffusion Hyperfeatures: one learned share for each timestep and layer says how much of it a pixel's vector holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.layer_reducer import LayerReducer, layout_or_one_plane, pixels, require_planes, source
from classifiers.heads.mixing import Mixing
from classifiers.heads.parameters import ClassWeight, Count, NotNegative, Positive, Seed, Widths
from classifiers.heads.torch.head import TorchHead, check_widths, dense_layers
from classifiers.heads.torch.rows import NetworkInputs
from classifiers.layout import ColumnGroup, Layout

if TYPE_CHECKING:
    import torch

KERNEL = 3  # side of the bottleneck's middle convolution


class HyperfeaturesClassifier(Mixing, TorchHead):
    """``D = sum_{t,l} softmax(w)_{t,l} B_l(A_{t,l})``, then a small classifier of `D`.

    Luo, Dunlap, Park, Holynski and Darrell, "Diffusion Hyperfeatures", NeurIPS 2023 (arXiv 2305.14334): a bottleneck
    `B_l` per layer, shared over timesteps, and one number `w` per (t, layer), all equal at the start. Theirs has
    convolutions of 1x1, 3x3 and 1x1 with group norm and feeds a matching loss.

    Ours: the 3x3 is there only for patches, of which the inner 3x3 pixels are used; a plane's row shows a single pixel
    and takes the other two. Batch norm stands for group norm, which would mix a single pixel's channels. Each layer
    comes as principal components shared over timesteps, which bounds the cost. A window mean counts as a layer of its
    own. Spectra and their window means, where the table has them, are laid beside `D`; positions and patches of the
    spectra are not used. With no layout all columns are one layer at one timestep.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what.
    components : int or None
        Principal components kept of each layer; None keeps all channels.
    spectral_components : int or None
        The same for spectra and their window means.
    bottleneck : int
        Channels in the middle of a bottleneck; 96 in the paper.
    channels : int
        Channels of `D`; 384 in the paper.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        See `TorchHead`.
    """

    needs = frozenset({"plane"})
    persisted_types = ProbabilisticHead.persisted_types | {"classifiers.heads.layer_reducer.LayerReducer"}
    search_space: ClassVar[dict[str, list[Any]]] = {"components": [32, 64], "learning_rate": [3e-3, 1e-3]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        components: int | None = 32,
        spectral_components: int | None = None,
        bottleneck: Count = 32,
        channels: Count = 64,
        hidden: Widths = (128, 32),
        epochs: int = 60,
        batch_size: int = 64,
        learning_rate: Positive = 3e-3,
        weight_decay: NotNegative = 1e-4,
        patience: int = 20,
        validation_fraction: float | None = None,
        class_weight: ClassWeight = None,
        device: str = "auto",
        random_state: Seed = 0,
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
        self.components = components
        self.spectral_components = spectral_components
        self.bottleneck = bottleneck
        self.channels = channels
        self.hidden = hidden

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - labels are not looked at
        layout = layout_or_one_plane(self.layout, X.shape[1])
        require_planes(layout.learned, layout, "hyperfeatures")
        self.reducer_ = LayerReducer(
            layout, components=self.components, spectral_components=self.spectral_components
        ).fit(X)

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        return (self.reducer_.transform(X),)

    def _network(self) -> torch.nn.Module:
        return hyperfeatures_network(
            self.reducer_.layout_, self.bottleneck, self.channels, self.hidden, len(self.classes_)
        )

    def _shares(self) -> list[tuple[ColumnGroup, float]]:
        check_is_fitted(self)
        powers = np.exp(self.weights_["mixing"].astype(np.float64))
        return list(zip(self.reducer_.layout_.learned, (powers / powers.sum()).tolist(), strict=True))


def hyperfeatures_network(
    layout: Layout, bottleneck: int, channels: int, hidden: tuple[int, ...], classes: int
) -> torch.nn.Module:
    """Build the network of `HyperfeaturesClassifier`.

    Parameters
    ----------
    layout : Layout
        What its input's columns are.
    bottleneck, channels, hidden
        See `HyperfeaturesClassifier`.
    classes : int
        How many logits.

    Returns
    -------
    torch.nn.Module
        ``forward(x)`` of `x` ``(b, layout.width)`` gives logits ``(b, classes)``; `aggregate` gives ``D`` ``(b, channels)``.
    """
    import torch
    from torch import nn

    check_widths([bottleneck, channels])
    sources: dict[str, list[int]] = {}
    for at, group in enumerate(layout.learned):
        sources.setdefault(source(group), []).append(at)
    spectral = layout.columns(*layout.spectral).tolist()

    class Bottleneck(nn.Module):
        def __init__(self, group: ColumnGroup) -> None:
            super().__init__()
            seen = pixels(group)
            self.side, inner = int(seen**0.5), min(KERNEL, int(seen**0.5))
            width = group.width // seen
            self.inner = slice((self.side - inner) // 2, (self.side + inner) // 2)
            self.narrow, self.norm_narrow = nn.Linear(width, bottleneck), nn.BatchNorm1d(bottleneck)
            self.look = nn.Conv2d(bottleneck, bottleneck, inner) if inner > 1 else None
            self.norm_look = nn.BatchNorm1d(bottleneck) if inner > 1 else None
            self.widen, self.norm_widen = nn.Linear(bottleneck, channels), nn.BatchNorm1d(channels)
            self.shortcut, self.norm_shortcut = nn.Linear(width, channels), nn.BatchNorm1d(channels)

        def forward(self, columns: torch.Tensor) -> torch.Tensor:
            maps = columns.reshape(len(columns), self.side, self.side, -1)[:, self.inner, self.inner]  # (b, s, s, k)
            h = torch.relu(self.norm_narrow(self.narrow(maps).movedim(3, 1).flatten(2)))  # (b, bottleneck, s * s)
            h = h.reshape(*h.shape[:2], *maps.shape[1:3])
            if self.look is not None and self.norm_look is not None:
                h = torch.relu(self.norm_look(self.look(h).flatten(1)))[..., None, None]
            centre = maps[:, maps.shape[1] // 2, maps.shape[2] // 2]
            wide = self.norm_widen(self.widen(h[..., 0, 0])) + self.norm_shortcut(self.shortcut(centre))
            return torch.relu(wide)

    class Hyperfeatures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixing = nn.Parameter(torch.ones(len(layout.learned)))
            self.bottlenecks = nn.ModuleList(Bottleneck(layout.learned[ats[0]]) for ats in sources.values())
            self.classifier = nn.Sequential(*dense_layers([channels + len(spectral), *hidden, classes]))

        def aggregate(self, x: torch.Tensor) -> torch.Tensor:
            shares = torch.softmax(self.mixing, dim=0)
            parts = []
            for bottleneck_l, ats in zip(self.bottlenecks, sources.values(), strict=True):
                planes = [x[:, layout.learned[at].start : layout.learned[at].stop] for at in ats]
                seen = bottleneck_l(torch.cat(planes)).reshape(len(ats), len(x), channels)
                parts.append(torch.einsum("t,tbc->bc", shares[ats], seen))
            return torch.stack(parts).sum(dim=0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(torch.cat([self.aggregate(x), x[:, spectral]], dim=1))
            return logits

    return Hyperfeatures()
