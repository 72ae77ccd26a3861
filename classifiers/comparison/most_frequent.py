"""Stand-in for a head that can't be trained, because no feature varies on the training pixels."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classifiers.heads.base import ProbabilisticHead


class MostFrequentClass(ProbabilisticHead):
    """Head that predicts the most frequent class of the training rows, whatever the features are.

    The probability of a class is its share of the training rows.
    """

    def fit(
        self,
        X: ArrayLike,  # noqa: ARG002
        y: ArrayLike,
        *,
        unlabelled: ArrayLike | None = None,  # noqa: ARG002
        positions: ArrayLike | None = None,  # noqa: ARG002
    ) -> Self:
        """Count the labels `y`. All other arguments are ignored; see `Head.fit`."""
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts / counts.sum()
        return self

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        raise NotImplementedError

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.tile(self.shares_, (len(X), 1))
