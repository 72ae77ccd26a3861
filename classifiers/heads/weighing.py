"""Base class of heads that accept row weights and class weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_class_weight

from classifiers.heads.base import Head
from classifiers.heads.parameters import ClassWeight
from hsifeat.errors import HeadError


@dataclass(eq=False, repr=False, kw_only=True)
class WeighingHead(Head):
    """Base class of heads that accept row weights and class weights.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        A dict maps each label to the weight of its rows. ``balanced`` makes weights inversely proportional to the class
        frequency. [default: equal weights]
    """

    class_weight: ClassWeight = None

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        unlabelled: ArrayLike | None = None,
        positions: ArrayLike | None = None,
    ) -> Self:
        """Fit the head to table rows, their labels and optional row weights.

        A row of weight 2 counts as two rows, and a row of weight 0 is ignored.

        Parameters
        ----------
        X : (n, D) array-like of float
            Features, in the columns of `layout`.
        y : (n,) array-like of int or str
            Labels.
        sample_weight : (n,) array-like of float or None
            Weights of the rows. [default: equal weights]
        unlabelled, positions
            See `Head.fit`.

        Returns
        -------
        Self
            The fitted head.

        Raises
        ------
        HeadError
            If a value in `X` is not finite. If `X` and the layout differ in the number of columns. If `y` has fewer
            than two classes. If a weight is negative or not finite. If a parameter is out of range.
        """
        return self._fit_checked(X, y, sample_weight, unlabelled, positions)

    def _class_weights(
        self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        try:
            weights = compute_class_weight(
                self.class_weight, classes=self.classes_, y=self.classes_[codes], sample_weight=weight
            )
        except ValueError as error:
            raise HeadError(
                f"class_weight {self.class_weight!r} can't be used: {error}; allowed: None, 'balanced', "
                f"or a weight for each of the labels {self.classes_.tolist()}"
            ) from error
        if np.count_nonzero(weights) < 2:
            raise HeadError(
                f"class_weight {self.class_weight!r} leaves fewer than two classes: give at least two a weight above 0"
            )
        return np.asarray(weights, dtype=np.float64)

    def _row_weights(self, codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        if self.class_weight is None:
            return weight
        by_class = self._class_weights(codes, weight)[codes]
        return by_class if weight is None else by_class * weight
