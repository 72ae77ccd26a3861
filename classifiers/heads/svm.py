"""The support vector machine that remote sensing compares with, on columns brought to one footing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.base import ClassWeight, Head
from classifiers.heads.columns import GroupReducer
from classifiers.layout import Layout


class SVMClassifier(Head):
    """RBF support vector machine on principal components: 30 of the spectra, 50 of the planes at half weight.

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
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    random_state : int, RandomState or None
        Taken as by every head; the fit draws nothing that changes with it.
    """

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        C: float = 10.0,
        gamma: float | str = "scale",
        spectral_components: int | None = 30,
        plane_components: int | None = 50,
        spectral_weight: float = 1.0,
        plane_weight: float = 0.5,
        class_weight: ClassWeight = None,
        random_state: Any = 0,
    ) -> None:
        super().__init__(layout)
        self.C = C
        self.gamma = gamma
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.spectral_weight = spectral_weight
        self.plane_weight = plane_weight
        self.class_weight = class_weight
        self.random_state = random_state

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the score ``(n, C)`` of each class for each row of `X` ``(n, D)``; ``(n,)`` when there are two."""
        check_is_fitted(self)
        scores: NDArray[np.float64] = self.svc_.decision_function(self.reducer_.transform(self._checked(X)))
        return scores

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64]) -> None:
        self.reducer_ = GroupReducer(
            self.layout,
            spectral_components=self.spectral_components,
            plane_components=self.plane_components,
            spectral_weight=self.spectral_weight,
            plane_weight=self.plane_weight,
        ).fit(X)
        # Ties of the pairwise votes are broken by the scores, so that `predict` is their largest.
        self.svc_ = SVC(
            C=self.C,
            gamma=self.gamma,
            class_weight=dict(enumerate(self._weights_of_classes(codes))),
            break_ties=True,
            random_state=self.random_state,
        )
        self.svc_.fit(self.reducer_.transform(X), codes)

    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        codes: NDArray[np.integer] = self.svc_.predict(self.reducer_.transform(X))
        return codes
