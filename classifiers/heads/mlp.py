"""GeoDiffNet's classifier: two small layers on standardised columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.group_reducer import reducer_of
from classifiers.heads.parameters import ClassWeight, NotNegative, Positive, Seed, Widths
from classifiers.heads.torch.head import TorchHead, dense_layers
from classifiers.heads.torch.rows import NetworkInputs
from classifiers.layout import Layout

if TYPE_CHECKING:
    import torch


class MLPClassifier(TorchHead):
    """Linear 128, ReLU, batch norm, linear 32, ReLU, batch norm, linear C.

    The classifier of GeoDiffNet (Hu, Banerjee and Prasad 2025, arXiv 2512.03430), which is that of ddpm-segmentation
    (Baranchuk et al., ICLR 2022) for fewer than 30 classes. Unlike theirs it sees whatever the table has, spectra too,
    and planes as principal components. With `members` it is the latter's ensemble: as many networks, each from a seed
    of its own, that vote; `uncertainty` tells where they disagree.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None makes all columns one group with the spectral parameters.
    spectral_components, plane_components : int or None
        See `GroupReducer`.
    spectral_weight, plane_weight : float
        See `GroupReducer`. Large beside its defaults: 64 columns at weight 8 have a variance of 1, which networks like.
    hidden : tuple of int
        Widths of the hidden layers.
    members : int
        Networks of the ensemble; ddpm-segmentation takes 10.
    vote : {"mean", "majority"}
        Whether probabilities are the mean of the members', or the share of members that each class wins, as published.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        See `TorchHead`.
    """

    search_space: ClassVar[dict[str, list[Any]]] = {"plane_weight": [8.0, 4.0], "weight_decay": [1e-4, 1e-2]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        spectral_components: int | None = None,
        plane_components: int | None = 64,
        spectral_weight: NotNegative = 8.0,
        plane_weight: NotNegative = 8.0,
        hidden: Widths = (128, 32),
        members: int = 1,
        vote: str = "mean",
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
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.spectral_weight = spectral_weight
        self.plane_weight = plane_weight
        self.hidden = hidden
        self.members = members
        self.vote = vote

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:  # noqa: ARG002 - labels are not looked at
        self.reducer_ = reducer_of(self).fit(X)

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        return (self.reducer_.transform(X),)

    def _network(self) -> torch.nn.Module:
        from torch import nn

        return nn.Sequential(*dense_layers([self.reducer_.n_features_out, *self.hidden, len(self.classes_)]))
