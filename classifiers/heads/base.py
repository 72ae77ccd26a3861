"""Base classes of heads: classifiers that follow scikit-learn's estimator interface.

The base classes check a table against its layout and convert labels of any type to class codes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers.blas_memory import hold_blas_memory
from classifiers.heads.parameters import check_params
from classifiers.heads.row_checks import (
    check_magnitude,
    check_unmasked,
    check_variation,
    checked_positions,
    checked_weights,
)
from classifiers.layout import Layout
from hsifeat.errors import HeadError
from hsifeat.formatting import format_count, format_value


def check_width(layout: Layout | None, width: int) -> None:
    """Raise `HeadError` if `layout` describes more or fewer than `width` columns.

    If `layout` is None, any `width` is allowed.
    """
    if layout is not None and layout.width != width:
        raise HeadError(
            f"the table has {width} columns but the layout describes {layout.width}; "
            "give the head the layout of this table"
        )


@dataclass(eq=False, repr=False)
class Head(ClassifierMixin, BaseEstimator):
    """Base class of heads, which classify the rows of a pixel table.

    A table is an (n, D) float32 or float64 array. Labels are integers or strings.

    A subclass is a keyword-only dataclass (``@dataclass(eq=False, repr=False, kw_only=True)``). The fields of the subclass
    and its base classes are the parameters of the head, with their types and defaults. A subclass implements `_fit` and
    `_predict`. Attributes that `_fit` learns end in ``_``, and `classifiers.persistence` saves only these attributes. The
    command ``hsifeat heads`` shows the first line of the subclass's docstring.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: unknown, so all columns are treated alike]

    Attributes
    ----------
    needs : frozenset of str
        Column kinds (see `ColumnGroup.input_kind`) that the head requires.
    needs_one : frozenset of str
        Column kinds of which the head requires at least one. If the set is empty, the head makes no such demand.
    wants : frozenset of str
        Column kinds that the head uses if the table has them. `fit_model` includes them.
    ignores : frozenset of str
        Column kinds that the head does not use. `fit_model` refuses inputs that contain them.
    advice : str
        When to use the head, in a few words.
    patch_px : int
        Side of neighbourhoods in pixels, for a head that needs or wants them. `fit_model` uses this side by default.
    search_space : dict of str to list
        Values that tuning tries for each parameter. The first value is the default. There are at most a dozen combinations.
    persisted_types : frozenset of str
        Dotted names of the types that fitted attributes may contain, besides plain values and NumPy arrays. A model with
        any other type can't be saved or loaded.
    classes_ : (C,) array
        Labels that occur in the training rows, in ascending order.

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
    needs_one: ClassVar[frozenset[str]] = frozenset()
    wants: ClassVar[frozenset[str]] = frozenset()
    ignores: ClassVar[frozenset[str]] = frozenset()
    advice: ClassVar[str] = ""
    patch_px: ClassVar[int] = 3
    search_space: ClassVar[dict[str, list[Any]]] = {}
    persisted_types: ClassVar[frozenset[str]] = frozenset(
        {
            "classifiers.heads.group_reducer.GroupReducer",
            "classifiers.layout.Layout",
            "classifiers.layout.ColumnGroup",
        }
    )

    @classmethod
    def missing_kinds(cls, kinds: AbstractSet[str] = frozenset()) -> list[str]:
        """Return the column kinds that the head requires, but `kinds` lacks.

        If the head needs only one of several kinds, these kinds are joined by "or".

        >>> from classifiers import FiLMClassifier
        >>> FiLMClassifier.missing_kinds(), FiLMClassifier.missing_kinds({"spectra", "context"})
        (['spectra', 'context or plane'], [])
        """
        missing = sorted(cls.needs - kinds)
        if cls.needs_one and not cls.needs_one & kinds:
            missing.append(" or ".join(sorted(cls.needs_one)))
        return missing

    def check_rows(self, rows: int, classes: int) -> None:
        """Raise `HeadError` if the head can't be fitted to `rows` training rows of `classes` classes.

        The method of the base class accepts any number of rows.

        Parameters
        ----------
        rows : int
            Number of training rows.
        classes : int
            Number of classes of the training rows.
        """

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        unlabelled: ArrayLike | None = None,
        positions: ArrayLike | None = None,
    ) -> Self:
        """Fit the head to table rows and their labels.

        Parameters
        ----------
        X : (n, D) array-like of float
            Features, in the columns of `layout`.
        y : (n,) array-like of int or str
            Labels.
        unlabelled : (m, D) array-like of float, optional
            Rows without labels, such as a sample of the scene's pixels. A `ReducingHead` fits its reduction on these
            rows. Other heads ignore them. [default: the reduction is fitted on `X`]
        positions : (n, 2) array-like of int, optional
            Row and column of each training pixel on one grid, such as `PixelTable.positions`. With positions,
            `SupertokenClassifier` also learns from the labels of the training pixels around each training pixel. Other heads
            ignore positions. [default: unknown]

        Returns
        -------
        Self
            The fitted head.

        Raises
        ------
        HeadError
            If a value in `X` is masked, not finite or above 1e18 in magnitude. If `X` has more or fewer columns than the layout,
            or all columns are constant. If `y` has fewer than two classes. If a parameter is out of range.
        """
        return self._fit_checked(X, y, unlabelled=unlabelled, positions=positions)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the label of each row.

        Parameters
        ----------
        X : (n, D) array-like of float
            Features, in the columns that the head was fitted on.

        Returns
        -------
        (n,) array
            Predicted labels, in the dtype of the training labels.
        """
        check_is_fitted(self)
        labels: NDArray[Any] = self.classes_[self._predict(self._checked(X))]
        return labels

    def _fit_checked(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        unlabelled: ArrayLike | None = None,
        positions: ArrayLike | None = None,
    ) -> Self:
        hold_blas_memory()
        check_params(type(self).__name__, type(self), self.get_params(deep=False))
        check_unmasked(y=y, sample_weight=sample_weight, positions=positions)
        rows, labels = self._checked(X, y, reset=True)
        weight, places = None, checked_positions(positions, rows)
        if sample_weight is not None:
            weight = checked_weights(sample_weight, rows)
            positive = weight > 0
            rows, labels, weight = rows[positive], labels[positive], weight[positive]
            places = None if places is None else places[positive]
        codes = self._encode(labels)
        check_variation(rows)
        with self._fit_errors():
            if unlabelled is None:
                self._fit_reduction(rows, weight)
            else:
                self._fit_reduction(self._checked(unlabelled), None)
            self._place(places)
            self._fit(rows, codes, weight)
        return self

    def _encode(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Set `classes_`, and return the code of each label, (n,) int64 from 0 to C-1."""
        labels = _plain_labels(labels)
        try:
            check_classification_targets(labels)
        except ValueError as error:
            raise HeadError(f"labels must be classes, as integers or strings: {error}") from error
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            label = self.classes_.tolist()[0]
            raise HeadError(
                f"all {format_count(len(codes), 'row')} are of one class, {label!r}; give at least two classes"
            )
        return codes.astype(np.int64)

    @contextmanager
    def _fit_errors(self) -> Iterator[None]:
        """Raise `HeadError` for a parameter that scikit-learn, LightGBM or torch reports as out of range or of a wrong type."""
        try:
            yield
        except HeadError:
            raise
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise HeadError(f"{type(self).__name__} can't be fitted with these parameters: {reason}") from error

    def _row_weights(self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:  # noqa: ARG002 - for subclasses
        """Return the weight of each row, (n,) float64; None if all weights are equal.

        A `WeighingHead` multiplies the row weight by the weight of the row's class.
        """
        return weight

    def _check_restored(self) -> None:
        """Raise ValueError if attributes that were loaded from a file are unsafe. By default, nothing is checked."""

    def _fit_reduction(self, rows: NDArray[np.floating], weight: NDArray[np.float64] | None) -> None:
        """Fit preprocessing that needs no labels.

        The rows (m, D) are unlabelled rows or training rows. Their weights are (m,), or None if all weights are equal.
        """

    def _place(self, positions: NDArray[np.int64] | None) -> None:
        """Receive the rows and columns (n, 2) of the training pixels, or None if unknown, before `_fit`."""

    @abstractmethod
    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        """Fit the head to validated rows (n, D), class codes (n,) from 0 to C-1, and positive row weights (n,) or None."""

    @abstractmethod
    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        """Predict the class codes (n,) of validated rows (n, D)."""

    def _checked(self, X: Any, y: Any = "no_validation", *, reset: bool = False) -> Any:
        check_unmasked(X=X)
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
            raise HeadError(_not_finite(X, self.layout) or str(error)) from error
        rows = checked[0] if isinstance(checked, tuple) else checked
        check_width(self.layout, rows.shape[1])
        check_magnitude(rows, self.layout)
        return checked


def _plain_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of pandas, which may be objects, as integers or strings of NumPy. A saved head can only have these."""
    if labels.dtype.kind in "iufbUS":
        return labels
    values = labels.tolist()
    for kind in (str, bool, int):
        if all(isinstance(value, kind) for value in values):
            return np.asarray(values, kind)
    raise HeadError(f"labels must be classes, as integers or strings; found {format_value(values)}")


def _not_finite(X: ArrayLike, layout: Layout | None) -> str:
    """Return a message that names the first value of a table that is not finite; an empty text if all values are finite."""
    table = np.asarray(X)
    if table.ndim != 2 or table.dtype.kind != "f":
        return ""
    rows, columns = np.nonzero(~np.isfinite(table))
    if not len(rows):
        return ""
    row, column = int(rows[0]), int(columns[0])
    kind = "NaN" if np.isnan(table[row, column]) else "infinity"
    group = next((f", {group}," for group in layout or () if group.start <= column < group.stop), "")
    return (
        f"the table contains {kind} in row {row} and column {column}{group} and {format_count(len(rows) - 1, 'other value that is', 'other values that are')} not finite: "
        "leave out bands without values with `bad_bands`, or extract such planes to another store"
    )


class ProbabilisticHead(Head):
    """Base class of heads that predict class probabilities.

    A subclass implements `_probabilities` instead of `_predict`.
    """

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the (n, C) float64 class probabilities of the (n, D) table `X`, in the order of `classes_`."""
        check_is_fitted(self)
        return self._probabilities(self._checked(X))

    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        codes: NDArray[np.integer] = self._probabilities(X).argmax(axis=1)
        return codes

    @abstractmethod
    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Predict the class probabilities (n, C) of validated rows (n, D)."""
