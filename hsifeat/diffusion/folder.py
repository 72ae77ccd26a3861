"""Folders as diffusers saves them: where a part's configuration lies, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hsifeat.errors import BackboneError


def find_part(folder: Path, part: str, name: str) -> Path:
    """Return the folder that holds `name`: ``folder/part`` as in a pipeline, or the folder itself; else `BackboneError`."""
    if not folder.is_dir():
        raise BackboneError(f"no backbone folder at {folder}: hsifeat pretrain makes one")
    for place in (folder / part, folder):
        if (place / name).exists():
            return place
    raise BackboneError(f"{folder} has no {name}, neither directly nor in {part}/: it is no diffusers model folder")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; `BackboneError` for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise BackboneError(f"{path} is no JSON object")
    return content


def network_class(folder: Path) -> str:
    """Return the class of the denoiser in a folder, by its configuration; an empty string where that says none."""
    if not folder.is_dir():
        return ""
    for place in (folder / "unet", folder):
        if (place / "config.json").is_file():
            return str(read_json(place / "config.json").get("_class_name", ""))
    return ""
