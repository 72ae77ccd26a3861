"""The support vector machine that remote sensing compares with, on columns brought to one footing."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import WeighingHead
from classifiers.heads.group_reducer import moments, reducer_of
from classifiers.heads.parameters import ClassWeight, Components, Count, NotNegative, Positive, Seed, Whole
from classifiers.layout import Layout


class SVMClassifier(WeighingHead):
    """RBF support vector machine on principal components: 30 of the spectra, 50 of the planes at half weight.

    Its time grows with the square of the number of rows. Above `exact_rows` the kernel is approximated by that to a
    sample of the rows (Nyström, as Williams and Seeger, NIPS 2000), and a linear machine learns from it.

    It has no probabilities: those of libsvm come from an inner cross-validation that can contradict `predict`.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None makes all columns one group with the spectral parameters.
    C : float
        Penalty of an error.
    gamma : float or {"scale", "auto"}
        Width of the kernel, see `sklearn.svm.SVC`.
    spectral_components, plane_components, spectral_weight, plane_weight
        See `GroupReducer`.
    exact_rows : int
        Training rows up to which the kernel is exact.
    sampled_rows : int
        Rows of the sample above that: more are more exact, and slower.
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    random_state : int, RandomState or None
        Seed of the sample; an exact fit draws nothing that changes with it.

    Attributes
    ----------
    kernel_map_ : Nystroem or None
        The map to the sampled rows; None where the kernel is exact.
    svc_ : SVC or LinearSVC
        The machine, linear behind a map.
    """

    kernel_map_: Nystroem | None = None
    search_space: ClassVar[dict[str, list[Any]]] = {
        "C": [10.0, 1.0, 100.0],
        "plane_weight": [0.5, 1.0],
        "plane_components": [50, 100],
    }

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        C: Positive = 10.0,
        gamma: NotNegative | Literal["scale", "auto"] = "scale",
        spectral_components: Components = 30,
        plane_components: Components = 50,
        spectral_weight: NotNegative = 1.0,
        plane_weight: NotNegative = 0.5,
        exact_rows: Whole = 20_000,
        sampled_rows: Count = 500,
        class_weight: ClassWeight = None,
        random_state: Seed = 0,
    ) -> None:
        super().__init__(layout)
        self.C = C
        self.gamma = gamma
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.spectral_weight = spectral_weight
        self.plane_weight = plane_weight
        self.exact_rows = exact_rows
        self.sampled_rows = sampled_rows
        self.class_weight = class_weight
        self.random_state = random_state

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the score ``(n, C)`` of each class for each row of `X` ``(n, D)``; ``(n,)`` when there are two."""
        check_is_fitted(self)
        scores: NDArray[np.float64] = self.svc_.decision_function(self._mapped(self._checked(X)))
        return scores

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        self.reducer_ = reducer_of(self).fit(X, sample_weight=weight)
        reduced = self.reducer_.transform(X)
        gamma = self.gamma
        if gamma == "scale":  # as SVC has it, which knows no weights
            spread = float(moments(reduced, weight)[1].sum())
            gamma = 1 / spread if spread else 1.0
        class_weight = dict(enumerate(self._weights_of_classes(codes, weight)))
        if len(codes) <= self.exact_rows:
            self.kernel_map_ = None
            # Ties of the pairwise votes are broken by the scores, so that `predict` is their largest.
            self.svc_ = SVC(
                C=self.C, gamma=gamma, class_weight=class_weight, break_ties=True, random_state=self.random_state
            )
        else:
            self.kernel_map_ = Nystroem(
                gamma=1 / reduced.shape[1] if gamma == "auto" else gamma,
                n_components=min(self.sampled_rows, len(codes)),
                random_state=self.random_state,
            ).fit(reduced)
            self.svc_ = LinearSVC(C=self.C, class_weight=class_weight, dual=False, random_state=self.random_state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the linear machine's steps are bounded
            self.svc_.fit(self._mapped(X), codes, sample_weight=weight)

    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        codes: NDArray[np.integer] = self.svc_.predict(self._mapped(X))
        return codes

    def _mapped(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return what the machine takes for checked rows."""
        reduced: NDArray[np.floating] = self.reducer_.transform(X)
        return reduced if self.kernel_map_ is None else self.kernel_map_.transform(reduced)
