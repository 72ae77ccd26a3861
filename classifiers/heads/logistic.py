"""Multinomial logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sklearn.linear_model import LogisticRegression

from classifiers.heads.group_reducer import CONTEXT_COMPONENTS
from classifiers.heads.parameters import Components, Positive, Rounds, Share, Weight
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.heads.weighing import WeighingHead


@dataclass(eq=False, repr=False, kw_only=True)
class LogisticClassifier(SklearnHead, WeighingHead):
    """Multinomial logistic regression with an L2 penalty, fitted by L-BFGS.

    The class probabilities are the softmax of Bishop, Pattern Recognition and Machine Learning (2006, eq. 4.104).

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    C : float
        Inverse of the penalty strength.
    max_iter : int
        Maximum number of iterations. A fit that has not converged by then is used without a warning.
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each family of context features, and all planes together.
        None keeps the standardised columns. See `GroupReducer`.
    spectral_weight, context_weight, plane_weight : float
        Square root of the total variance of each spectral group, each family of context features, and all planes together,
        before whitening.
    whitening : float
        Exponent from 0 to 1. Each component is divided by ``deviation ** whitening``, where ``deviation`` is its
        standard deviation. A factor common to all components then restores the total variance. 0 keeps the variances.
        1 equalises them, so the weights of the groups have no effect. Whitening raises the accuracy if there are several
        column groups, and lowers it for spectra alone.
    class_weight : dict, "balanced" or None
        Dict that maps each label to the weight of its rows, or ``balanced`` for the same total weight of each class.
        [default: equal weights of all rows]

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(20, 4))
    >>> y = np.arange(20) % 2
    >>> LogisticClassifier().fit(X + 5 * y[:, None], y).predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    persisted_types = SklearnHead.persisted_types | {"sklearn.linear_model._logistic.LogisticRegression"}
    is_softmax = True
    advice = "a linear model whose probabilities are fitted by maximum likelihood"
    search_space: ClassVar[dict[str, list[Any]]] = {"C": [100.0, 10.0, 1.0], "whitening": [0.5, 0.0]}

    C: Positive = 100.0
    max_iter: Rounds = 300
    spectral_components: Components = None
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 50
    spectral_weight: Weight = 1.0
    context_weight: Weight = 1.0
    plane_weight: Weight = 0.5
    whitening: Share = 0.5

    @property
    def n_iter_(self) -> int:
        """Number of iterations of the fit."""
        return int(self.classifier_.n_iter_.max())

    def _classifier(self) -> Any:
        return LogisticRegression(C=self.C, max_iter=self.max_iter)
