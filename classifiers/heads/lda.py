"""Linear discriminant analysis with a shrunk covariance: no step size, no seed, a fraction of a second."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from classifiers.heads.parameters import Components, NotNegative, Share
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.layout import Layout
from hsifeat.errors import HeadError


class LDAClassifier(SklearnHead):
    """One Gaussian a class, all of one covariance, which is shrunk as Ledoit and Wolf (J. Multivar. Anal. 2004) do.

    Its formula has no weights of rows.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None makes all columns one group with the spectral parameters.
    shrinkage : float or {"auto"}
        From 0, the covariance as it is, to 1, its diagonal mean alone; "auto" estimates it.
    spectral_components, plane_components, spectral_weight, plane_weight
        See `GroupReducer`.
    """

    search_space: ClassVar[dict[str, list[Any]]] = {"shrinkage": ["auto", 0.1, 0.5], "plane_components": [50, 25, 100]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        shrinkage: Share | Literal["auto"] = "auto",
        spectral_components: Components = None,
        plane_components: Components = 50,
        spectral_weight: NotNegative = 1.0,
        plane_weight: NotNegative = 1.0,
    ) -> None:
        super().__init__(layout)
        self.shrinkage = shrinkage
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.spectral_weight = spectral_weight
        self.plane_weight = plane_weight

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        if len(codes) <= len(self.classes_):
            raise HeadError(
                f"a covariance within classes needs more rows than classes; found {len(codes)} rows of "
                f"{len(self.classes_)} classes: give a class two rows"
            )
        super()._fit(X, codes, weight)

    def _classifier(self) -> Any:
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=self.shrinkage)
