"""Registry of public scenes: one description per scene, and how its files are located, downloaded and loaded."""

from hsifeat.scenes.registry.models import PublicScene
from hsifeat.scenes.registry.public_scenes import REGISTRY

__all__ = ["REGISTRY", "PublicScene"]
