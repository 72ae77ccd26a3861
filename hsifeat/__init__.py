"""Features of frozen diffusion models for hyperspectral scenes: computed once, cached, and classified by light heads.

Importing the package imports nothing else: each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.comparison.compare import compare as compare
    from classifiers.fit import fit_model as fit_model
    from classifiers.heads.registry import make_head as make_head
    from classifiers.model import Model as Model
    from classifiers.model import load_model as load_model
    from classifiers.predict import predict_map as predict_map
    from classifiers.splits.grammar import parse_split as parse_split
    from classifiers.table import PixelTable as PixelTable
    from hsifeat.backbones.open_backbone import open_backbone as open_backbone
    from hsifeat.backbones.schedule import NoiseSchedule as NoiseSchedule
    from hsifeat.backbones.torch_module import ModuleBackbone as ModuleBackbone
    from hsifeat.errors import HsifeatError as HsifeatError
    from hsifeat.extraction.extract import extract as extract
    from hsifeat.features.export import export_features as export_features
    from hsifeat.features.features import Features as Features
    from hsifeat.features.features import open_features as open_features
    from hsifeat.pretraining.pretrain import pretrain as pretrain
    from hsifeat.scenes.open_scene import open_scene as open_scene
    from hsifeat.scenes.scene import Scene as Scene
    from hsifeat.timesteps.rank import rank_timesteps as rank_timesteps

__version__ = "0.1.0"

# The module of each public name.
_MODULES = {
    "Features": "hsifeat.features.features",
    "HsifeatError": "hsifeat.errors",
    "Model": "classifiers.model",
    "ModuleBackbone": "hsifeat.backbones.torch_module",
    "NoiseSchedule": "hsifeat.backbones.schedule",
    "PixelTable": "classifiers.table",
    "Scene": "hsifeat.scenes.scene",
    "compare": "classifiers.comparison.compare",
    "export_features": "hsifeat.features.export",
    "extract": "hsifeat.extraction.extract",
    "fit_model": "classifiers.fit",
    "load_model": "classifiers.model",
    "make_head": "classifiers.heads.registry",
    "open_backbone": "hsifeat.backbones.open_backbone",
    "open_features": "hsifeat.features.features",
    "open_scene": "hsifeat.scenes.open_scene",
    "parse_split": "classifiers.splits.grammar",
    "predict_map": "classifiers.predict",
    "pretrain": "hsifeat.pretraining.pretrain",
    "rank_timesteps": "hsifeat.timesteps.rank",
}
__all__ = [
    "Features",
    "HsifeatError",
    "Model",
    "ModuleBackbone",
    "NoiseSchedule",
    "PixelTable",
    "Scene",
    "__version__",
    "compare",
    "export_features",
    "extract",
    "fit_model",
    "load_model",
    "make_head",
    "open_backbone",
    "open_features",
    "open_scene",
    "parse_split",
    "predict_map",
    "pretrain",
    "rank_timesteps",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'hsifeat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
