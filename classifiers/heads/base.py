"""What all heads share: checking the table against the layout, labels of any type, the scikit-learn contract."""

from __future__ import annotations

from abc import abstractmethod
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
    """Refuse a table of `width` columns that does not fit the layout, if there is one.

    Raises
    ------
    HeadError
        Naming both widths.
    """
    if layout is not None and layout.width != width:
        raise HeadError(
            f"the table has {width} columns but the layout describes {layout.width}; "
            "use the layout of the table that the head is used with"
        )


class Head(ClassifierMixin, BaseEstimator):
    """Base of every head: a classifier of table rows ``(n, D)`` float32 or float64, labels of any type.

    A subclass takes `layout` and its own parameters in ``__init__`` and fills in `_fit` and `_predict`. What `_fit`
    learns goes into attributes that end in ``_``: `classifiers.persistence` saves those and nothing else.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None means that nothing is known of them.

    Attributes
    ----------
    needs : frozenset of str
        Kinds of columns (of `ColumnGroup.kind`) without which the head can't work.
    wants : frozenset of str
        Kinds of columns that it makes use of where they are there: `fit` gives it those.
    search_space : dict of str to list
        Parameters that tuning tries, all combinations, at most a dozen; each list begins with the default.
    persisted_types : frozenset of str
        Dotted names of the classes beside scikit-learn's own that a fitted head holds and that loading may build.
    classes_ : (C,) array
        The labels seen, ascending.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    wants: ClassVar[frozenset[str]] = frozenset()
    search_space: ClassVar[dict[str, list[Any]]] = {}
    persisted_types: ClassVar[frozenset[str]] = frozenset(
        {"classifiers.heads.group_reducer.GroupReducer", "classifiers.layout.Layout", "classifiers.layout.ColumnGroup"}
    )
    layout: Layout | None
    class_weight: ClassWeight
    classes_: NDArray[Any]

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from rows `X` ``(n, D)`` and their labels `y` ``(n,)``.

        Raises
        ------
        HeadError
            If the rows are not finite numbers, do not fit the layout, or hold fewer than two classes.
        """
        return self._learn(X, y)

    def _learn(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        rows, labels = self._checked(X, y, reset=True)
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise HeadError(f"labels must be classes, as integers or strings: {error}") from error
        weight = None
        if sample_weight is not None:
            weight = _row_weights(sample_weight, rows)
            kept = weight > 0  # a row of weight 0 is as if it were not there
            rows, labels, weight = rows[kept], labels[kept], weight[kept]
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            one = self.classes_.tolist()[0]
            raise HeadError(f"all {len(codes)} rows are of one class, {one!r}; give at least two classes")
        try:
            self._fit(rows, codes.astype(np.int64), weight)
        except HeadError:
            raise
        except (TypeError, ValueError) as error:
            # A parameter of a wrong kind or out of range, told by whoever met it first.
            reason = " ".join(str(error).split())
            raise HeadError(f"{type(self).__name__} can't be fitted with these parameters: {reason}") from error
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label ``(n,)`` of each row of `X` ``(n, D)``."""
        check_is_fitted(self)
        labels: NDArray[Any] = self.classes_[self._predict(self._checked(X))]
        return labels

    def _weights_of_classes(
        self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the weight ``(C,)`` of each class's rows under the parameter `class_weight`, which many heads have."""
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

    def _weights_of_rows(
        self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        """Return what each row weighs ``(n,)`` by its class and by itself; None where all weigh alike."""
        if self.class_weight is None:
            return weight
        of_class = self._weights_of_classes(codes, weight)[codes]
        return of_class if weight is None else of_class * weight

    def _check_restored(self) -> None:
        """Refuse, by a ValueError, fitted attributes of a file that `_fit` could not have made and that would do harm."""

    @abstractmethod
    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        """Learn from checked rows, class codes ``(n,)`` in ``0 … C-1``, and positive weights ``(n,)`` of rows or None."""

    @abstractmethod
    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        """Return the class codes ``(n,)`` of checked rows."""

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


class WeighingHead(Head):
    """Base of the heads that can weigh rows: all but those whose formula has no place for it."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from rows `X` ``(n, D)``, their labels `y` ``(n,)`` and, if given, their weights ``(n,)``.

        A row of weight 2 counts like two rows, one of weight 0 as if it were not there.

        Raises
        ------
        HeadError
            If the rows are not finite numbers, do not fit the layout, or hold fewer than two classes; if a weight is
            negative or not finite.
        """
        return self._learn(X, y, sample_weight)


class ProbabilisticHead(Head):
    """Base of the heads that know probabilities: a subclass fills in `_probabilities` instead of `_predict`."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probability ``(n, C)`` of each of `classes_` for each row of `X` ``(n, D)``."""
        check_is_fitted(self)
        return self._probabilities(self._checked(X))

    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        codes: NDArray[np.integer] = self._probabilities(X).argmax(axis=1)
        return codes

    @abstractmethod
    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return probabilities ``(n, C)`` of checked rows."""


def _row_weights(sample_weight: ArrayLike, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    try:
        weight = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    except ValueError as error:
        raise HeadError(f"sample_weight can't be used: {error}") from error
    return np.asarray(weight, dtype=np.float64)
