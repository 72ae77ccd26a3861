"""Scenes and label maps: data model, file readers, registry of public scenes, and writers of classification maps."""

from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.open_labels import open_labels
from hsifeat.scenes.open_scene import open_scene
from hsifeat.scenes.scene import Scene

__all__ = ["Georeference", "Labels", "Scene", "open_labels", "open_scene"]
