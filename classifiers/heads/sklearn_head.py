"""The base of heads that are a classifier of scikit-learn behind scaled, reduced and weighted column groups."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.group_reducer import reducer_of
from classifiers.heads.parameters import ClassWeight


class SklearnHead(ProbabilisticHead):
    """Base of such heads: a subclass fills in `_classifier`.

    Attributes
    ----------
    reducer_ : GroupReducer
        What brings the columns to one footing.
    classifier_ : classifier of scikit-learn
        What learns from them; its classes are codes ``0 … C-1``.
    """

    class_weight: ClassWeight = None

    @abstractmethod
    def _classifier(self) -> Any:
        """Return an unfitted classifier of scikit-learn with probabilities."""

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        self.reducer_ = reducer_of(self).fit(X, sample_weight=weight)
        of_rows = self._weights_of_rows(codes, weight)
        with warnings.catch_warnings():
            # A fit that stops at its largest number of steps, or a covariance from one row, is what was asked for.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "Only one sample available")
            weights = {} if of_rows is None else {"sample_weight": of_rows}
            self.classifier_ = self._classifier().fit(self._reduced(X), codes, **weights)

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.classifier_.predict_proba(self._reduced(X)), dtype=np.float64)

    def _reduced(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.reducer_.transform(X), dtype=np.float64)
