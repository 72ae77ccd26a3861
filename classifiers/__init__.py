"""Light heads on cached features: tables, splits, heads, comparison. Nothing here knows a diffusion model.

Importing it imports nothing else: each name below is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.comparison.compare import compare as compare
    from classifiers.heads.diffcrn import DiffCRNClassifier as DiffCRNClassifier
    from classifiers.heads.film import FiLMClassifier as FiLMClassifier
    from classifiers.heads.hyperfeatures import HyperfeaturesClassifier as HyperfeaturesClassifier
    from classifiers.heads.lda import LDAClassifier as LDAClassifier
    from classifiers.heads.lightgbm import LightGBMClassifier as LightGBMClassifier
    from classifiers.heads.logistic import LogisticClassifier as LogisticClassifier
    from classifiers.heads.mixing import plot_mixing as plot_mixing
    from classifiers.heads.mlp import MLPClassifier as MLPClassifier
    from classifiers.heads.mtmsd import MTMSDClassifier as MTMSDClassifier
    from classifiers.heads.random_forest import ForestClassifier as ForestClassifier
    from classifiers.heads.registry import head_names as head_names
    from classifiers.heads.registry import make_head as make_head
    from classifiers.heads.svm import SVMClassifier as SVMClassifier
    from classifiers.table import PixelTable as PixelTable

_HOMES = {
    "DiffCRNClassifier": "classifiers.heads.diffcrn",
    "FiLMClassifier": "classifiers.heads.film",
    "ForestClassifier": "classifiers.heads.random_forest",
    "HyperfeaturesClassifier": "classifiers.heads.hyperfeatures",
    "LDAClassifier": "classifiers.heads.lda",
    "LightGBMClassifier": "classifiers.heads.lightgbm",
    "LogisticClassifier": "classifiers.heads.logistic",
    "MLPClassifier": "classifiers.heads.mlp",
    "MTMSDClassifier": "classifiers.heads.mtmsd",
    "PixelTable": "classifiers.table",
    "SVMClassifier": "classifiers.heads.svm",
    "compare": "classifiers.comparison.compare",
    "head_names": "classifiers.heads.registry",
    "make_head": "classifiers.heads.registry",
    "plot_mixing": "classifiers.heads.mixing",
}
__all__ = [
    "DiffCRNClassifier",
    "FiLMClassifier",
    "ForestClassifier",
    "HyperfeaturesClassifier",
    "LDAClassifier",
    "LightGBMClassifier",
    "LogisticClassifier",
    "MLPClassifier",
    "MTMSDClassifier",
    "PixelTable",
    "SVMClassifier",
    "compare",
    "head_names",
    "make_head",
    "plot_mixing",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'classifiers' has no attribute {name!r}")
