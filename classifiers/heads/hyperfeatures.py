"""Diffusion Hyperfeatures: a learned weighted sum of features over timesteps and layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.layer_reducer import LayerReducer, layout_or_one_plane, require_planes
from classifiers.heads.mixing import MixingHead
from classifiers.heads.parameters import Components, Units, Widths
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.head import TorchHead, dense_layers
from classifiers.layout import ColumnGroup, Layout

if TYPE_CHECKING:
    import torch

KERNEL = 3  # side of the bottleneck's middle convolution


@dataclass(eq=False, repr=False, kw_only=True)
class HyperfeaturesClassifier(MixingHead, TorchHead):
    """Diffusion Hyperfeatures: a learned weighted sum over timesteps and layers, then a small classifier.

    The weighted sum is ``D = sum_{t,l} softmax(w)_{t,l} B_l(A_{t,l})``, the aggregation network of Luo, Dunlap, Park, Holynski
    and Darrell (NeurIPS 2023, arXiv 2305.14334). `A_{t,l}` are the features of layer l at timestep t, and `B_l` is a bottleneck
    that all timesteps of a layer share. `w` has one weight per timestep and layer, all equal before training. The published
    bottleneck consists of 1x1, 3x3 and 1x1 convolutions with group norm, and is trained with a matching loss.

    This head differs from the paper:

    - The 3x3 convolution is applied only to patches, and reads the inner 3x3 pixels of a patch. Planes without patches
      have only one pixel per table row, so they skip the convolution.
    - Batch norm replaces group norm, which would mix the channels of a single pixel.
    - Each layer is reduced to principal components, to limit the cost. All timesteps of a layer share the components.
    - The window means of a layer count as another layer.
    - Spectra and their window means, if the table has them, are appended to `D`. Positions and spectral patches are not used.

    Without a layout, all columns count as one layer at one timestep.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns.
    components : int or None
        Number of principal components of each layer; None keeps all channels.
    spectral_components : int or None
        Number of principal components of the spectra and of their window means; None keeps all bands.
    bottleneck : int
        Number of channels inside each bottleneck; 96 in the paper.
    channels : int
        Number of channels of `D`; 384 in the paper.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> layout = Layout((ColumnGroup("plane", 0, 3, t=50, layer="mid"), ColumnGroup("plane", 3, 6, t=100, layer="mid")))
    >>> head = HyperfeaturesClassifier(layout, epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> list(head.mixing_weights_)
    ['t50/mid', 't100/mid']
    """

    advice = "many timesteps and layers, to see which of them matter"

    needs = frozenset({"plane"})
    persisted_types = ProbabilisticHead.persisted_types | {"classifiers.heads.layer_reducer.LayerReducer"}
    ignores = frozenset({"context", "spectral-patch"})
    search_space: ClassVar[dict[str, list[Any]]] = {"components": [32, 64], "learning_rate": [3e-3, 1e-3]}

    components: Components = 32
    spectral_components: Components = None
    bottleneck: Units = 32
    channels: Units = 64
    hidden: Widths = (128, 32)

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - unsupervised
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
        exponentials = np.exp(self.weights_["mixing"].astype(np.float64))
        shares = (exponentials / exponentials.sum()).tolist()
        return list(zip(self.reducer_.layout_.learned, shares, strict=True))


def hyperfeatures_network(
    layout: Layout, bottleneck: int, channels: int, hidden: tuple[int, ...], classes: int
) -> torch.nn.Module:
    """Build the network of `HyperfeaturesClassifier`, whose docstring defines the weighted sum `D`.

    Parameters
    ----------
    layout : Layout
        Description of the input columns.
    bottleneck, channels : int
        Number of channels inside each bottleneck, and number of channels of `D`.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    classes : int
        Number of logits.

    Returns
    -------
    torch.nn.Module
        ``forward(x)`` returns logits (b, classes) for b rows `x` (b, layout.width). ``aggregate(x)`` returns `D` (b,
        channels).
    """
    import torch
    from torch import nn

    sources: dict[str, list[int]] = {}
    for number, group in enumerate(layout.learned):
        sources.setdefault(group.layer_key, []).append(number)
    spectral = layout.columns(*layout.spectral).tolist()

    class Bottleneck(nn.Module):
        def __init__(self, group: ColumnGroup) -> None:
            super().__init__()
            self.side = int(group.patch_pixels**0.5)
            inner, width = min(KERNEL, self.side), group.channels
            self.inner = slice((self.side - inner) // 2, (self.side + inner) // 2)
            self.narrow, self.norm_narrow = nn.Linear(width, bottleneck), nn.BatchNorm1d(bottleneck)
            self.convolve = nn.Conv2d(bottleneck, bottleneck, inner) if inner > 1 else None
            self.norm_convolve = nn.BatchNorm1d(bottleneck) if inner > 1 else None
            self.widen, self.norm_widen = nn.Linear(bottleneck, channels), nn.BatchNorm1d(channels)
            self.shortcut, self.norm_shortcut = nn.Linear(width, channels), nn.BatchNorm1d(channels)

        def forward(self, columns: torch.Tensor) -> torch.Tensor:
            maps = columns.reshape(len(columns), self.side, self.side, -1)[:, self.inner, self.inner]  # (b, s, s, k)
            h = torch.relu(self.norm_narrow(self.narrow(maps).movedim(3, 1).flatten(2)))  # (b, bottleneck, s * s)
            h = h.reshape(*h.shape[:2], *maps.shape[1:3])
            if self.convolve is not None and self.norm_convolve is not None:
                h = torch.relu(self.norm_convolve(self.convolve(h).flatten(1)))[..., None, None]
            centre = maps[:, maps.shape[1] // 2, maps.shape[2] // 2]
            wide = self.norm_widen(self.widen(h[..., 0, 0])) + self.norm_shortcut(self.shortcut(centre))
            return torch.relu(wide)

    class Hyperfeatures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixing = nn.Parameter(torch.ones(len(layout.learned)))
            self.bottlenecks = nn.ModuleList(Bottleneck(layout.learned[numbers[0]]) for numbers in sources.values())
            self.classifier = nn.Sequential(*dense_layers([channels + len(spectral), *hidden, classes]))

        def aggregate(self, x: torch.Tensor) -> torch.Tensor:
            shares = torch.softmax(self.mixing, dim=0)
            parts = []
            for bottleneck_l, numbers in zip(self.bottlenecks, sources.values(), strict=True):
                groups = [layout.learned[number] for number in numbers]
                planes = torch.cat([x[:, group.start : group.stop] for group in groups])
                narrowed = bottleneck_l(planes).reshape(len(numbers), len(x), channels)
                parts.append(torch.einsum("t,tbc->bc", shares[numbers], narrowed))
            return torch.stack(parts).sum(dim=0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(torch.cat([self.aggregate(x), x[:, spectral]], dim=1))
            return logits

    return Hyperfeatures()
