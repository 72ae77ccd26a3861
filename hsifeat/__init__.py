"""hsifeat: diffusion features of a hyperspectral scene, computed once, learned from many times.

Importing it imports nothing else: each name below is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsifeat.backbones.open_backbone import open_backbone as open_backbone
    from hsifeat.backbones.schedule import NoiseSchedule as NoiseSchedule
    from hsifeat.backbones.torch_module import ModuleBackbone as ModuleBackbone
    from hsifeat.errors import HsifeatError as HsifeatError
    from hsifeat.extraction.extract import extract as extract
    from hsifeat.features.features import Features as Features
    from hsifeat.features.features import open_features as open_features
    from hsifeat.pretraining.pretrain import pretrain as pretrain
    from hsifeat.scenes import Scene as Scene
    from hsifeat.scenes import open_scene as open_scene
    from hsifeat.timesteps.rank import rank_timesteps as rank_timesteps

__version__ = "0.1.0"

_HOMES = {
    "HsifeatError": "hsifeat.errors",
    "ModuleBackbone": "hsifeat.backbones.torch_module",
    "NoiseSchedule": "hsifeat.backbones.schedule",
    "open_backbone": "hsifeat.backbones.open_backbone",
    "Scene": "hsifeat.scenes",
    "open_scene": "hsifeat.scenes",
    "rank_timesteps": "hsifeat.timesteps.rank",
    "extract": "hsifeat.extraction.extract",
    "pretrain": "hsifeat.pretraining.pretrain",
    "Features": "hsifeat.features.features",
    "open_features": "hsifeat.features.features",
}
__all__ = [
    "Features",
    "HsifeatError",
    "ModuleBackbone",
    "NoiseSchedule",
    "Scene",
    "__version__",
    "extract",
    "open_backbone",
    "open_features",
    "open_scene",
    "pretrain",
    "rank_timesteps",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hsifeat' has no attribute {name!r}")
