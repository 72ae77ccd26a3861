"""Classify hyperspectral scenes with cached features of frozen diffusion models.

Importing this package loads no other module. A public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.comparison.compare import compare as compare
    from classifiers.comparison.report.write import write_report as write_report
    from classifiers.fit import fit_model as fit_model
    from classifiers.heads.registry import head_names as head_names
    from classifiers.heads.registry import make_head as make_head
    from classifiers.model import Model as Model
    from classifiers.model import load_model as load_model
    from classifiers.predict import predict_map as predict_map
    from classifiers.splits.grammar import parse_split as parse_split
    from classifiers.table import PixelTable as PixelTable
    from hsifeat.backbones.encoder import EncoderBackbone as EncoderBackbone
    from hsifeat.backbones.open_backbone import open_backbone as open_backbone
    from hsifeat.backbones.protocol import Backbone as Backbone
    from hsifeat.backbones.schedule import NoiseSchedule as NoiseSchedule
    from hsifeat.backbones.torch_module import ModuleBackbone as ModuleBackbone
    from hsifeat.client.connection import connect as connect
    from hsifeat.errors import BackboneError as BackboneError
    from hsifeat.errors import HeadError as HeadError
    from hsifeat.errors import HsifeatError as HsifeatError
    from hsifeat.errors import PretrainingError as PretrainingError
    from hsifeat.errors import ProjectionError as ProjectionError
    from hsifeat.errors import RecipeMismatchError as RecipeMismatchError
    from hsifeat.errors import SceneError as SceneError
    from hsifeat.errors import SplitError as SplitError
    from hsifeat.errors import StoreError as StoreError
    from hsifeat.extraction.config import ExtractionConfig as ExtractionConfig
    from hsifeat.extraction.extract import extract as extract
    from hsifeat.extraction.extract_scenes import extract_scenes as extract_scenes
    from hsifeat.extraction.prepare import prepare as prepare
    from hsifeat.extraction.run import run as run
    from hsifeat.features.export import export_features as export_features
    from hsifeat.features.features import Features as Features
    from hsifeat.features.open_features import open_features as open_features
    from hsifeat.imports.import_planes import import_planes as import_planes
    from hsifeat.pretraining.pretrain import pretrain as pretrain
    from hsifeat.projection.fit import fit_projection as fit_projection
    from hsifeat.projection.projection import Projection as Projection
    from hsifeat.runtime.dask_executor import dask_executor as dask_executor
    from hsifeat.runtime.events import Advanced as Advanced
    from hsifeat.runtime.events import Finished as Finished
    from hsifeat.runtime.events import Note as Note
    from hsifeat.runtime.events import Started as Started
    from hsifeat.runtime.executor import Executor as Executor
    from hsifeat.runtime.local import local_executor as local_executor
    from hsifeat.scenes.label_map import Labels as Labels
    from hsifeat.scenes.labels.open_labels import open_labels as open_labels
    from hsifeat.scenes.open_scene import open_scene as open_scene
    from hsifeat.scenes.scene import Scene as Scene
    from hsifeat.store.store import Store as Store
    from hsifeat.timesteps.rank import rank_timesteps as rank_timesteps
    from hsifeat.types import PlaneId as PlaneId
    from hsifeat.types import Window as Window

__version__ = "0.1.0"

# The module of each public name.
_MODULES = {
    "Advanced": "hsifeat.runtime.events",
    "Backbone": "hsifeat.backbones.protocol",
    "BackboneError": "hsifeat.errors",
    "EncoderBackbone": "hsifeat.backbones.encoder",
    "Executor": "hsifeat.runtime.executor",
    "ExtractionConfig": "hsifeat.extraction.config",
    "Features": "hsifeat.features.features",
    "Finished": "hsifeat.runtime.events",
    "HeadError": "hsifeat.errors",
    "HsifeatError": "hsifeat.errors",
    "Labels": "hsifeat.scenes.label_map",
    "Model": "classifiers.model",
    "ModuleBackbone": "hsifeat.backbones.torch_module",
    "NoiseSchedule": "hsifeat.backbones.schedule",
    "Note": "hsifeat.runtime.events",
    "PixelTable": "classifiers.table",
    "PlaneId": "hsifeat.types",
    "PretrainingError": "hsifeat.errors",
    "Projection": "hsifeat.projection.projection",
    "ProjectionError": "hsifeat.errors",
    "RecipeMismatchError": "hsifeat.errors",
    "Scene": "hsifeat.scenes.scene",
    "SceneError": "hsifeat.errors",
    "SplitError": "hsifeat.errors",
    "Started": "hsifeat.runtime.events",
    "Store": "hsifeat.store.store",
    "StoreError": "hsifeat.errors",
    "Window": "hsifeat.types",
    "compare": "classifiers.comparison.compare",
    "connect": "hsifeat.client.connection",
    "dask_executor": "hsifeat.runtime.dask_executor",
    "export_features": "hsifeat.features.export",
    "extract": "hsifeat.extraction.extract",
    "extract_scenes": "hsifeat.extraction.extract_scenes",
    "fit_model": "classifiers.fit",
    "fit_projection": "hsifeat.projection.fit",
    "head_names": "classifiers.heads.registry",
    "import_planes": "hsifeat.imports.import_planes",
    "load_model": "classifiers.model",
    "local_executor": "hsifeat.runtime.local",
    "make_head": "classifiers.heads.registry",
    "open_backbone": "hsifeat.backbones.open_backbone",
    "open_features": "hsifeat.features.open_features",
    "open_labels": "hsifeat.scenes.labels.open_labels",
    "open_scene": "hsifeat.scenes.open_scene",
    "parse_split": "classifiers.splits.grammar",
    "predict_map": "classifiers.predict",
    "prepare": "hsifeat.extraction.prepare",
    "pretrain": "hsifeat.pretraining.pretrain",
    "rank_timesteps": "hsifeat.timesteps.rank",
    "run": "hsifeat.extraction.run",
    "write_report": "classifiers.comparison.report.write",
}
__all__ = [
    "Advanced",
    "Backbone",
    "BackboneError",
    "EncoderBackbone",
    "Executor",
    "ExtractionConfig",
    "Features",
    "Finished",
    "HeadError",
    "HsifeatError",
    "Labels",
    "Model",
    "ModuleBackbone",
    "NoiseSchedule",
    "Note",
    "PixelTable",
    "PlaneId",
    "PretrainingError",
    "Projection",
    "ProjectionError",
    "RecipeMismatchError",
    "Scene",
    "SceneError",
    "SplitError",
    "Started",
    "Store",
    "StoreError",
    "Window",
    "__version__",
    "compare",
    "connect",
    "dask_executor",
    "export_features",
    "extract",
    "extract_scenes",
    "fit_model",
    "fit_projection",
    "head_names",
    "import_planes",
    "load_model",
    "local_executor",
    "make_head",
    "open_backbone",
    "open_features",
    "open_labels",
    "open_scene",
    "parse_split",
    "predict_map",
    "prepare",
    "pretrain",
    "rank_timesteps",
    "run",
    "write_report",
]


if not TYPE_CHECKING:  # Type checkers use the imports above instead, and can therefore report unknown names.

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return getattr(import_module(_MODULES[name]), name)
        raise AttributeError(f"module 'hsifeat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
