"""DiffCRN: weighted addition of timesteps in each layer, then attention over timesteps and neighbouring pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.layer_reducer import LayerReducer, feature_maps, layout_or_one_plane
from classifiers.heads.mixing import MixingHead
from classifiers.heads.parameters import Components, Units, Widths
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.head import TorchHead, dense_layers
from classifiers.layout import ColumnGroup, Layout

if TYPE_CHECKING:
    import torch


@dataclass(eq=False, repr=False, kw_only=True)
class DiffCRNClassifier(MixingHead, TorchHead):
    """DiffCRN: adaptive weighted addition of timesteps, spectral-spatial fusion, then a small classifier.

    The classifier of Zhu and Xu (TGRS 2025, arXiv 2502.19699) adds the features of a layer over timesteps with learned
    weights. It then fuses these sums with the features of each timestep, of the neighbouring pixels and of the
    spectrum. The formulas and the code of the paper were not available, so this head may differ from the paper.
    `A_{t,l}` (s, s, k_l) is the feature map of layer l at timestep t around a pixel, with s x s pixels and k_l
    channels. The head computes:

    - Addition: ``F_l = sum_t softmax(w_l)_t A_{t,l}``. The weights `w_l` of the timesteps are equal before training.
    - Projection: ``F = sum_l P_l F_l`` and ``H_t = sum_l P_l A_{t,l}``, where `P_l` is a linear map that all timesteps share.
    - Fusion of space and time: the centre pixel of `F` attends to all pixels of all `H_t` by dot-product attention. The keys
      have a learned offset for each timestep and each pixel. The attention output is added to the centre pixel of `F`.
    - Fusion with the spectrum: each channel of the result is multiplied by a gate. The gate is the sigmoid of a linear
      map of the result and the spectrum of the pixel.

    Each layer is reduced to principal components that all timesteps share. If the table has patches, the feature maps
    are the patches of the planes. Otherwise, the feature map of a plane is a single pixel. If the table has spectra
    or their window means, the gate and the final classifier use them. Positions, window means of planes and spectral
    patches are not used. Without a layout, all columns count as one layer at one timestep.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. All patches must have the same size.
    components : int or None
        Number of principal components of each layer; None keeps all channels.
    spectral_components : int or None
        Number of principal components of each spectral group (spectra, or their window means). None keeps all bands.
    channels : int
        Number of channels of `F` and of each `H_t`.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 6))
    >>> y = np.arange(40) % 2
    >>> head = DiffCRNClassifier(epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> head.predict([[0.0] * 6, [5.0] * 6]).tolist()
    [0, 1]
    """

    advice = "neighbourhoods of planes at several timesteps"

    needs = frozenset({"plane"})
    wants = frozenset({"patch"})
    persisted_types = ProbabilisticHead.persisted_types | {"classifiers.heads.layer_reducer.LayerReducer"}
    ignores = frozenset({"context", "spectral-patch"})
    search_space: ClassVar[dict[str, list[Any]]] = {"components": [32, 16], "learning_rate": [3e-3, 1e-3]}

    components: Components = 32
    spectral_components: Components = None
    channels: Units = 32
    hidden: Widths = (128, 32)

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - unsupervised
        layout = layout_or_one_plane(self.layout, X.shape[1])
        maps = feature_maps(layout, "diffcrn")
        groups = [group for group in layout if group.is_spectral or group in maps]
        self.columns_ = layout.columns(*groups)
        self.reducer_ = LayerReducer(
            layout.select_groups(lambda group: group in groups),
            components=self.components,
            spectral_components=self.spectral_components,
        ).fit(X[:, self.columns_])

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        return (self.reducer_.transform(X[:, self.columns_]),)

    def _network(self) -> torch.nn.Module:
        return attention_fusion_network(self.reducer_.layout_, self.channels, self.hidden, len(self.classes_))

    def _shares(self) -> list[tuple[ColumnGroup, float]]:
        check_is_fitted(self)
        shares: list[tuple[ColumnGroup, float]] = []
        for number, stage in enumerate(stages(self.reducer_.layout_)):
            exponentials = np.exp(self.weights_[f"addition.{number}"].astype(np.float64))
            shares += zip(stage, (exponentials / exponentials.sum()).tolist(), strict=True)
        return shares


def stages(layout: Layout) -> list[list[ColumnGroup]]:
    """Return the column groups of planes and patches, one list for each layer. Layers and groups keep their order."""
    by_layer: dict[str, list[ColumnGroup]] = {}
    for group in layout.learned:
        by_layer.setdefault(group.layer_key, []).append(group)
    return list(by_layer.values())


def attention_fusion_network(layout: Layout, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network of `DiffCRNClassifier`.

    A batch has b rows and T timesteps. The docstring of `DiffCRNClassifier` defines all other symbols.

    Parameters
    ----------
    layout : Layout
        Description of the input columns: spectra, and either planes or patches. All patches have the same size.
    channels : int
        Number of channels of `F` and of each `H_t`.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    classes : int
        Number of logits.

    Returns
    -------
    torch.nn.Module
        ``forward(x)`` returns logits (b, classes) for `x` (b, layout.width). ``add(x)`` returns `F` (b, s * s, channels)
        and `H` (b, T, s * s, channels). ``fuse(x)`` returns the fused features (b, channels).
    """
    import torch
    from torch import nn

    layers = stages(layout)
    pixels = layers[0][0].patch_pixels
    times = sorted({group.t for stage in layers for group in stage}, key=lambda t: -1 if t is None else t)
    spectral = layout.columns(*layout.spectral).tolist()

    class Fusion(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.addition = nn.ParameterList(nn.Parameter(torch.zeros(len(stage))) for stage in layers)
            self.project = nn.ModuleList(nn.Linear(stage[0].channels, channels) for stage in layers)
            self.query, self.key = nn.Linear(channels, channels), nn.Linear(channels, channels)
            self.value = nn.Linear(channels, channels)
            self.time_offset = nn.Parameter(torch.zeros(len(times), 1, channels))
            self.pixel_offset = nn.Parameter(torch.zeros(pixels, channels))
            self.gate = nn.Linear(channels + len(spectral), channels)
            self.classifier = nn.Sequential(*dense_layers([channels + len(spectral), *hidden, classes]))

        def add(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            added, by_time = (
                x.new_zeros(len(x), pixels, channels),
                [x.new_zeros(len(x), pixels, channels) for _ in times],
            )
            for stage, weights, project in zip(layers, self.addition, self.project, strict=True):
                maps = torch.stack([x[:, g.start : g.stop].reshape(len(x), pixels, -1) for g in stage], dim=1)
                projected = project(maps)  # (b, T_l, s * s, channels)
                # The softmax weights add up to 1, so projection and addition commute.
                added = added + torch.einsum("t,btpc->bpc", torch.softmax(weights, dim=0), projected)
                for number, group in enumerate(stage):
                    by_time[times.index(group.t)] = by_time[times.index(group.t)] + projected[:, number]
            return added, torch.stack(by_time, dim=1)

        def fuse(self, x: torch.Tensor) -> torch.Tensor:
            added, by_time = self.add(x)
            centre = added[:, pixels // 2]
            keys = (self.key(by_time) + self.time_offset + self.pixel_offset).flatten(1, 2)  # (b, T * s * s, channels)
            scores = torch.einsum("bc,bnc->bn", self.query(centre), keys) / channels**0.5
            attended = torch.einsum("bn,bnc->bc", torch.softmax(scores, dim=1), self.value(by_time).flatten(1, 2))
            fused = centre + attended
            return fused * torch.sigmoid(self.gate(torch.cat([fused, x[:, spectral]], dim=1)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(torch.cat([self.fuse(x), x[:, spectral]], dim=1))
            return logits

    return Fusion()
