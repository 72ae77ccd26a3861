"""Multi-layer perceptron on standardised columns, as in GeoDiffNet and ddpm-segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.group_reducer import CONTEXT_COMPONENTS, ReducingHead
from classifiers.heads.parameters import Components, Members, Vote, Weight, Widths
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.head import TorchHead, dense_layers

if TYPE_CHECKING:
    import torch


@dataclass(eq=False, repr=False, kw_only=True)
class MLPClassifier(ReducingHead, TorchHead):
    """Multi-layer perceptron with two small hidden layers, each followed by ReLU and batch norm.

    This is the classifier of GeoDiffNet (Hu, Banerjee and Prasad 2025, arXiv 2512.03430). ddpm-segmentation (Baranchuk
    et al., ICLR 2022, sec. 4) uses the same classifier for fewer than 30 classes. Unlike the published classifiers,
    this head uses all columns of the table, including spectra, and reduces planes to principal components. With several
    `members`, the head is an ensemble of networks with different seeds, as in ddpm-segmentation. `uncertainty` then
    measures their disagreement.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each family of context features, and all planes together.
        None keeps the standardised columns. See `GroupReducer`.
    spectral_weight, context_weight, plane_weight : float
        Square root of the total variance of each spectral group, each family of context features, and all planes together.
        The default of 8 gives a total variance of 64, so that 64 columns have unit variance on average.
    hidden : tuple of int
        Widths of the hidden layers.
    members : int
        Number of networks in the ensemble; 10 in ddpm-segmentation.
    vote : {"mean", "majority"}
        How members are combined. "mean": the probabilities are the mean over members. "majority": the probability of a
        class is the share of members that vote for it, as in ddpm-segmentation.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction, class_weight, device, random_state
        Options of the training, see `TorchHead`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> y = np.arange(40) % 2
    >>> network = MLPClassifier(epochs=20, device="cpu").fit(X + 5 * y[:, None], y)
    >>> network.predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    advice = "a plain network on all columns, or an ensemble with uncertainty"

    search_space: ClassVar[dict[str, list[Any]]] = {"plane_weight": [8.0, 4.0], "weight_decay": [1e-4, 1e-2]}

    spectral_components: Components = None
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 64
    spectral_weight: Weight = 8.0
    context_weight: Weight = 8.0
    plane_weight: Weight = 8.0
    hidden: Widths = (128, 32)
    members: Members = 1
    vote: Vote = "mean"

    def _fit_reduction(self, rows: NDArray[np.floating], weight: NDArray[np.float64] | None) -> None:  # noqa: ARG002
        super()._fit_reduction(rows, None)  # weights affect the loss alone, see `TorchHead`

    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        return (self.reducer_.transform(X),)

    def _network(self) -> torch.nn.Module:
        from torch import nn

        return nn.Sequential(*dense_layers([self.reducer_.n_features_out, *self.hidden, len(self.classes_)]))
