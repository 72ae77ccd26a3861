"""Registry of public scenes: descriptions, local files, downloads and loading."""

from hsifeat.scenes.registry.models import PublicScene
from hsifeat.scenes.registry.public_scenes import REGISTRY

__all__ = ["REGISTRY", "PublicScene"]
