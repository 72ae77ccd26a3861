"""Light classifiers on cached features: tables, splits, heads, models and their comparison; no diffusion model needed.

Importing the package imports nothing else: each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.comparison.compare import compare as compare
    from classifiers.fit import fit_model as fit_model
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
    from classifiers.model import Model as Model
    from classifiers.model import load_model as load_model
    from classifiers.predict import predict_map as predict_map
    from classifiers.splits.grammar import parse_split as parse_split
    from classifiers.table import PixelTable as PixelTable

# The module of each public name.
_MODULES = {
    "DiffCRNClassifier": "classifiers.heads.diffcrn",
    "FiLMClassifier": "classifiers.heads.film",
    "ForestClassifier": "classifiers.heads.random_forest",
    "HyperfeaturesClassifier": "classifiers.heads.hyperfeatures",
    "LDAClassifier": "classifiers.heads.lda",
    "LightGBMClassifier": "classifiers.heads.lightgbm",
    "LogisticClassifier": "classifiers.heads.logistic",
    "MLPClassifier": "classifiers.heads.mlp",
    "MTMSDClassifier": "classifiers.heads.mtmsd",
    "Model": "classifiers.model",
    "PixelTable": "classifiers.table",
    "SVMClassifier": "classifiers.heads.svm",
    "compare": "classifiers.comparison.compare",
    "fit_model": "classifiers.fit",
    "head_names": "classifiers.heads.registry",
    "load_model": "classifiers.model",
    "make_head": "classifiers.heads.registry",
    "parse_split": "classifiers.splits.grammar",
    "plot_mixing": "classifiers.heads.mixing",
    "predict_map": "classifiers.predict",
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
    "Model",
    "PixelTable",
    "SVMClassifier",
    "compare",
    "fit_model",
    "head_names",
    "load_model",
    "make_head",
    "parse_split",
    "plot_mixing",
    "predict_map",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'classifiers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
