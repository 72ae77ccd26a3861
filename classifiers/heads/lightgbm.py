"""Gradient-boosted trees by LightGBM, with planes reduced to principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from classifiers.heads.base import ProbabilisticHead
from classifiers.heads.group_reducer import CONTEXT_COMPONENTS, ReducingHead
from classifiers.heads.lightgbm_text import checked_text
from classifiers.heads.parameters import Components, Fraction, Leaves, Rounds, Seed, Threads, Whole
from classifiers.heads.row_checks import check_leaf_rows
from classifiers.heads.weighing import WeighingHead


@dataclass(eq=False, repr=False, kw_only=True)
class LightGBMClassifier(ReducingHead, ProbabilisticHead, WeighingHead):
    """Deterministic gradient-boosted trees by LightGBM (Ke et al., NeurIPS 2017).

    The defaults suit a few hundred rows of many classes. The scale of a column does not affect trees. Planes are
    reduced to principal components for two reasons. The training time grows with the number of columns. Each split of a
    tree uses a single column only, and a component combines many columns in one.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    n_estimators : int
        Number of boosting rounds. Each round adds one tree per class.
    learning_rate : float
        Factor by which the output of each tree is multiplied.
    num_leaves : int
        Largest number of leaves of a tree.
    min_child_samples : int
        Smallest number of rows in a leaf. The default is small, because classes may have few rows.
    feature_fraction : float
        Fraction of the columns that each tree may split on, above 0 and at most 1.
    class_weight : dict, "balanced" or None
        Dict that maps each label to the weight of its rows, or ``balanced`` for the same total weight of each class.
        [default: equal weights of all rows]
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each family of context features, and all planes together.
        None keeps the standardised columns. See `GroupReducer`.
    n_jobs : int
        Number of threads. 0 and -1 use all cores, which is faster if there are at least a few thousand rows.
    random_state : int, RandomState or None
        Seed; None draws a new seed for each fit.

    Attributes
    ----------
    booster_text_ : str
        The trees in LightGBM's text format.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> y = np.arange(40) % 2
    >>> boosted = LightGBMClassifier(n_estimators=10).fit(X + 5 * y[:, None], y)
    >>> boosted.predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    advice = "many labels, where thresholds on single bands matter"
    search_space: ClassVar[dict[str, list[Any]]] = {"num_leaves": [7, 15], "feature_fraction": [0.3, 0.6]}

    n_estimators: Rounds = 200
    learning_rate: Fraction = 0.1
    num_leaves: Leaves = 7
    min_child_samples: Whole = 3
    feature_fraction: Fraction = 0.3
    spectral_components: Components = None
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 50
    n_jobs: Threads = 1
    random_state: Seed = 0

    def check_rows(self, rows: int, classes: int) -> None:  # noqa: ARG002  # leaves hold rows of any class
        """Raise `HeadError` if no tree can divide the training rows into leaves of at least `min_child_samples` rows.

        If `min_child_samples` is at most ten, no error is raised.
        """
        check_leaf_rows("min_child_samples", self.min_child_samples, rows)

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        import lightgbm

        self.check_rows(len(codes), len(self.classes_))
        params = {
            "objective": "multiclass",
            "num_class": len(self.classes_),
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_child_samples,
            "feature_fraction": self.feature_fraction,
            "num_threads": self.n_jobs,
            "seed": int(check_random_state(self.random_state).randint(2**31 - 1)),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        table = lightgbm.Dataset(self._reduced(X), label=codes, weight=self._row_weights(codes, weight), params=params)
        booster = lightgbm.train(params, table, num_boost_round=self.n_estimators)
        self.booster_text_ = booster.model_to_string()

    def _check_restored(self) -> None:
        self.booster_text_ = checked_text(self.booster_text_, self.reducer_.n_features_out, len(self.classes_))

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        import lightgbm

        booster = lightgbm.Booster(model_str=self.booster_text_)
        return np.asarray(booster.predict(self._reduced(X), num_threads=self.n_jobs), dtype=np.float64)

    def _reduced(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.reducer_.transform(X), dtype=np.float32)
