"""DiffCRN's fusion: timesteps are added up stage by stage, then a pixel looks over its neighbourhood at all of them."""

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
from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import torch


class DiffCRNClassifier(Mixing, TorchHead):
    """Adaptive weighted addition over timesteps, cross-time-step spectral-spatial fusion, then a small classifier.

    After Zhu and Xu (arXiv 2502.19699, TGRS), whose classifier adds the features of the same stage at different
    timesteps with weights, and fuses the result across timesteps, spectrum and space. Their formulas could not be read
    and no code is public, so the following form of both is ours. With `A_{t,l}` the map ``(s, s, k_l)`` of layer l:

    - addition: ``F_l = sum_t softmax(w_l)_t A_{t,l}``, one learned number a timestep and layer, equal at the start;
    - both are projected by `P_l`, a linear map per layer shared over timesteps: ``F = sum_l P_l F_l`` and
      ``H_t = sum_l P_l A_{t,l}``;
    - space and time: the centre of `F` asks all pixels of all `H_t` by dot-product attention, where each timestep and
      each place has a learned offset of its key; what it is told is added to it;
    - spectrum: the channels of the sum are scaled by a sigmoid of a linear map of that sum and the pixel's spectrum.

    Each layer comes as principal components shared over timesteps. Maps are the patches of planes if the table has them,
    else planes, each a map of one pixel. Spectra and their window means, where there are some, also go to the classifier.
    Positions, window means of planes and patches of spectra are not used. With no layout all columns are one layer at
    one timestep.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what. Its patches must be of one size.
    components : int or None
        Principal components kept of each layer; None keeps all channels.
    spectral_components : int or None
        The same for spectra and their window means.
    channels : int
        Channels of the fusion.
    hidden : tuple of int
        Widths of the classifier's hidden layers.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        See `TorchHead`.
    """

    needs = frozenset({"plane"})
    wants = frozenset({"patch"})
    persisted_types = ProbabilisticHead.persisted_types | {"classifiers.heads.layer_reducer.LayerReducer"}
    search_space: ClassVar[dict[str, list[Any]]] = {"components": [32, 16], "learning_rate": [3e-3, 1e-3]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        components: int | None = 32,
        spectral_components: int | None = None,
        channels: Count = 32,
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
        self.channels = channels
        self.hidden = hidden

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - labels are not looked at
        layout = layout_or_one_plane(self.layout, X.shape[1])
        self.columns_ = layout.columns(*_used(layout))
        self.reducer_ = LayerReducer(
            layout.select_groups(lambda group: group in _used(layout)),
            components=self.components,
            spectral_components=self.spectral_components,
        ).fit(X[:, self.columns_])

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        return (self.reducer_.transform(X[:, self.columns_]),)

    def _network(self) -> torch.nn.Module:
        return fusion_network(self.reducer_.layout_, self.channels, self.hidden, len(self.classes_))

    def _shares(self) -> list[tuple[ColumnGroup, float]]:
        check_is_fitted(self)
        found = []
        for at, stage in enumerate(stages(self.reducer_.layout_)):
            powers = np.exp(self.weights_[f"addition.{at}"].astype(np.float64))
            found += list(zip(stage, (powers / powers.sum()).tolist(), strict=True))
        return found


def stages(layout: Layout) -> list[list[ColumnGroup]]:
    """Return the groups of planes (or of their patches) of each layer, in the order of the layout."""
    by_layer: dict[str, list[ColumnGroup]] = {}
    for group in layout.learned:
        by_layer.setdefault(source(group), []).append(group)
    return list(by_layer.values())


def fusion_network(layout: Layout, channels: int, hidden: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Build the network of `DiffCRNClassifier`.

    Parameters
    ----------
    layout : Layout
        What its input's columns are: spectra, and planes or patches of one size.
    channels, hidden
        See `DiffCRNClassifier`.
    classes : int
        How many logits.

    Returns
    -------
    torch.nn.Module
        ``forward(x)`` of `x` ``(b, layout.width)`` gives logits ``(b, classes)``; ``add(x)`` gives `F`
        ``(b, s * s, channels)`` and `H` ``(b, T, s * s, channels)``; ``fuse(x)`` what the classifier takes,
        ``(b, channels)``.
    """
    import torch
    from torch import nn

    check_widths([channels])
    layers = stages(layout)
    seen = pixels(layers[0][0])
    times = sorted({group.t for stage in layers for group in stage}, key=lambda t: -1 if t is None else t)
    spectral = layout.columns(*layout.spectral).tolist()

    class Fusion(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.addition = nn.ParameterList(nn.Parameter(torch.zeros(len(stage))) for stage in layers)
            self.project = nn.ModuleList(nn.Linear(stage[0].width // seen, channels) for stage in layers)
            self.query, self.key = nn.Linear(channels, channels), nn.Linear(channels, channels)
            self.value = nn.Linear(channels, channels)
            self.of_time = nn.Parameter(torch.zeros(len(times), 1, channels))
            self.of_place = nn.Parameter(torch.zeros(seen, channels))
            self.gate = nn.Linear(channels + len(spectral), channels)
            self.classifier = nn.Sequential(*dense_layers([channels + len(spectral), *hidden, classes]))

        def add(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            added, apart = x.new_zeros(len(x), seen, channels), [x.new_zeros(len(x), seen, channels) for _ in times]
            for stage, weights, project in zip(layers, self.addition, self.project, strict=True):
                maps = torch.stack([x[:, g.start : g.stop].reshape(len(x), seen, -1) for g in stage], dim=1)
                projected = project(maps)  # (b, T_l, s * s, channels)
                # Shares add up to 1, so that adding after the projection is the same as adding before it.
                added = added + torch.einsum("t,btpc->bpc", torch.softmax(weights, dim=0), projected)
                for at, group in enumerate(stage):
                    apart[times.index(group.t)] = apart[times.index(group.t)] + projected[:, at]
            return added, torch.stack(apart, dim=1)

        def fuse(self, x: torch.Tensor) -> torch.Tensor:
            added, apart = self.add(x)
            centre = added[:, seen // 2]
            keys = (self.key(apart) + self.of_time + self.of_place).flatten(1, 2)  # (b, T * s * s, channels)
            likeness = torch.einsum("bc,bnc->bn", self.query(centre), keys) / channels**0.5
            told = torch.einsum("bn,bnc->bc", torch.softmax(likeness, dim=1), self.value(apart).flatten(1, 2))
            whole = centre + told
            return whole * torch.sigmoid(self.gate(torch.cat([whole, x[:, spectral]], dim=1)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(torch.cat([self.fuse(x), x[:, spectral]], dim=1))
            return logits

    return Fusion()


def _used(layout: Layout) -> list[ColumnGroup]:
    """Return the groups that the head takes: spectra and, of planes, their patches or else themselves."""
    patches = [group for group in layout.learned if group.kind == "patch"]
    maps = patches or [group for group in layout.learned if group.kind == "plane"]
    require_planes(maps, layout, "diffcrn")
    sizes = sorted({group.size or 1 for group in maps})
    if len(sizes) > 1:
        raise HeadError(
            f"diffcrn takes patches of one size; the table has some of {' and '.join(map(str, sizes))} pixels"
        )
    return [group for group in layout if group.is_spectral or group in maps]
