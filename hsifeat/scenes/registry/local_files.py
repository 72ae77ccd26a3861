"""Local files of public scenes: their folders, and checks for missing files."""

from __future__ import annotations

import os
from pathlib import Path

from hsifeat.files import cache_folder
from hsifeat.scenes.registry.models import PublicScene, SceneFile


def scenes_folder() -> Path:
    """Return the folder for the files of all public scenes.

    The environment variable ``HSIFEAT_SCENES`` names this folder. If the variable is not set, the folder is ``scenes`` in
    the cache folder.
    """
    folder = os.environ.get("HSIFEAT_SCENES")
    return Path(folder) if folder else cache_folder() / "scenes"


def scene_folder(scene: PublicScene) -> Path:
    """Return the folder for the files of a scene. The folder need not exist."""
    return scenes_folder() / scene.name


def file_exists(scene: PublicScene, name: str) -> bool:
    """Return whether the file `name` of a scene is on this machine.

    An incomplete download has another name, so it does not count.
    """
    return (scene_folder(scene) / name).is_file()


def missing_files(scene: PublicScene) -> list[SceneFile]:
    """Return the required files of a scene that are not on this machine."""
    return [file for file in scene.files if not file.optional and not file_exists(scene, file.name)]


def is_downloadable(scene: PublicScene, file: SceneFile) -> bool:
    """Return whether a file can be downloaded and verified.

    The SHA-256 of the file must be known. The file must also have a URL, or the scene must have an archive.
    """
    return file.sha256 is not None and bool(file.url or scene.archive)


def local_state(scene: PublicScene) -> str:
    """Return a text that states whether the required files of a scene are on this machine.

    The text is ``yes`` for all files, ``no`` for none, and a count such as ``1 of 2 files`` for some.
    """
    missing = missing_files(scene)
    if not missing:
        return "yes"
    required = [file for file in scene.files if not file.optional]
    present = len(required) - len(missing)
    return f"{present} of {len(required)} files" if present else "no"


def placement_instructions(scene: PublicScene, missing: list[SceneFile]) -> str:
    """Return one line of text that tells the user where to get missing files and where to put these files.

    >>> from hsifeat.scenes.registry import REGISTRY
    >>> placement_instructions(REGISTRY["ksc"], [SceneFile(name="KSC.mat")])  # doctest: +ELLIPSIS
    'put KSC.mat into ...; get it from https://www.ehu.eus/ccwintco/index.php/Hyperspectral_Remote_Sensing_Scenes'
    """
    urls = {file.url for file in missing if file.url}
    return (
        f"put {', '.join(file.name for file in missing)} into {scene_folder(scene)}; "
        f"get {'them' if len(missing) > 1 else 'it'} from {', '.join(sorted(urls)) or scene.source}"
    )
