"""Random forest on principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from classifiers.heads.group_reducer import CONTEXT_COMPONENTS
from classifiers.heads.parameters import Components, Count, Fraction, Leaves, Rounds, Seed, Threads
from classifiers.heads.row_checks import check_leaf_rows
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.heads.weighing import WeighingHead

_TYPES = {
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._tree.Tree",
}


@dataclass(eq=False, repr=False, kw_only=True)
class ForestClassifier(SklearnHead, WeighingHead):
    """Random forest (Breiman, Mach. Learn. 2001) on principal components.

    Each split of a tree uses a single column only. Spectra and planes are therefore reduced to principal components, which
    combine many columns in one. The limit on the number of leaves also limits the size of the model.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single group, treated like spectra]
    n_estimators : int
        Number of trees.
    max_leaf_nodes : int or None
        Largest number of leaves of a tree. None sets no limit. [default: 512]
    min_samples_leaf : int
        Smallest number of rows in a leaf.
    max_features : int, float, {"sqrt", "log2"} or None
        Number of columns considered for a split, see `sklearn.ensemble.RandomForestClassifier`.
    spectral_components, context_components, plane_components : int or None
        Number of principal components of each spectral group, each family of context features, and all planes together.
        None keeps the standardised columns. See `GroupReducer`.
    class_weight : dict, "balanced" or None
        Dict that maps each label to the weight of its rows, or ``balanced`` for the same total weight of each class.
        [default: equal weights of all rows]
    n_jobs : int
        Number of threads; 0 and -1 use all cores.
    random_state : int, RandomState or None
        Seed; None draws a new seed for each fit.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(20, 4))
    >>> y = np.arange(20) % 2
    >>> forest = ForestClassifier(n_estimators=10).fit(X + 5 * y[:, None], y)
    >>> forest.predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """

    advice = "many labels, and columns of unlike scales or with outliers"

    persisted_types = SklearnHead.persisted_types | _TYPES
    search_space: ClassVar[dict[str, list[Any]]] = {"max_features": ["sqrt", 0.3], "min_samples_leaf": [1, 3]}

    n_estimators: Rounds = 200
    max_leaf_nodes: Leaves | None = 512
    min_samples_leaf: Count = 1
    max_features: Count | Fraction | Literal["sqrt", "log2"] | None = "sqrt"
    spectral_components: Components = 30
    context_components: Components = CONTEXT_COMPONENTS
    plane_components: Components = 50
    n_jobs: Threads = 1
    random_state: Seed = 0

    def check_rows(self, rows: int, classes: int) -> None:  # noqa: ARG002  # leaves hold rows of any class
        """Raise `HeadError` if no tree can divide the training rows into leaves of at least `min_samples_leaf` rows.

        If `min_samples_leaf` is at most ten, no error is raised.
        """
        check_leaf_rows("min_samples_leaf", self.min_samples_leaf, rows)

    def _fit_columns(
        self, columns: NDArray[np.floating], codes: NDArray[np.int64], weight: NDArray[np.float64] | None
    ) -> None:
        self.check_rows(len(codes), len(self.classes_))
        super()._fit_columns(columns, codes, weight)

    def _classifier(self) -> Any:
        return RandomForestClassifier(
            n_estimators=self.n_estimators,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            n_jobs=self.n_jobs or -1,
            random_state=self.random_state,
        )

    def _check_restored(self) -> None:
        # scikit-learn does not check the node indices of a tree.
        super()._check_restored()
        for tree in self.classifier_.estimators_:
            if type(tree) is not DecisionTreeClassifier:
                raise ValueError(f"the forest holds a {type(tree).__name__}")
            _check_tree(tree.tree_, self.reducer_.n_features_out, len(self.classes_))


def _check_tree(tree: Any, features: int, classes: int) -> None:
    """Check that every path from the root of a tree ends at a leaf and uses only existing nodes and columns."""
    count = tree.node_count
    sizes = tree.n_features, tree.n_outputs, tree.max_n_classes
    # Loading recomputes the node count, so the count is never too large.
    if sizes != (features, 1, classes) or not count:
        raise ValueError(f"a tree has {sizes} columns, outputs and classes in {count} nodes")
    node = np.arange(count)
    left, right, column = tree.children_left, tree.children_right, tree.feature
    leaf = left == -1
    for child in (left, right):
        sound: NDArray[np.bool_] = leaf | ((child > node) & (child < count))
        if not sound.all():
            raise ValueError("a tree's branches lead outside of it or in a circle")
    if not (leaf | ((column >= 0) & (column < features))).all():
        raise ValueError("a tree splits on a column that is not there")
