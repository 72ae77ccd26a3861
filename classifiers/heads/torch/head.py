"""The estimator base that brings a torch network to scikit-learn: parameters in, fitted weights out."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import ProbabilisticHead, WeighingHead
from classifiers.heads.parameters import ClassWeight, NotNegative, Positive, Seed
from classifiers.heads.torch.rows import NetworkInputs
from classifiers.heads.torch.training import TrainingOptions, Weights, choose_device, emit_training_event, infer, train
from classifiers.layout import Layout
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Note

if TYPE_CHECKING:
    import torch


VOTES = ("mean", "majority")


class TorchHead(ProbabilisticHead, WeighingHead):
    """Base of torch heads: a subclass fills in `_prepare`, `_inputs` and `_network`.

    Fitted weights are kept as arrays and the network is built anew to predict, so that a head pickles, clones and
    saves like any estimator. Each fit starts anew: there is no warm start. Weights of rows act in the loss; what comes
    before the network sees rows alike. A subclass that takes `members` and `vote` is an ensemble.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what.
    epochs, batch_size, learning_rate, weight_decay, patience, validation_fraction
        See `classifiers.heads.torch.training.TrainingOptions`.
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    device : {"auto", "cpu", "cuda"}
        Where to train and predict; "auto" takes a GPU where there is one. A GPU trains in mixed precision.
    random_state : int, RandomState or None
        Seed; None draws another one each time.

    Attributes
    ----------
    weights_ : dict of str to array
        State of the trained network; of several, each name follows the number of its network and a slash.
    epochs_ : int
        Epochs run, by all networks together.
    validation_rows_ : int
        Training rows that each network was stopped by and did not learn from; 0 where all epochs were run.
    """

    members: int = 1
    vote: str = "mean"
    weights_: Weights

    def __init__(
        self,
        layout: Layout | None = None,
        *,
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
    def _inputs(self, X: NDArray[np.floating]) -> NetworkInputs:
        """Return what the network takes for checked rows."""

    @abstractmethod
    def _network(self) -> torch.nn.Module:
        """Build the network from the parameters and what `_prepare` learned. Constants it needs must be buffers."""

    def uncertainty(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return how much the members of an ensemble disagree on each row of `X` ``(n, D)``: ``(n,)``, in nats.

        The Jensen-Shannon divergence ``H(mean p) - mean H(p)`` of the members' probabilities, as ddpm-segmentation
        (Baranchuk et al., ICLR 2022) takes it: 0 where all agree, at most the logarithm of the number of classes.

        Raises
        ------
        HeadError
            If there is one member only.
        """
        check_is_fitted(self)
        votes = self._votes(self._checked(X))
        if len(votes) < 2:
            raise HeadError("one network has no other to disagree with; fit with members=2 or more")
        return jensen_shannon(votes)

    def _training(self) -> TrainingOptions:
        """Return how the network is trained."""
        return TrainingOptions(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            patience=self.patience,
            validation_fraction=self.validation_fraction,
        )

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        if self.members < 1:
            raise HeadError(f"members is {self.members}; give 1 or more")
        if self.vote not in VOTES:
            raise HeadError(f"no vote is named {self.vote!r}; allowed: {', '.join(VOTES)}")
        training, device = self._training(), choose_device(self.device)
        weight = self._weights_of_rows(codes, weight)
        random = check_random_state(self.random_state)
        self._prepare(X, codes)
        inputs = self._inputs(X)
        self.weights_, self.epochs_, self.validation_rows_ = {}, 0, 0
        for member in range(self.members):
            seed = int(random.randint(2**31 - 1))
            trained = train(self._network, inputs, codes, training, weight=weight, seed=seed, device=device)
            prefix = "" if self.members == 1 else f"{member}/"
            self.weights_ |= {prefix + name: value for name, value in trained.weights.items()}
            self.epochs_ += trained.epochs
            self.validation_rows_ = trained.validation_rows
        if self.validation_fraction is None and not self.validation_rows_:
            emit_training_event(
                Note(
                    f"{len(codes)} training rows of {len(self.classes_)} classes are too few to set some aside to stop by: "
                    f"all {self.epochs} epochs were run"
                )
            )

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        votes = self._votes(X)
        if self.vote == "majority" and len(votes) > 1:
            votes = np.eye(votes.shape[2])[votes.argmax(axis=2)]
        mean: NDArray[np.float64] = votes.mean(axis=0)
        return mean

    def _votes(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probabilities ``(members, n, C)`` that each network gives checked rows."""
        networks: dict[str, Weights] = {}
        for name, value in self.weights_.items():
            member, _, own = name.rpartition("/")
            networks.setdefault(member, {})[own] = value
        device = choose_device(self.device)
        return np.stack(
            [
                infer(self._network, networks[member], lambda rows: self._inputs(X[rows]), len(X), device)
                for member in sorted(networks, key=lambda member: int(member or 0))
            ]
        )


def jensen_shannon(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the divergence ``(n,)`` of the probabilities ``(members, n, C)`` of several voters, in nats."""
    divergence: NDArray[np.float64] = entr(votes.mean(axis=0)).sum(axis=-1) - entr(votes).sum(axis=-1).mean(axis=0)
    return divergence.clip(min=0.0)


def dense_layers(widths: list[int]) -> list[torch.nn.Module]:
    """Return linear layers of the given widths, with ReLU and then batch norm after each but the last.

    The order of ddpm-segmentation's pixel classifier (Baranchuk et al., ICLR 2022), which GeoDiffNet took over.

    Raises
    ------
    HeadError
        For a layer of no width.
    """
    from torch import nn

    check_widths(widths)
    stack: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        stack += [nn.Linear(before, after), nn.ReLU(), nn.BatchNorm1d(after)]
    return [*stack, nn.Linear(widths[-2], widths[-1])]


def check_widths(widths: list[int]) -> None:
    """Raise `HeadError` for a layer of no width."""
    if min(widths) < 1:
        raise HeadError(f"a layer of the network would be {min(widths)} wide; give widths of 1 or more")
