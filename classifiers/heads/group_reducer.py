"""Standardise, reduce and weight column groups, so that hundreds of plane columns do not outweigh a few bands."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import svd
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.extmath import randomized_svd, svd_flip
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from classifiers.heads.base import Head, check_width
from classifiers.heads.row_checks import CONSTANT_ERRORS, check_magnitude
from classifiers.layout import ColumnGroup, Layout
from classifiers.threads import one_library_thread
from hsifeat.errors import HeadError

# Largest smaller side of a matrix for which a full SVD is fast. For a larger matrix, a full SVD takes seconds, and a
# randomised SVD with a fixed seed computes the first axes.
FULL_SVD_SIDE = 600
# Default number of components of each context family in all heads.
CONTEXT_COMPONENTS = 60


class GroupReducer(  # type: ignore[call-arg]
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Standardise columns, reduce each group to principal components, and scale each group to a given variance.

    The columns of all planes form one group. The context columns of each family (`ColumnGroup.family`) form one group.
    Each other column group of the layout, such as spectra or positions, is a separate group. In the output, all groups
    lie side by side, in the order of their first columns. Over the training rows, the variances of the output columns
    of a group add up to the square of the group's weight, such as `plane_weight`. Group g has D_g columns before the
    reduction and k_g columns after it.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each context family, and all planes together. It
        is limited to the rank of the rows, and to half the number of distinct rows (see `most_components`). None keeps the
        standardised columns. Other groups are never reduced.
    spectral_weight, context_weight, plane_weight : float
        Square root of the total variance of each spectral group, each context family, and all planes together. Other groups
        have the spectral weight.

    Attributes
    ----------
    mean_, gain_ : (D,) arrays
        Offset and factor of each column. A column is transformed to ``(column - mean_) * gain_``. The factor of a
        constant column is 0.
    columns_ : list of (D_g,) intp arrays
        Column indices of each group.
    bases_ : list of (k_g, D_g) arrays or None
        Principal axes of each group. None for a group that is not reduced.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 8))
    >>> reduced = GroupReducer(spectral_components=3).fit_transform(X)
    >>> reduced.shape, round(float(reduced.var(axis=0).sum()), 6)
    ((50, 3), 1.0)
    """

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        spectral_components: int | None = None,
        context_components: int | None = CONTEXT_COMPONENTS,
        plane_components: int | None = None,
        spectral_weight: float = 1.0,
        context_weight: float = 1.0,
        plane_weight: float = 0.5,
    ) -> None:
        self.layout = layout
        self.spectral_components = spectral_components
        self.context_components = context_components
        self.plane_components = plane_components
        self.spectral_weight = spectral_weight
        self.context_weight = context_weight
        self.plane_weight = plane_weight

    def fit(
        self,
        X: ArrayLike,
        y: object = None,  # noqa: ARG002 - scikit-learn passes y to every step
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the reducer to training rows, or to unlabelled rows of the scene.

        Parameters
        ----------
        X : (n, D) array-like of float
            Rows in the columns of the layout.
        y : object
            Ignored; scikit-learn passes labels here.
        sample_weight : (n,) array-like of float or None
            Weights of the rows. [default: equal weights]

        Returns
        -------
        Self
            The fitted reducer.

        Raises
        ------
        HeadError
            If `X` has more or fewer columns than the layout. If a number of components is not positive. If the standard
            deviation of a column is too small for the dtype of `X`.
        """
        rows: NDArray[np.floating] = validate_data(self, X, dtype=[np.float64, np.float32])
        check_width(self.layout, rows.shape[1])
        check_magnitude(rows, self.layout)
        weights: NDArray[np.floating] | None = None
        if sample_weight is not None:
            weights = np.asarray(_check_sample_weight(sample_weight, rows, dtype=rows.dtype, ensure_non_negative=True))
        mean, variance = moments(rows, weights)
        deviation = np.sqrt(variance)
        # The deviation of a constant column is a few rounding errors of its value, not zero.
        varies = deviation > CONSTANT_ERRORS * np.finfo(rows.dtype).eps * np.abs(mean)
        gain = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
        # The weights of groups multiply the gain by up to 1e6.
        if gain.max(initial=0.0) > np.finfo(rows.dtype).max / 1e6:
            raise HeadError(
                f"a column has a standard deviation of {deviation[varies].min():.3g}, which is too small for {rows.dtype} numbers: "
                "multiply the values of the scene, so that they are near 1"
            )
        standard = (rows - mean.astype(rows.dtype)) * gain.astype(rows.dtype)
        self.columns_, self.bases_ = [], []
        for columns, components, weight in self._groups(rows.shape[1]):
            group = standard[:, columns]
            basis = None if components is None else principal_axes(group, components, weights)
            total = moments(group if basis is None else group @ basis.T, weights)[1].sum()
            gain[columns] *= weight / np.sqrt(total) if total > 0 else 0.0
            self.columns_.append(columns)
            self.bases_.append(basis)
        self.mean_, self.gain_ = mean.astype(rows.dtype), gain.astype(rows.dtype)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Reduce and weight the column groups of the (n, D) table `X`.

        Returns an (n, `n_features_out`) array in the dtype of `X`, with the groups side by side.
        """
        check_is_fitted(self)
        rows: NDArray[np.floating] = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        check_magnitude(rows, self.layout)
        scaled = (rows - self.mean_.astype(rows.dtype, copy=False)) * self.gain_.astype(rows.dtype, copy=False)
        return np.hstack(
            [
                scaled[:, columns] if basis is None else scaled[:, columns] @ basis.T.astype(rows.dtype, copy=False)
                for columns, basis in zip(self.columns_, self.bases_, strict=True)
            ]
        )

    def equals(self, other: GroupReducer) -> bool:
        """Return whether another fitted reducer transforms all rows into the same values."""
        own, others = (
            [
                reducer.mean_,
                reducer.gain_,
                *reducer.columns_,
                *(np.empty(0) if b is None else b for b in reducer.bases_),
            ]
            for reducer in (self, other)
        )
        return len(own) == len(others) and all(map(np.array_equal, own, others))

    @property
    def n_features_out(self) -> int:
        """Number of output columns of a fitted reducer."""
        return sum(self.group_widths)

    @property
    def group_widths(self) -> list[int]:
        """Number of output columns of each group, for a fitted reducer."""
        return [len(c) if b is None else len(b) for c, b in zip(self.columns_, self.bases_, strict=True)]

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out  # scikit-learn's mix-in reads this private attribute

    def _groups(self, width: int) -> list[tuple[NDArray[np.intp], int | None, float]]:
        """Return column indices, components and weight of each group, in the order of their first columns."""
        if self.layout is None:
            return [(np.arange(width), self.spectral_components, self.spectral_weight)]
        groups = [
            (self.layout.columns(g), self.spectral_components if g.is_spectral else None, self.spectral_weight)
            for g in self.layout
            if g.layer is None
        ]
        families: dict[str, list[ColumnGroup]] = {}
        for group in self.layout.context:
            families.setdefault(group.family, []).append(group)
        groups += [(self.layout.columns(*f), self.context_components, self.context_weight) for f in families.values()]
        if self.layout.learned:
            groups.append((self.layout.columns(*self.layout.learned), self.plane_components, self.plane_weight))
        return sorted(groups, key=lambda group: int(group[0][0]))


class ReducingHead(Head):
    """Base class of heads that learn from the output columns of a `GroupReducer`.

    A subclass may have parameters with the names of parameters of `GroupReducer`. The head passes the values of these
    parameters to the reducer.

    Attributes
    ----------
    reducer_ : GroupReducer
        Reducer that standardises, reduces and weights the columns. It is fitted before `_fit` is called.
    """

    def unfitted_reducer(self) -> GroupReducer:
        """Return an unfitted reducer with the parameters of the head."""
        return GroupReducer(
            **{name: getattr(self, name) for name in GroupReducer().get_params() if hasattr(self, name)}
        )

    def _fit_reduction(self, rows: NDArray[np.floating], weight: NDArray[np.float64] | None) -> None:
        reducer = self.unfitted_reducer()
        self.reducer_ = _fit_once(reducer, rows) if weight is None else reducer.fit(rows, sample_weight=weight)


_fitted: OrderedDict[bytes, GroupReducer] = OrderedDict()
_fitted_lock = threading.Lock()
_MAX_FITTED = 8


def _fit_once(reducer: GroupReducer, rows: NDArray[np.floating]) -> GroupReducer:
    """Fit a reducer, or return a cached reducer with the same parameters that was fitted to the same rows.

    Heads with different training rows often fit their reducers to the same sample of a scene.
    """
    digest = hashlib.blake2b(np.ascontiguousarray(rows).data)
    digest.update(repr((rows.dtype.str, rows.shape, sorted(reducer.get_params().items()))).encode())
    key = digest.digest()
    with _fitted_lock:
        fitted = _fitted.get(key)
    if fitted is None:
        fitted = reducer.fit(rows)  # without the lock: fits of other threads go on
    with _fitted_lock:
        fitted = _fitted.setdefault(key, fitted)
        _fitted.move_to_end(key)
        while len(_fitted) > _MAX_FITTED:
            _fitted.popitem(last=False)
    return fitted


def moments(
    X: NDArray[np.floating], weight: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the variance of each column, two (D,) float64 arrays.

    `X` is an (n, D) table. `weight` has the weights of its n rows. If it is None, all rows have the same weight.
    """
    if weight is None:
        return X.mean(axis=0, dtype=np.float64), X.var(axis=0, dtype=np.float64)
    share = weight / weight.sum(dtype=np.float64)
    mean = np.einsum("i,ij->j", share, X, dtype=np.float64)
    return mean, np.einsum("i,ij->j", share, (X - mean.astype(X.dtype)) ** 2, dtype=np.float64)


def principal_axes(
    X: NDArray[np.floating], components: int, weight: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Return the first principal axes of rows, like `sklearn.decomposition.PCA`, but with row weights.

    Parameters
    ----------
    X : (n, D) float array
        Rows.
    components : int
        Number of axes.
    weight : (n,) float array, optional
        Weight of each row. [default: equal weights]

    Returns
    -------
    (k, D) array
        The first k axes, in the dtype of `X`. The number k is the smallest of `components`, the rank of the centred
        rows, and the result of `most_components` for the rows with a positive weight. If the rank is 0, k is 1. Along
        axes beyond the rank, the rows differ only by rounding errors, which a classifier would magnify. The result is
        deterministic.

    Raises
    ------
    HeadError
        If `components` is not positive.
    """
    if components < 1:
        raise HeadError(f"a group can't be reduced to {components} components; give 1 or more, or None to keep all")
    centred = X - moments(X, weight)[0].astype(X.dtype)
    if weight is not None:
        centred *= np.sqrt(weight / weight.mean())[:, None].astype(X.dtype)
    side = min(X.shape)
    count = most_components(X if weight is None else X[weight > 0], min(components, side))
    # More threads hardly help at this size, and can be fifty times slower on a busy machine. The last bits of the result
    # would also depend on the number of threads.
    with one_library_thread("blas"):
        if side <= FULL_SVD_SIDE or count > side // 2:
            left, spread, axes = svd(centred, full_matrices=False, overwrite_a=True, check_finite=False)
        else:
            left, spread, axes = randomized_svd(centred, count, random_state=0, flip_sign=False)
    rank = int((spread > max(X.shape) * np.finfo(X.dtype).eps * spread[0]).sum())  # as np.linalg.matrix_rank
    signed: NDArray[np.floating] = svd_flip(left, axes, u_based_decision=False)[1][: max(1, min(count, rank))]
    return signed


def most_components(X: NDArray[np.floating], components: int) -> int:
    """Return `components`, but at most half the number of distinct rows of the (n, D) float array `X`.

    The result is at least 1. The principal axes are fitted to the rows of `X`. Variances along the last axes are therefore
    smaller for rows of `X` than for other rows. If a head scales the components of `X` to equal variances, the values of
    other rows become too large along the last axes. Shrinking the covariance towards its diagonal does not help: for rows
    of `X`, the covariance of the components is diagonal already. The error of linear discriminant analysis peaks where the
    number of columns nears the number of rows (Raudys and Duin, Pattern Recognit. Lett. 1998).

    >>> rows = np.arange(50.0).reshape(50, 1)
    >>> most_components(rows, 60), most_components(np.repeat(rows, 3, axis=0), 60), most_components(rows, 10)
    (25, 25, 10)
    """
    distinct: set[bytes] = set()
    for row in X:
        distinct.add(row.tobytes())
        if len(distinct) >= 2 * components:
            return components
    return max(1, len(distinct) // 2)
