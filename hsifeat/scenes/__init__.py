"""Scenes: what one is, how files become one, which public ones are known, how maps are written."""

from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.labels.open_labels import open_labels
from hsifeat.scenes.open_scene import open_scene
from hsifeat.scenes.scene import Labels, Scene

__all__ = ["Georeference", "Labels", "Scene", "open_labels", "open_scene"]
