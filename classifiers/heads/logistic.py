"""Multinomial logistic regression: the linear head whose probabilities are trained for."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.linear_model import LogisticRegression

from classifiers.heads.base import WeighingHead
from classifiers.heads.parameters import ClassWeight, Components, Count, NotNegative, Positive
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.layout import Layout


class LogisticClassifier(SklearnHead, WeighingHead):
    """Softmax regression with an L2 penalty, fitted by L-BFGS.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None makes all columns one group with the spectral parameters.
    C : float
        Inverse of the penalty's strength.
    max_iter : int
        Steps at most; a fit that needs more is kept as it is then.
    spectral_components, plane_components, spectral_weight, plane_weight
        See `GroupReducer`.
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    """

    search_space: ClassVar[dict[str, list[Any]]] = {"C": [100.0, 10.0, 1.0], "plane_weight": [0.5, 1.0]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        C: Positive = 100.0,
        max_iter: Count = 300,
        spectral_components: Components = None,
        plane_components: Components = 50,
        spectral_weight: NotNegative = 1.0,
        plane_weight: NotNegative = 0.5,
        class_weight: ClassWeight = None,
    ) -> None:
        super().__init__(layout)
        self.C = C
        self.max_iter = max_iter
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.spectral_weight = spectral_weight
        self.plane_weight = plane_weight
        self.class_weight = class_weight

    @property
    def n_iter_(self) -> int:
        """Steps taken."""
        return int(self.classifier_.n_iter_.max())

    def _classifier(self) -> Any:
        return LogisticRegression(C=self.C, max_iter=self.max_iter)
