"""The estimator base that brings a torch network to scikit-learn: parameters in, fitted weights out."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from classifiers.heads.base import ClassWeight, ProbabilisticHead
from classifiers.heads.torch_training import Inputs, Training, Weights, choose_device, infer, train
from classifiers.layout import Layout

if TYPE_CHECKING:
    import torch


class TorchHead(ProbabilisticHead):
    """Base of torch heads: a subclass fills in `_prepare`, `_inputs` and `_network`.

    Fitted weights are kept as arrays and the network is built anew to predict, so that a head pickles, clones and
    saves like any estimator.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction
        See `classifiers.heads.torch_training.Training`.
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    device : {"auto", "cpu", "cuda"}
        Where to train and predict; "auto" takes a GPU where there is one.
    random_state : int, RandomState or None
        Seed; None draws another one each time.

    Attributes
    ----------
    weights_ : dict of str to array
        State of the trained network.
    epochs_ : int
        Epochs run.
    """

    weights_: Weights

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        epochs: int = 60,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        patience: int = 20,
        validation_fraction: float = 0.1,
        class_weight: ClassWeight = None,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        super().__init__(layout)
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state

    @abstractmethod
    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:
        """Fit what comes before the network to checked rows and their class codes ``(n,)`` in ``0 … C-1``."""

    @abstractmethod
    def _inputs(self, X: NDArray[np.floating]) -> Inputs:
        """Return what the network takes for checked rows."""

    @abstractmethod
    def _network(self) -> torch.nn.Module:
        """Build the network from the parameters and what `_prepare` learned. Constants it needs must be buffers."""

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:
        training = Training(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            validation_fraction=self.validation_fraction,
            class_weight=None if self.class_weight is None else self._weights_of_classes(codes),
        )
        device = choose_device(self.device)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._prepare(X, codes)
        self.weights_, self.epochs_ = train(self._network, self._inputs(X), codes, training, seed=seed, device=device)

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return infer(self._network, self.weights_, self._inputs(X), choose_device(self.device))


def dense_layers(widths: list[int]) -> list[torch.nn.Module]:
    """Return linear layers of the given widths, with ReLU and then batch norm after each but the last.

    The order of ddpm-segmentation's pixel classifier (Baranchuk et al., ICLR 2022), which GeoDiffNet took over.
    """
    from torch import nn

    stack: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        stack += [nn.Linear(before, after), nn.ReLU(), nn.BatchNorm1d(after)]
    return [*stack, nn.Linear(widths[-2], widths[-1])]
