"""Linear discriminant analysis with a shrunk covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from classifiers.heads.column_scale import varying_columns
from classifiers.heads.group_reducer import CONTEXT_COMPONENTS
from classifiers.heads.parameters import Components, Share
from classifiers.heads.sklearn_head import SklearnHead
from hsifeat.errors import HeadError

SMALLEST_WITHIN = 1e-3  # smallest deviation within classes, as a share of the deviation over all classes


@dataclass(eq=False, repr=False, kw_only=True)
class LDAClassifier(SklearnHead):
    """Linear discriminant analysis: one Gaussian per class with a common, shrunk covariance.

    Each column is divided by its standard deviation within classes. A weight of a column group would therefore have no
    effect, and the head has no parameters for such weights. The covariance is pooled over the classes, and shrunk
    towards its diagonal. By default the shrinkage is estimated from the pooled residuals, by the method of Chen, Wiesel,
    Eldar and Hero (IEEE Trans. Signal Process. 2010). scikit-learn's ``shrinkage="auto"`` instead estimates a shrinkage
    for each class, which is larger than needed if classes have twenty rows or more. Class priors are the class
    frequencies of the training rows. The fit is deterministic and takes a fraction of a second. The head does not accept
    row weights.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    shrinkage : float or {"auto"}
        Weight of the diagonal: 0 gives the sample covariance, and 1 gives its diagonal. [default: estimated from the rows]
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each family of context features, and all planes together.
        None keeps the standardised columns. See `GroupReducer`.

    Attributes
    ----------
    shrinkage_ : float
        Shrinkage of the covariance matrix, from 0 to 1.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(20, 4))
    >>> y = np.arange(20) % 2
    >>> LDAClassifier().fit(X + 5 * y[:, None], y).predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    persisted_types = SklearnHead.persisted_types | {"sklearn.discriminant_analysis.LinearDiscriminantAnalysis"}
    is_softmax = True
    advice = "the first choice with few labels, and a baseline that needs no tuning"
    search_space: ClassVar[dict[str, list[Any]]] = {
        "shrinkage": ["auto", 0.1, 0.5],
        "spectral_components": [100, None, 20],
    }

    shrinkage: Share | Literal["auto"] = "auto"
    spectral_components: Components = 100
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 50

    def check_rows(self, rows: int, classes: int) -> None:
        """Raise `HeadError` if no class has two rows. Without two rows, the covariance within classes is unknown."""
        if rows <= classes:
            raise HeadError(
                f"a covariance within classes needs more rows than classes; found {rows} rows of {classes} classes: give a "
                "class two rows"
            )

    def _fit_columns(
        self, columns: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None
    ) -> None:
        self.check_rows(len(codes), len(self.classes_))
        super()._fit_columns(columns, codes, weight)

    def _column_gain(
        self,
        columns: NDArray[np.floating],
        codes: NDArray[np.int64],
        weight: NDArray[np.float64] | None,  # noqa: ARG002 - the head does not accept weights
    ) -> NDArray[np.float64]:
        rows = columns.astype(np.float64)
        means = np.stack([rows[codes == code].mean(axis=0) for code in range(len(self.classes_))])
        residuals = rows - means[codes]
        if not residuals.any():
            raise HeadError(
                "the training pixels of each class have equal features, so there is no covariance within classes: label other "
                "pixels, or take another head, such as svm; if a pixel of the scene has values far outside the others, such as an undeclared "
                "no-data value, declare it with `nodata`"
            )
        deviation = rows.std(axis=0)
        within = np.sqrt((residuals**2).sum(axis=0) / (len(codes) - len(self.classes_)))
        # A column that is constant within each class separates the classes, but must not be divided by zero.
        within = np.maximum(within, SMALLEST_WITHIN * deviation)
        varying = varying_columns(deviation, columns.dtype)
        gain: NDArray[np.float64] = np.divide(1.0, within, out=np.zeros_like(within), where=varying)
        if self.shrinkage == "auto":
            # Without `store_precision=False`, the covariance would be inverted, too, which takes half of the fit.
            estimator = OAS(store_precision=False, assume_centered=True).fit(residuals * gain)
            self.shrinkage_ = float(estimator.shrinkage_)
        else:
            self.shrinkage_ = float(self.shrinkage)
        return gain

    def _classifier(self) -> Any:
        return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=self.shrinkage_)

    def _fit_classifier(self, rows: NDArray[np.float64], codes: NDArray[np.int64], **options: Any) -> Any:
        counts = np.bincount(codes)
        if counts.min() > 1:
            return super()._fit_classifier(rows, codes, **options)
        # scikit-learn warns about a class with a single row. If this row occurs twice, mean and covariance of the class stay.
        single = counts[codes] == 1
        classifier = self._classifier().set_params(priors=counts / len(codes))
        return classifier.fit(np.concatenate([rows, rows[single]]), np.concatenate([codes, codes[single]]), **options)
