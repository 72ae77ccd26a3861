"""Base class of heads that fit a scikit-learn classifier to standardised and reduced column groups."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.group_reducer import ReducingHead


class SklearnHead(ReducingHead, ProbabilisticHead):
    """Base class of heads that fit a scikit-learn classifier with class probabilities.

    A subclass implements `_classifier`.

    Attributes
    ----------
    classifier_ : scikit-learn classifier
        Classifier that is fitted to the reduced columns. The classes of this classifier are the codes ``0 … C-1``.
    """

    @abstractmethod
    def _classifier(self) -> Any:
        """Return an unfitted scikit-learn classifier with the method `predict_proba`."""

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        row_weights = self._row_weights(codes, weight)
        options = {} if row_weights is None else {"sample_weight": row_weights}
        with warnings.catch_warnings():
            # A fit may stop at `max_iter`, and a class may have a single row: neither needs a warning.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "Only one sample available")
            self.classifier_ = self._classifier().fit(self._reduced(X), codes, **options)

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.classifier_.predict_proba(self._reduced(X)), dtype=np.float64)

    def _reduced(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.reducer_.transform(X), dtype=np.float64)
