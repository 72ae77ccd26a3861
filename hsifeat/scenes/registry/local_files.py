"""Where the files of public scenes lie on this machine, which are there, and what to say about those that are not."""

from __future__ import annotations

import os
from pathlib import Path

from hsifeat.files import cache_folder
from hsifeat.scenes.registry.models import File, PublicScene


def scenes_folder() -> Path:
    """Return the folder that has a folder for each scene: ``HSIFEAT_SCENES``, or ``scenes`` in the cache's folder."""
    named = os.environ.get("HSIFEAT_SCENES")
    return Path(named) if named else cache_folder() / "scenes"


def folder_of(scene: PublicScene) -> Path:
    """Return the folder of a scene's files."""
    return scenes_folder() / scene.name


def is_there(scene: PublicScene, name: str) -> bool:
    """Tell whether a file is there: files are moved to their name once they are whole."""
    return (folder_of(scene) / name).is_file()


def missing(scene: PublicScene) -> list[File]:
    """List the files that the scene can't do without, and that are not there."""
    return [file for file in scene.files if not file.optional and not is_there(scene, file.name)]


def is_known(scene: PublicScene, file: File) -> bool:
    """Tell whether a file can be downloaded: its address and sha256 are known, or those of the archive that has it."""
    return file.sha256 is not None and bool(file.url or scene.archive)


def state(scene: PublicScene) -> str:
    """Say in a word or two whether the scene can be opened here."""
    lacking = missing(scene)
    if not lacking:
        return "yes"
    needed = [file for file in scene.files if not file.optional]
    found = len(needed) - len(lacking)
    return f"{found} of {len(needed)} files" if found else "no"


def how_to_get(scene: PublicScene, lacking: list[File]) -> str:
    """Say which files to put where, and where they come from, in one line."""
    addresses = {file.url for file in lacking if file.url}
    return (
        f"put {', '.join(file.name for file in lacking)} into {folder_of(scene)}; "
        f"{'they come' if len(lacking) > 1 else 'it comes'} from {', '.join(sorted(addresses)) or scene.source}"
    )
