"""Base classes of heads: classifiers that fulfil scikit-learn's estimator contract.

They check a table against its layout and turn labels of any type into class codes.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from classifiers.heads.parameters import ClassWeight
from classifiers.layout import Layout
from hsifeat.errors import HeadError


def check_width(layout: Layout | None, width: int) -> None:
    """Raise `HeadError` if a table of `width` columns does not fit a layout; None fits any width."""
    if layout is not None and layout.width != width:
        raise HeadError(
            f"the table has {width} columns but the layout describes {layout.width}; "
            "use the layout of the table that the head is used with"
        )


@dataclass(eq=False, repr=False)
class Head(ClassifierMixin, BaseEstimator):
    """Base of every head: a classifier of table rows (n, D), float32 or float64, with labels of any type.

    A subclass is a keyword-only dataclass (``@dataclass(eq=False, repr=False, kw_only=True)``) whose fields are its
    parameters, so that each parameter is declared once, with its type and default; base classes contribute theirs. It
    implements `_fit` and `_predict`. Attributes learned by `_fit` end in ``_``: `classifiers.persistence` saves those and
    nothing else. The first line of its docstring is what ``hsifeat heads`` shows.

    Parameters
    ----------
    layout : Layout or None
        What the columns are. [default: unknown, so all columns are treated alike]

    Attributes
    ----------
    needs : frozenset of str
        Column kinds (see `ColumnGroup.kind`) without which the head can't work.
    wants : frozenset of str
        Further column kinds that it uses if the table has them; `fit_model` includes them.
    advice : str
        When to use the head, in a few words.
    search_space : dict of str to list
        Parameters that tuning searches, in all combinations, at most a dozen; each list starts with the default.
    persisted_types : frozenset of str
        Dotted names of the classes, beside scikit-learn's own, that a fitted head contains and loading may build.
    classes_ : (C,) array
        The labels of the training rows, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> from classifiers import make_head
    >>> X, y = np.array([[0.0], [0.1], [0.9], [1.0]]), np.array(["soil", "soil", "corn", "corn"])
    >>> make_head("lda").fit(X, y).predict([[0.2], [0.8]]).tolist()
    ['soil', 'corn']
    """

    layout: Layout | None = None

    needs: ClassVar[frozenset[str]] = frozenset()
    wants: ClassVar[frozenset[str]] = frozenset()
    advice: ClassVar[str] = ""
    search_space: ClassVar[dict[str, list[Any]]] = {}
    persisted_types: ClassVar[frozenset[str]] = frozenset(
        {"classifiers.heads.group_reducer.GroupReducer", "classifiers.layout.Layout", "classifiers.layout.ColumnGroup"}
    )

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to rows and their labels.

        Parameters
        ----------
        X : (n, D) array-like of float
            Features, in the columns of `layout`.
        y : (n,) array-like of int or str
            Labels.

        Returns
        -------
        Self
            The fitted head.

        Raises
        ------
        HeadError
            If the rows are not finite numbers, do not fit the layout, or hold fewer than two classes; if a parameter is
            out of range.
        """
        return self._fit_checked(X, y)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the label of each row.

        Parameters
        ----------
        X : (n, D) array-like of float
            Features, in the columns that the head was fitted on.

        Returns
        -------
        (n,) array
            Labels, in the dtype of those that the head was fitted on.
        """
        check_is_fitted(self)
        labels: NDArray[Any] = self.classes_[self._predict(self._checked(X))]
        return labels

    def _fit_checked(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Validate rows, labels and weights, then call `_fit`."""
        rows, labels = self._checked(X, y, reset=True)
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise HeadError(f"labels must be classes, as integers or strings: {error}") from error
        weight = None
        if sample_weight is not None:
            weight = _checked_weights(sample_weight, rows)
            kept = weight > 0  # a row of weight 0 counts as absent
            rows, labels, weight = rows[kept], labels[kept], weight[kept]
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            only = self.classes_.tolist()[0]
            raise HeadError(f"all {len(codes)} rows are of one class, {only!r}; give at least two classes")
        try:
            self._fit(rows, codes.astype(np.int64), weight)
        except HeadError:
            raise
        except (TypeError, ValueError) as error:
            # A parameter of a wrong type or out of range, reported by the library that it was passed to.
            reason = " ".join(str(error).split())
            raise HeadError(f"{type(self).__name__} can't be fitted with these parameters: {reason}") from error
        return self

    def _row_weights(self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:  # noqa: ARG002 - for subclasses
        """Return the total weight (n,) of each row, or None if all weigh the same."""
        return weight

    def _check_restored(self) -> None:
        """Raise ValueError if attributes read from a file could not come from `_fit` and would do harm."""

    @abstractmethod
    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        """Fit to checked rows, class codes (n,) in ``0 … C-1``, and positive row weights (n,) or None."""

    @abstractmethod
    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        """Predict the class codes (n,) of checked rows."""

    def _checked(self, X: Any, y: Any = "no_validation", *, reset: bool = False) -> Any:
        if hasattr(X, "ndim"):
            if X.ndim == 1:
                raise HeadError(
                    f"a table has rows and columns; found an array of shape {X.shape}. Reshape your data: "
                    "X.reshape(1, -1) is a table of one row"
                )
            if X.ndim == 2:
                check_width(self.layout, X.shape[1])
        try:
            checked = validate_data(self, X, y, reset=reset, dtype=[np.float64, np.float32])
        except ValueError as error:
            raise HeadError(str(error)) from error
        check_width(self.layout, (checked[0] if isinstance(checked, tuple) else checked).shape[1])
        return checked


@dataclass(eq=False, repr=False, kw_only=True)
class WeighingHead(Head):
    """Base of heads that accept row and class weights.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Weight of each label's rows: a mapping, or inversely proportional to class frequency. [default: all alike]
    """

    class_weight: ClassWeight = None

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to rows, their labels and optional row weights.

        A row of weight 2 counts like two rows, and a row of weight 0 as absent.

        Parameters
        ----------
        X : (n, D) array-like of float
            Features, in the columns of `layout`.
        y : (n,) array-like of int or str
            Labels.
        sample_weight : (n,) array-like of float or None
            Weights of the rows. [default: all alike]

        Returns
        -------
        Self
            The fitted head.

        Raises
        ------
        HeadError
            If the rows are not finite numbers, do not fit the layout, or hold fewer than two classes; if a weight is
            negative or not finite; if a parameter is out of range.
        """
        return self._fit_checked(X, y, sample_weight)

    def _class_weights(
        self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the weight (C,) of each class under the parameter `class_weight`."""
        try:
            weights = compute_class_weight(
                self.class_weight, classes=self.classes_, y=self.classes_[codes], sample_weight=weight
            )
        except ValueError as error:
            raise HeadError(
                f"class_weight {self.class_weight!r} can't be used: {error}; allowed: None, 'balanced', "
                f"or a weight for each of the labels {self.classes_.tolist()}"
            ) from error
        return np.asarray(weights, dtype=np.float64)

    def _row_weights(self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return weight
        by_class = self._class_weights(codes, weight)[codes]
        return by_class if weight is None else by_class * weight


class ProbabilisticHead(Head):
    """Base of heads with class probabilities: a subclass implements `_probabilities` instead of `_predict`."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict the probability (n, C) float64 of each of `classes_` for each row of `X` (n, D)."""
        check_is_fitted(self)
        return self._probabilities(self._checked(X))

    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        codes: NDArray[np.integer] = self._probabilities(X).argmax(axis=1)
        return codes

    @abstractmethod
    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Predict probabilities (n, C) of checked rows."""


def _checked_weights(sample_weight: ArrayLike, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    try:
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise HeadError(f"sample_weight can't be used: {error}") from error
    return np.asarray(weight, dtype=np.float64)
