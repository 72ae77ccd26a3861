"""Base of heads that run a scikit-learn classifier on scaled, reduced and weighted column groups."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.group_reducer import make_group_reducer


class SklearnHead(ProbabilisticHead):
    """Base of heads that run a scikit-learn classifier with probabilities: a subclass implements `_classifier`.

    Attributes
    ----------
    reducer_ : GroupReducer
        Scales, reduces and weights the columns.
    classifier_ : scikit-learn classifier
        Fitted on the reduced columns; its classes are codes ``0 … C-1``.
    """

    @abstractmethod
    def _classifier(self) -> Any:
        """Return an unfitted scikit-learn classifier with probabilities."""

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        self.reducer_ = make_group_reducer(self).fit(X, sample_weight=weight)
        row_weights = self._row_weights(codes, weight)
        options = {} if row_weights is None else {"sample_weight": row_weights}
        with warnings.catch_warnings():
            # Stopping at `max_iter`, or a covariance of a class with one row, is within the parameters of the head.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "Only one sample available")
            self.classifier_ = self._classifier().fit(self._reduced(X), codes, **options)

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.classifier_.predict_proba(self._reduced(X)), dtype=np.float64)

    def _reduced(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.reducer_.transform(X), dtype=np.float64)
