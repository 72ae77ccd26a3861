"""Base class of heads that train a torch network behind scikit-learn's estimator interface."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.parameters import BatchRows, HeldShare, NotNegative, Positive, Rounds, Seed
from classifiers.heads.torch.batches import NetworkInputs
from classifiers.heads.torch.training import TrainingOptions, Weights, choose_device, emit_training_event, infer, train
from classifiers.heads.weighing import WeighingHead
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Note

if TYPE_CHECKING:
    import torch


@dataclass(eq=False, repr=False, kw_only=True)
class TorchHead(ProbabilisticHead, WeighingHead):
    """Base class of heads that train a torch network.

    A subclass implements `_inputs` and `_network`. A subclass with preprocessing also implements `_prepare`. The
    weights of a fitted head are NumPy arrays, and the network is rebuilt for each prediction. A head can therefore be
    pickled, cloned and saved like any scikit-learn estimator. Each fit starts from new initial weights. Row weights
    affect the loss, but not the preprocessing. A subclass with the parameters `members` and `vote` is an ensemble of
    networks.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns.
    epochs : int
        Largest number of passes over the training rows.
    batch_size : int
        Approximate number of rows per step.
    learning_rate, weight_decay : float
        Parameters of AdamW.
    patience : int
        If the validation loss has reached no new minimum for this number of epochs, the training stops.
    validation_fraction : float or None
        Share of the training rows of each class that is used only for early stopping. [default: a tenth if there are
        enough rows, otherwise 0]
    class_weight : dict, "balanced" or None
        Dict that maps each label to the weight of its rows, or ``balanced`` for the same total weight of each class.
        [default: equal weights of all rows]
    device : {"auto", "cpu", "cuda"}
        Device for training and prediction. On a GPU, training uses mixed precision. [default: a GPU if there is one]
    random_state : int, RandomState or None
        Seed; None draws a new seed for each fit.

    Attributes
    ----------
    weights_ : dict of str to array
        State of the trained network. In an ensemble, the number of the network and a slash precede each name.
    epochs_ : int
        Total number of epochs over all networks.
    validation_rows_ : int
        Number of training rows that each network used only for early stopping. Without early stopping, it is 0.
    """

    # Class attributes rather than parameters; ensembles declare them as fields.
    members = 1
    vote = "mean"

    epochs: Rounds = 60
    batch_size: BatchRows = 64
    learning_rate: Positive = 3e-3
    weight_decay: NotNegative = 1e-4
    patience: Rounds = 20
    validation_fraction: HeldShare | None = None
    device: str = "auto"
    random_state: Seed = 0

    def _prepare(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:
        """Fit the preprocessing that `_fit_reduction` does not cover.

        The rows are (n, D), with class codes (n,) from 0 to C-1.
        """

    @abstractmethod
    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        """Return the inputs of the network for validated rows (n, D)."""

    @abstractmethod
    def _network(self) -> torch.nn.Module:
        """Build the network from the parameters of the head and the fitted preprocessing.

        Constant tensors of the network must be registered as buffers.
        """

    def _training_inputs(
        self,
        X: NDArray[np.floating],
        codes: NDArray[np.int64],  # noqa: ARG002 - for subclasses
    ) -> tuple[NetworkInputs, NDArray[np.float32] | None]:
        """Return the inputs of the network and the soft labels of training rows (n, D) with codes (n,).

        Soft labels are the proportion of each class (n, C). None stands for the proportion 1 of the class of each row.
        """
        return self._inputs(X), None

    def uncertainty(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the disagreement between the members of an ensemble on each row of `X`, an (n,) float64 array in nats.

        The disagreement is the Jensen-Shannon divergence ``H(mean p) - mean H(p)``, as in ddpm-segmentation (Baranchuk
        et al., ICLR 2022, sec. 4). H is the entropy, and p are the class probabilities of the members. The divergence
        is 0 if all members agree, and at most the logarithm of the number of classes.

        Raises
        ------
        HeadError
            If the head has only one network.
        """
        check_is_fitted(self)
        votes = self._votes(self._checked(X))
        if len(votes) < 2:
            raise HeadError("a single network has no uncertainty between members; fit with members=2 or more")
        return jensen_shannon(votes)

    def _training(self) -> TrainingOptions:
        return TrainingOptions(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            validation_fraction=self.validation_fraction,
        )

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        training, device = self._training(), choose_device(self.device)
        weight = self._row_weights(codes, weight)
        random = check_random_state(self.random_state)
        self._prepare(X, codes)
        inputs, soft = self._training_inputs(X, codes)
        self.weights_: Weights = {}
        self.epochs_ = self.validation_rows_ = 0
        for member in range(self.members):
            seed = int(random.randint(2**31 - 1))
            trained = train(
                self._network, inputs, codes, training, proportions=soft, weight=weight, seed=seed, device=device
            )
            prefix = "" if self.members == 1 else f"{member}/"
            self.weights_ |= {prefix + name: value for name, value in trained.weights.items()}
            self.epochs_ += trained.epochs
            self.validation_rows_ = trained.validation_rows
        if self.validation_fraction is None and not self.validation_rows_:
            emit_training_event(
                Note(
                    f"{len(codes)} training rows of {len(self.classes_)} classes are too few for validation rows: "
                    f"all {self.epochs} epochs were run, without early stopping"
                )
            )

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        votes = self._votes(X)
        if self.vote == "majority" and len(votes) > 1:
            votes = np.eye(votes.shape[2])[votes.argmax(axis=2)]
        mean: NDArray[np.float64] = votes.mean(axis=0)
        return mean

    def _votes(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the class probabilities (members, n, C) that each network predicts for validated rows (n, D)."""
        networks: dict[str, Weights] = {}
        for name, value in self.weights_.items():
            member, _, parameter = name.rpartition("/")
            networks.setdefault(member, {})[parameter] = value
        members = [networks[member] for member in sorted(networks, key=lambda member: int(member or 0))]
        return infer(self._network, members, lambda rows: self._inputs(X[rows]), len(X), choose_device(self.device))


def jensen_shannon(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence of the class probabilities of several networks, in nats.

    The divergence for several distributions is that of Lin (IEEE Trans. Inf. Theory 1991), with equal weights.

    Parameters
    ----------
    votes : (members, n, C) float64 array
        Class probabilities that each network predicts for each row.

    Returns
    -------
    (n,) float64 array
        Divergence of each row: 0 if all networks agree, and at most the natural logarithm of the number of networks.
    """
    divergence: NDArray[np.float64] = entr(votes.mean(axis=0)).sum(axis=-1) - entr(votes).sum(axis=-1).mean(axis=0)
    return divergence.clip(min=0.0)


def dense_layers(widths: list[int]) -> list[torch.nn.Module]:
    """Return linear layers, with ReLU and batch norm after each layer except the last.

    `widths` lists the width of the input, then the width of each layer. Batch norm follows ReLU, as in the pixel
    classifiers of ddpm-segmentation (Baranchuk et al., ICLR 2022) and of GeoDiffNet.

    Raises
    ------
    HeadError
        If a width is below 1.
    """
    from torch import nn

    stack: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        stack += [nn.Linear(before, after), nn.ReLU(), nn.BatchNorm1d(after)]
    return [*stack, nn.Linear(widths[-2], widths[-1])]
