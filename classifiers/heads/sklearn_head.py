"""Base class of heads that fit a scikit-learn classifier to standardised and reduced column groups."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_X_y

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.column_scale import whitening_gain
from classifiers.heads.group_reducer import GroupReducer, ReducingHead
from classifiers.heads.row_checks import check_variation
from hsifeat.errors import HeadError
from hsifeat.quiet_warnings import ignored_warnings


class SklearnHead(ReducingHead, ProbabilisticHead):
    """Base class of heads that fit a scikit-learn classifier with class probabilities.

    A subclass implements `_classifier`, and may override `_column_gain`. If a subclass has the parameter `whitening`,
    the variances of the reduced columns are equalised by `classifiers.heads.column_scale.whitening_gain`.

    Attributes
    ----------
    is_softmax : bool
        Whether the class probabilities are the softmax of linear scores, or for two classes the logistic function of one
        score. If True, maps during labelling compute the probabilities in single precision. [default: False]
    gain_ : (k,) float64 array
        Factor by which each reduced column is multiplied.
    classifier_ : scikit-learn classifier
        Classifier that is fitted to the reduced and scaled columns. The classes of this classifier are the codes ``0 … C-1``.
    """

    is_softmax: ClassVar[bool] = False
    whitening = 0.0  # a class attribute; a subclass with this parameter declares it as a field

    @abstractmethod
    def _classifier(self) -> Any:
        """Return an unfitted scikit-learn classifier with the method `predict_proba`."""

    def _column_gain(
        self,
        columns: NDArray[np.floating],
        codes: NDArray[np.int64],  # noqa: ARG002 - for subclasses
        weight: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return the factors (k,) that multiply the reduced columns. `columns` (n, k) are the reduced training rows."""
        return whitening_gain(columns, self.whitening, weight)

    def fit_reduced(self, columns: NDArray[np.floating], y: NDArray[np.integer], reducer: GroupReducer) -> Self:
        """Fit the head to rows that `reducer` has already reduced.

        `fit` on the rows before the reduction would give an identical head.

        Parameters
        ----------
        columns : (n, k) float array
            Output of the reducer.
        y : (n,) integer array
            Labels.
        reducer : GroupReducer
            Fitted reducer, which becomes a part of the head.

        Returns
        -------
        Self
            The fitted head.

        Raises
        ------
        HeadError
            If a value in `columns` is not finite. If `columns` has more or fewer columns than the reducer returns. If
            `y` has fewer than two classes. If a parameter is out of range.
        """
        try:
            rows, labels = check_X_y(columns, y, dtype=[np.float64, np.float32])
        except ValueError as error:
            raise HeadError(str(error)) from error
        if rows.shape[1] != reducer.n_features_out:
            raise HeadError(f"the reducer returns {reducer.n_features_out} columns; found {rows.shape[1]}")
        codes = self._encode(labels)
        check_variation(rows)
        self.reducer_, self.n_features_in_ = reducer, reducer.n_features_in_
        with self._fit_errors():
            self._fit_columns(rows, codes, None)
        return self

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        self._fit_columns(self.reducer_.transform(X), codes, weight)

    def _fit_columns(
        self, columns: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None
    ) -> None:
        """Fit the head to reduced rows (n, k); see `Head._fit`."""
        self.gain_ = self._column_gain(columns, codes, weight)
        row_weights = self._row_weights(codes, weight)
        options = {} if row_weights is None else {"sample_weight": row_weights}
        rows = np.asarray(columns, dtype=np.float64) * self.gain_
        with ignored_warnings(ConvergenceWarning):  # a fit may stop at `max_iter`
            self.classifier_ = self._fit_classifier(rows, codes, **options)

    def _fit_classifier(self, rows: NDArray[np.float64], codes: NDArray[np.int64], **options: Any) -> Any:
        """Return a fitted scikit-learn classifier. `rows` (n, k) are the reduced and scaled training rows."""
        return self._classifier().fit(rows, codes, **options)

    def _check_restored(self) -> None:
        if type(self.classifier_) is not type(self._classifier()):
            raise ValueError(f"the classifier is a {type(self.classifier_).__name__}")

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.classifier_.predict_proba(self._reduced(X)), dtype=np.float64)

    def _reduced(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(self.reducer_.transform(X), dtype=np.float64) * self.gain_
