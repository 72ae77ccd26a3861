"""Support vector machine with an RBF kernel on standardised and reduced column groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import check_is_fitted

from classifiers.heads.column_scale import whitening_gain
from classifiers.heads.group_reducer import CONTEXT_COMPONENTS, ReducingHead, moments
from classifiers.heads.parameters import Components, Count, NotNegative, Positive, Seed, Share, Weight, Whole
from classifiers.heads.weighing import WeighingHead
from hsifeat.quiet_warnings import ignored_warnings


@dataclass(eq=False, repr=False, kw_only=True)
class SVMClassifier(ReducingHead, WeighingHead):
    """Support vector machine with an RBF kernel (Cortes and Vapnik, Mach. Learn. 1995).

    By default the inputs are 30 principal components of the spectra and 50 of the planes. The planes have half the
    weight of the spectra. The variances of the components are partly equalised. The time of a fit with the exact kernel
    grows with the square of the number of rows. With more than `exact_rows` rows, the head therefore approximates the
    kernel from a sample of the rows (Nyström method; Williams and Seeger, NIPS 2000). It then fits a linear support
    vector machine to the approximated features.

    With the exact kernel, classes with equal numbers of pairwise votes are ranked by the distances to the boundaries
    (``break_ties=True`` in scikit-learn, whose default takes the first of these classes).

    The head predicts no class probabilities, because the estimates of libsvm can contradict `predict`.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    C : float
        Penalty of rows inside the margin or on the wrong side.
    gamma : float or {"scale", "auto"}
        Kernel coefficient. ``scale`` is the inverse of the total variance of the reduced columns, and ``auto`` the inverse
        of their number.
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
    exact_rows : int
        Largest number of training rows for which the exact kernel is used.
    sampled_rows : int
        Number of rows that the approximation samples. A larger sample is more accurate and slower.
    class_weight : dict, "balanced" or None
        Dict that maps each label to the weight of its rows, or ``balanced`` for the same total weight of each class.
        [default: equal weights of all rows]
    random_state : int, RandomState or None
        Seed of the sample. A fit with the exact kernel does not depend on the seed.

    Attributes
    ----------
    gain_ : (k,) float64 array
        Factor by which each reduced column is multiplied.
    kernel_map_ : Nystroem or None
        Feature map of the approximated kernel; None if the kernel is exact.
    svc_ : SVC or LinearSVC
        Support vector machine: an SVC if the kernel is exact, otherwise a LinearSVC.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(20, 4))
    >>> y = np.arange(20) % 2
    >>> SVMClassifier().fit(X + 5 * y[:, None], y).predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    persisted_types = ReducingHead.persisted_types | {
        "sklearn.svm._classes.SVC",
        "sklearn.svm._classes.LinearSVC",
        "sklearn.kernel_approximation.Nystroem",
    }
    advice = "the usual baseline of remote sensing, strong with few labels"
    search_space: ClassVar[dict[str, list[Any]]] = {
        "C": [10.0, 1.0, 100.0],
        "whitening": [0.5, 0.0],
        "plane_components": [50, 100],
    }

    C: Positive = 10.0
    gamma: NotNegative | Literal["scale", "auto"] = "scale"
    spectral_components: Components = 30
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 50
    spectral_weight: Weight = 1.0
    context_weight: Weight = 1.0
    plane_weight: Weight = 0.5
    whitening: Share = 0.5
    exact_rows: Whole = 20_000
    sampled_rows: Count = 500
    random_state: Seed = 0

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the class scores of the (n, D) table `X` as an (n, C) float64 array.

        For two classes, the shape is (n,).
        """
        check_is_fitted(self)
        scores: NDArray[np.float64] = self.svc_.decision_function(self._kernel_features(self._checked(X)))
        return scores

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        reduced: NDArray[np.floating] = self.reducer_.transform(X)
        self.gain_ = whitening_gain(reduced, self.whitening, weight)
        reduced = self._scaled(reduced)
        gamma = self.gamma
        if gamma == "scale":  # as in SVC, but with row weights
            variance = float(moments(reduced, weight)[1].sum())
            gamma = 1 / variance if variance else 1.0
        class_weight = dict(enumerate(self._class_weights(codes, weight)))
        if len(codes) <= self.exact_rows:
            self.kernel_map_: Nystroem | None = None
            # Scores break ties between pairwise votes, so that `predict` agrees with `decision_function`.
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
        with ignored_warnings(ConvergenceWarning):  # the linear machine may stop at its iteration limit
            self.svc_.fit(self._mapped(reduced), codes, sample_weight=weight)

    def _predict(self, X: NDArray[np.floating]) -> NDArray[np.integer]:
        codes: NDArray[np.integer] = self.svc_.predict(self._kernel_features(X))
        return codes

    def _check_restored(self) -> None:
        if self.kernel_map_ is None:
            _check_exact_machine(self.svc_, self.reducer_.n_features_out, len(self.classes_))
        elif type(self.svc_) is not LinearSVC or type(self.kernel_map_) is not Nystroem:
            raise ValueError("the approximated kernel has another machine than the head fits")
        elif self.kernel_map_.kernel != "rbf":
            raise ValueError("the kernel is another than the head fits")

    def _kernel_features(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
        return self._mapped(self._scaled(self.reducer_.transform(X)))

    def _scaled(self, reduced: NDArray[np.floating]) -> NDArray[np.floating]:
        return reduced * self.gain_.astype(reduced.dtype)

    def _mapped(self, scaled: NDArray[np.floating]) -> NDArray[np.floating]:
        return scaled if self.kernel_map_ is None else np.asarray(self.kernel_map_.transform(scaled))


def _check_exact_machine(svc: Any, features: int, classes: int) -> None:
    """Check the arrays of a `sklearn.svm.SVC`, because libsvm reads them without checking their sizes."""
    if type(svc) is not SVC or svc.kernel != "rbf" or svc._sparse or svc.probability not in (False, "deprecated"):  # noqa: SLF001
        raise ValueError("the support vector machine is another than the head fits")
    count = len(svc.support_vectors_)
    shapes = {
        "support_vectors_": ((count, features), np.float64),
        "support_": ((count,), np.int32),
        "_n_support": ((classes,), np.int32),
        "_probA": ((0,), np.float64),
        "_probB": ((0,), np.float64),
    }
    for name in ("_dual_coef_", "dual_coef_"):
        shapes[name] = (classes - 1, count), np.float64
    for name in ("_intercept_", "intercept_"):
        shapes[name] = (classes * (classes - 1) // 2,), np.float64
    for name, (shape, dtype) in shapes.items():
        array = getattr(svc, name)
        if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{name} of the support vector machine is not an array of shape {shape} and type {dtype.__name__}"
            )
    numbers = svc._n_support  # noqa: SLF001
    if (numbers < 0).any() or numbers.astype(np.int64).sum() != count:
        raise ValueError("the support vectors of the classes are not those of the machine")
    if not np.array_equal(svc.classes_, np.arange(classes)) or not 0 <= float(svc._gamma) < np.inf:  # noqa: SLF001
        raise ValueError("the classes or the width of the kernel are not those of the head")
