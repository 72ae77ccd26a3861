"""Light heads on cached features: tables, splits, heads, comparison. Nothing here knows a diffusion model.

Importing it imports nothing else: each name below is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.comparison.compare import compare as compare
    from classifiers.heads.film import FiLMClassifier as FiLMClassifier
    from classifiers.heads.lda import LDAClassifier as LDAClassifier
    from classifiers.heads.lightgbm import LightGBMClassifier as LightGBMClassifier
    from classifiers.heads.logistic import LogisticClassifier as LogisticClassifier
    from classifiers.heads.mlp import MLPClassifier as MLPClassifier
    from classifiers.heads.random_forest import ForestClassifier as ForestClassifier
    from classifiers.heads.registry import head_names as head_names
    from classifiers.heads.registry import make_head as make_head
    from classifiers.heads.svm import SVMClassifier as SVMClassifier
    from classifiers.table import PixelTable as PixelTable

_HOMES = {
    "FiLMClassifier": "classifiers.heads.film",
    "ForestClassifier": "classifiers.heads.random_forest",
    "LDAClassifier": "classifiers.heads.lda",
    "LightGBMClassifier": "classifiers.heads.lightgbm",
    "LogisticClassifier": "classifiers.heads.logistic",
    "MLPClassifier": "classifiers.heads.mlp",
    "PixelTable": "classifiers.table",
    "SVMClassifier": "classifiers.heads.svm",
    "compare": "classifiers.comparison.compare",
    "head_names": "classifiers.heads.registry",
    "make_head": "classifiers.heads.registry",
}
__all__ = [
    "FiLMClassifier",
    "ForestClassifier",
    "LDAClassifier",
    "LightGBMClassifier",
    "LogisticClassifier",
    "MLPClassifier",
    "PixelTable",
    "SVMClassifier",
    "compare",
    "head_names",
    "make_head",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'classifiers' has no attribute {name!r}")
