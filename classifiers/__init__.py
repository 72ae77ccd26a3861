"""Train, score and compare classifiers, called heads, on cached diffusion features.

No module of this package imports a diffusion model. Each public name is loaded on first use, which keeps the import fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.comparison.compare import compare as compare
    from classifiers.comparison.report.write import write_report as write_report
    from classifiers.fit import fit_model as fit_model
    from classifiers.heads.base import Head as Head
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
    from classifiers.heads.registry import describe_head as describe_head
    from classifiers.heads.registry import head_names as head_names
    from classifiers.heads.registry import make_head as make_head
    from classifiers.heads.spectraldiff import SpectralDiffClassifier as SpectralDiffClassifier
    from classifiers.heads.supertoken import SupertokenClassifier as SupertokenClassifier
    from classifiers.heads.svm import SVMClassifier as SVMClassifier
    from classifiers.labelling.check_sample import draw_check_places as draw_check_places
    from classifiers.labelling.check_sample import score_check as score_check
    from classifiers.labelling.edit_log import LabelEdit as LabelEdit
    from classifiers.labelling.label_files import export_labels as export_labels
    from classifiers.labelling.label_files import import_labels as import_labels
    from classifiers.labelling.labels_db import LabelDatabase as LabelDatabase
    from classifiers.labelling.quick_map import QuickMapper as QuickMapper
    from classifiers.labelling.scene_columns import open_scene_columns as open_scene_columns
    from classifiers.labelling.score import score_labels as score_labels
    from classifiers.labelling.segments import open_segments as open_segments
    from classifiers.labelling.suggest import Suggester as Suggester
    from classifiers.layout import ColumnGroup as ColumnGroup
    from classifiers.layout import Layout as Layout
    from classifiers.metrics import Scores as Scores
    from classifiers.metrics import score_predictions as score_predictions
    from classifiers.model import Model as Model
    from classifiers.model import load_model as load_model
    from classifiers.persistence import load_head as load_head
    from classifiers.persistence import save_head as save_head
    from classifiers.predict import predict_map as predict_map
    from classifiers.predict import predict_probabilities as predict_probabilities
    from classifiers.predict import write_scene_map as write_scene_map
    from classifiers.registered_smoothing import smoothing_names as smoothing_names
    from classifiers.smoothing.rules import parse_smoothing as parse_smoothing
    from classifiers.splits.grammar import parse_split as parse_split
    from classifiers.splits.leakage import measure_leakage as measure_leakage
    from classifiers.table import PixelTable as PixelTable
    from classifiers.tune import tune_head as tune_head

_MODULES = {
    "ColumnGroup": "classifiers.layout",
    "DiffCRNClassifier": "classifiers.heads.diffcrn",
    "FiLMClassifier": "classifiers.heads.film",
    "ForestClassifier": "classifiers.heads.random_forest",
    "Head": "classifiers.heads.base",
    "HyperfeaturesClassifier": "classifiers.heads.hyperfeatures",
    "LDAClassifier": "classifiers.heads.lda",
    "LabelDatabase": "classifiers.labelling.labels_db",
    "LabelEdit": "classifiers.labelling.edit_log",
    "Layout": "classifiers.layout",
    "LightGBMClassifier": "classifiers.heads.lightgbm",
    "LogisticClassifier": "classifiers.heads.logistic",
    "MLPClassifier": "classifiers.heads.mlp",
    "MTMSDClassifier": "classifiers.heads.mtmsd",
    "Model": "classifiers.model",
    "PixelTable": "classifiers.table",
    "QuickMapper": "classifiers.labelling.quick_map",
    "SVMClassifier": "classifiers.heads.svm",
    "SpectralDiffClassifier": "classifiers.heads.spectraldiff",
    "SupertokenClassifier": "classifiers.heads.supertoken",
    "Scores": "classifiers.metrics",
    "Suggester": "classifiers.labelling.suggest",
    "compare": "classifiers.comparison.compare",
    "describe_head": "classifiers.heads.registry",
    "draw_check_places": "classifiers.labelling.check_sample",
    "export_labels": "classifiers.labelling.label_files",
    "fit_model": "classifiers.fit",
    "head_names": "classifiers.heads.registry",
    "import_labels": "classifiers.labelling.label_files",
    "load_head": "classifiers.persistence",
    "load_model": "classifiers.model",
    "make_head": "classifiers.heads.registry",
    "measure_leakage": "classifiers.splits.leakage",
    "open_scene_columns": "classifiers.labelling.scene_columns",
    "open_segments": "classifiers.labelling.segments",
    "parse_smoothing": "classifiers.smoothing.rules",
    "parse_split": "classifiers.splits.grammar",
    "plot_mixing": "classifiers.heads.mixing",
    "predict_map": "classifiers.predict",
    "predict_probabilities": "classifiers.predict",
    "save_head": "classifiers.persistence",
    "score_check": "classifiers.labelling.check_sample",
    "score_labels": "classifiers.labelling.score",
    "score_predictions": "classifiers.metrics",
    "smoothing_names": "classifiers.registered_smoothing",
    "tune_head": "classifiers.tune",
    "write_report": "classifiers.comparison.report.write",
    "write_scene_map": "classifiers.predict",
}
__all__ = [
    "ColumnGroup",
    "DiffCRNClassifier",
    "FiLMClassifier",
    "ForestClassifier",
    "Head",
    "HyperfeaturesClassifier",
    "LDAClassifier",
    "LabelDatabase",
    "LabelEdit",
    "Layout",
    "LightGBMClassifier",
    "LogisticClassifier",
    "MLPClassifier",
    "MTMSDClassifier",
    "Model",
    "PixelTable",
    "QuickMapper",
    "SVMClassifier",
    "Scores",
    "SpectralDiffClassifier",
    "Suggester",
    "SupertokenClassifier",
    "compare",
    "describe_head",
    "draw_check_places",
    "export_labels",
    "fit_model",
    "head_names",
    "import_labels",
    "load_head",
    "load_model",
    "make_head",
    "measure_leakage",
    "open_scene_columns",
    "open_segments",
    "parse_smoothing",
    "parse_split",
    "plot_mixing",
    "predict_map",
    "predict_probabilities",
    "save_head",
    "score_check",
    "score_labels",
    "score_predictions",
    "smoothing_names",
    "tune_head",
    "write_report",
    "write_scene_map",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'classifiers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
