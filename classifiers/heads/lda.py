"""Linear discriminant analysis with a shrunk covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from classifiers.heads.group_reducer import CONTEXT_COMPONENTS
from classifiers.heads.parameters import Components, NotNegative, Share
from classifiers.heads.sklearn_head import SklearnHead
from hsifeat.errors import HeadError


@dataclass(eq=False, repr=False, kw_only=True)
class LDAClassifier(SklearnHead):
    """Linear discriminant analysis: one Gaussian per class with a common, shrunk covariance.

    By default the covariance is the linear shrinkage estimator of Ledoit and Wolf (J. Multivar. Anal. 2004). The fit is
    deterministic and takes a fraction of a second. The head does not accept row weights.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group with the spectral parameters]
    shrinkage : float or {"auto"}
        Weight of a multiple of the identity: 0 gives the sample covariance, and 1 gives a multiple of the identity.
        [default: estimated from the rows]
    spectral_components, context_components, plane_components : int or None
        See `GroupReducer`.
    spectral_weight, context_weight, plane_weight : float
        See `GroupReducer`.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(20, 4))
    >>> y = np.arange(20) % 2
    >>> LDAClassifier().fit(X + 5 * y[:, None], y).predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    advice = "few labels, and a baseline that needs no tuning"
    search_space: ClassVar[dict[str, list[Any]]] = {"shrinkage": ["auto", 0.1, 0.5], "plane_components": [50, 25, 100]}

    shrinkage: Share | Literal["auto"] = "auto"
    spectral_components: Components = None
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 50
    spectral_weight: NotNegative = 1.0
    context_weight: NotNegative = 1.0
    plane_weight: NotNegative = 1.0

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        if len(codes) <= len(self.classes_):
            raise HeadError(
                f"a covariance within classes needs more rows than classes; found {len(codes)} rows of "
                f"{len(self.classes_)} classes: give a class two rows"
            )
        super()._fit(X, codes, weight)

    def _classifier(self) -> Any:
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=self.shrinkage)
