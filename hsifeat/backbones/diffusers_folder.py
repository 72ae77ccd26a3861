"""Folders as diffusers saves them: where a part's configuration lies, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from hsifeat.errors import BackboneError, error_summary


def find_part(folder: Path, part: str, name: str) -> Path:
    """Return the folder that holds `name`: ``folder/part`` as in a pipeline, or the folder itself; else `BackboneError`."""
    for place in (folder / part, folder):
        if (place / name).exists():
            return place
    raise BackboneError(f"{folder} has no {name}, neither directly nor in {part}/: it is no diffusers model folder")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; `BackboneError` for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BackboneError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise BackboneError(f"{path} is no JSON object")
    return content


def drop_private_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as plain JSON without names that start with an underscore, at any depth: notes of libraries."""
    text = json.dumps(dict(config))
    kept: dict[str, Any] = json.loads(text, object_hook=lambda d: {k: v for k, v in d.items() if not k.startswith("_")})
    return kept


def resolve_settings(kind: Any, config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return every argument, as plain JSON, with which diffusers builds a network from a configuration.

    Those that the configuration leaves out, or lists under ``_use_default_values``, have diffusers' own defaults; what
    starts with an underscore or is no argument plays no part.

    Parameters
    ----------
    kind : type
        The diffusers class.
    config : mapping
        What ``config.json`` says.
    file : Path
        That file, for errors.

    Raises
    ------
    BackboneError
        diffusers can't read it so, or a number in it is not finite.
    """
    try:
        given, _, _ = kind.extract_init_dict(dict(config))
        found = drop_private_keys(_defaults(kind) | given)
        json.dumps(found, allow_nan=False)
    except Exception as error:  # what diffusers raises for settings of other types has no common class
        raise BackboneError(f"{file} describes no {kind.__name__}: {error_summary(error)}") from error
    return found


def non_default_settings(kind: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not the class's defaults: equal for all configurations that build the same network."""
    usual = drop_private_keys(_defaults(kind))
    return {name: value for name, value in settings.items() if name not in usual or value != usual[name]}


def count_levels(settings: Mapping[str, Any], file: Path) -> int:
    """Return the number of resolutions of a diffusers network, from the settings in `file`."""
    channels = settings["block_out_channels"]
    if not isinstance(channels, list) or not channels:
        raise BackboneError(
            f"{file}: block_out_channels is a list with the channels of at least one level; found {channels!r}"
        )
    return len(channels)


def _defaults(kind: Any) -> dict[str, Any]:
    parameters = signature(kind.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def read_denoiser_class(folder: Path) -> str:
    """Return the class of the denoiser in a folder, by its configuration; an empty string where that says none."""
    if not folder.is_dir():
        return ""
    for place in (folder / "unet", folder):
        if (place / "config.json").is_file():
            return str(read_json(place / "config.json").get("_class_name", ""))
    return ""
