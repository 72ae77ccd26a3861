"""The public scenes that can be opened by name, read from the TOML files in ``scenes/``."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from hsifeat.scenes.registry.models import PublicScene


def read_descriptions() -> dict[str, PublicScene]:
    """Return a dict that maps the names of all public scenes to their descriptions.

    Scenes that need no download come first.
    """
    scenes = []
    for file in files("hsifeat.scenes.registry").joinpath("scenes").iterdir():
        if file.name.endswith(".toml"):
            description = tomllib.loads(file.read_text(encoding="utf-8"))
            scenes.append(PublicScene(name=file.name.removesuffix(".toml"), **description))
    return {scene.name: scene for scene in sorted(scenes, key=lambda scene: (not scene.package, scene.name))}


REGISTRY: dict[str, PublicScene] = read_descriptions()
