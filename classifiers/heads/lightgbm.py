"""Gradient-boosted trees by LightGBM, with planes as principal components."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from classifiers.heads.base import ProbabilisticHead, WeighingHead
from classifiers.heads.group_reducer import reducer_of
from classifiers.heads.parameters import ClassWeight, Components, Count, Fraction, Leaves, Positive, Seed, Whole
from classifiers.layout import Layout


class LightGBMClassifier(ProbabilisticHead, WeighingHead):
    """LightGBM (Ke et al., NeurIPS 2017), multiclass, deterministic, sized for a few hundred rows of many classes.

    Trees care for no scale but cost time per column and can't turn axes, so planes come as principal components.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None makes all columns one group with the spectral parameters.
    n_estimators : int
        Boosting rounds; each grows one tree a class.
    learning_rate : float
        Shrinkage of each tree.
    num_leaves : int
        Leaves of a tree at most.
    min_child_samples : int
        Rows of a leaf at least; small, as classes may have few.
    feature_fraction : float
        Share of the columns that a tree may split on.
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    spectral_components, plane_components : int or None
        See `GroupReducer`.
    n_jobs : int
        Threads; 0 takes all cores, which pays from some thousands of rows.
    random_state : int, RandomState or None
        Seed; None draws another one each time.

    Attributes
    ----------
    booster_text_ : str
        The trees in LightGBM's own text format.
    """

    booster_text_: str
    search_space: ClassVar[dict[str, list[Any]]] = {"num_leaves": [7, 15], "feature_fraction": [0.3, 0.6]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        n_estimators: Count = 200,
        learning_rate: Positive = 0.1,
        num_leaves: Leaves = 7,
        min_child_samples: Whole = 3,
        feature_fraction: Fraction = 0.3,
        class_weight: ClassWeight = None,
        spectral_components: Components = None,
        plane_components: Components = 50,
        n_jobs: int = 1,
        random_state: Seed = 0,
    ) -> None:
        super().__init__(layout)
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.feature_fraction = feature_fraction
        self.class_weight = class_weight
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None) -> None:
        import lightgbm

        self.reducer_ = reducer_of(self).fit(X, sample_weight=weight)
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
        table = lightgbm.Dataset(
            self._reduced(X), label=codes, weight=self._weights_of_rows(codes, weight), params=params
        )
        booster = lightgbm.train(params, table, num_boost_round=self.n_estimators)
        self.booster_text_ = booster.model_to_string()

    def _probabilities(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        import lightgbm

        booster = lightgbm.Booster(model_str=self.booster_text_)
        return np.asarray(booster.predict(self._reduced(X), num_threads=self.n_jobs), dtype=np.float64)

    def _reduced(self, X: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.ascontiguousarray(self.reducer_.transform(X), dtype=np.float32)
