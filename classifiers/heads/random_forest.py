"""The random forest that remote sensing maps land cover with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from classifiers.heads.base import WeighingHead
from classifiers.heads.parameters import ClassWeight, Components, Count, Fraction, Leaves, Seed
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.layout import Layout

TREE = "sklearn.tree._tree.Tree"


class ForestClassifier(SklearnHead, WeighingHead):
    """Breiman's random forest (Mach. Learn. 2001), with principal components for columns, since trees can't turn axes.

    Its size is bounded whatever the number of rows, by that of its leaves.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None makes all columns one group with the spectral parameters.
    n_estimators : int
        Trees.
    max_leaf_nodes : int or None
        Leaves of a tree at most.
    min_samples_leaf : int
        Rows of a leaf at least.
    max_features : int, float, {"sqrt", "log2"} or None
        How many columns a split is chosen from, see `sklearn.ensemble.RandomForestClassifier`.
    spectral_components, plane_components : int or None
        See `GroupReducer`.
    class_weight : dict, "balanced" or None
        How much rows weigh by their label: alike, inversely to the frequency of their class, or as given.
    n_jobs : int
        Threads; -1 takes all cores.
    random_state : int, RandomState or None
        Seed; None draws another one each time.
    """

    # skops leaves to its callers to trust this one, as scikit-learn follows its numbers unchecked: see _check_restored.
    persisted_types = SklearnHead.persisted_types | {TREE}
    search_space: ClassVar[dict[str, list[Any]]] = {"max_features": ["sqrt", 0.3], "min_samples_leaf": [1, 3]}

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        n_estimators: Count = 200,
        max_leaf_nodes: Leaves | None = 512,
        min_samples_leaf: Count = 1,
        max_features: Count | Fraction | Literal["sqrt", "log2"] | None = "sqrt",
        spectral_components: Components = 30,
        plane_components: Components = 50,
        class_weight: ClassWeight = None,
        n_jobs: int = 1,
        random_state: Seed = 0,
    ) -> None:
        super().__init__(layout)
        self.n_estimators = n_estimators
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.spectral_components = spectral_components
        self.plane_components = plane_components
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _classifier(self) -> Any:
        return RandomForestClassifier(
            n_estimators=self.n_estimators,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def _check_restored(self) -> None:
        for tree in self.classifier_.estimators_:
            _check_tree(tree.tree_, self.reducer_.n_features_out, len(self.classes_))


def _check_tree(tree: Any, features: int, classes: int) -> None:
    """Raise ValueError unless a walk down the tree ends at a leaf and reads nothing outside rows and nodes."""
    count = tree.node_count
    sizes = tree.n_features, tree.n_outputs, tree.max_n_classes
    if sizes != (features, 1, classes) or not count:  # never more than there are: they are counted anew
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
