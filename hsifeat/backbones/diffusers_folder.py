"""Model folders in the layout of diffusers: find their subfolders, and read their configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from hsifeat.backbones.recorded_files import RECORD
from hsifeat.errors import BackboneError, error_summary, raise_resource_error
from hsifeat.files import read_regular

# Upper bounds of the settings of a network. All published networks have far smaller settings.
_LARGEST_NUMBER, _MAX_LAYERS, _MAX_LEVELS = 2**24, 256, 64
# Words in the names of settings that count layers or blocks.
_REPEATED = ("layers", "num_blocks", "depth")
_POSITIVE = ("block_out_channels", "widths", "width", "heads", "groups", "patch_px", "norm_num_groups")


def pipeline_folder(folder: Path) -> Path:
    """Return `folder`. If `folder` is the subfolder ``unet`` of a pipeline, return the folder of the pipeline instead."""
    return folder.parent if folder.name == "unet" and (folder.parent / "scheduler").is_dir() else folder


def find_part(folder: Path, part: str, name: str) -> Path:
    """Return the first folder that contains the file `name`: the subfolder `part` of a pipeline, or `folder` itself.

    Parameters
    ----------
    folder : Path
        Folder of a pipeline or of one model.
    part : str
        Subfolder of the pipeline, such as ``unet``.
    name : str
        File to look for, such as ``config.json``.

    Raises
    ------
    BackboneError
        If neither the subfolder nor `folder` itself contains the file.
    """
    for candidate in (folder / part, folder):
        if (candidate / name).exists():
            return candidate
    raise BackboneError(f"{folder} is not a diffusers model folder: it has no {name}, neither directly nor in {part}/")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raise `BackboneError` if the file has other content."""
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError) as error:
        raise_resource_error(error)
        raise BackboneError(f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise BackboneError(f"{path} is not a JSON object")
    return content


def drop_private_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as plain JSON values, without keys that begin with an underscore.

    Such keys are dropped at any depth. Libraries use these keys for information that does not affect the network, such as
    the library version.
    """
    text = json.dumps(dict(config))
    public: dict[str, Any] = json.loads(
        text, object_hook=lambda item: {key: value for key, value in item.items() if not key.startswith("_")}
    )
    return public


def resolve_settings(network_class: Any, config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Return all constructor arguments that diffusers reads from a configuration, as plain JSON values.

    If the configuration omits an argument, or lists it under ``_use_default_values``, the argument has the default of
    the class. Keys that are not arguments are dropped.

    Parameters
    ----------
    network_class : type
        A network class of diffusers.
    config : mapping
        The content of ``config.json``.
    file : Path
        Path of ``config.json``, for error messages.

    Raises
    ------
    BackboneError
        If diffusers can't read the configuration. If a number in the configuration is NaN, infinite or out of
        range. If a list is too long.
    """
    try:
        explicit, _, _ = network_class.extract_init_dict(dict(config))
        settings = drop_private_keys(_defaults(network_class) | explicit)
        json.dumps(settings, allow_nan=False)
        check_numbers(settings)
    except Exception as error:  # diffusers raises errors of many classes for settings of wrong types
        raise_resource_error(error)
        raise BackboneError(f"{file} does not describe a {network_class.__name__}: {error_summary(error)}") from error
    return settings


def check_numbers(settings: Mapping[str, Any]) -> None:
    """Raise ValueError if a number in `settings` is out of range, or a list is too long.

    The check limits the time that building the network can take.
    """
    for name, setting in settings.items():
        values = [setting]
        while values:
            value = values.pop()
            if isinstance(value, dict):
                check_numbers(value)
            elif isinstance(value, list):
                if len(value) > _MAX_LEVELS:
                    raise ValueError(f"{name} is a list of {len(value)} values; allowed are {_MAX_LEVELS}")
                values += value
            elif isinstance(value, int | float) and not isinstance(value, bool):
                largest = _MAX_LAYERS if any(word in name for word in _REPEATED) else _LARGEST_NUMBER
                if not abs(value) <= largest or (value < 1 and name in _POSITIVE):
                    raise ValueError(
                        f"{name} is {value:g}; allowed are numbers {'from 1 ' * (name in _POSITIVE)}to {largest}"
                    )


def non_default_settings(network_class: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults of the network class.

    Configurations of the same network therefore give equal results, whether or not they state defaults.
    """
    defaults = drop_private_keys(_defaults(network_class))
    return {name: value for name, value in settings.items() if name not in defaults or value != defaults[name]}


def count_levels(settings: Mapping[str, Any], file: Path) -> int:
    """Return the number of resolutions (levels) of the network with these settings. Error messages name `file`.

    Raises
    ------
    BackboneError
        If the setting ``block_out_channels`` is not a list, or is empty.
    """
    channels = settings["block_out_channels"]
    if not isinstance(channels, list) or not channels:
        raise BackboneError(
            f"{file}: block_out_channels must be a list with the channels of at least one level; found {channels!r}"
        )
    return len(channels)


def _defaults(network_class: Any) -> dict[str, Any]:
    parameters = signature(network_class.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def read_denoiser_class(folder: Path) -> str:
    """Return the class name of the denoiser in a folder, or an empty string if the class name is unknown."""
    if not folder.is_dir():
        return ""
    for candidate in (folder / "unet", folder):
        if (candidate / "config.json").is_file():
            return str(read_json(candidate / "config.json").get("_class_name", ""))
    return ""


def list_model_files(source: str) -> list[Path]:
    """Return the files and folders that determine the backbone in a model folder.

    If the folder is the subfolder ``unet`` of a pipeline, the whole pipeline counts as the model folder. The result lists
    the content of the model folder and the content of its subfolders. It does not list deeper levels, because backbones
    do not read them. The last path is the training record in the parent of the model folder.
    """
    folder = pipeline_folder(Path(source))
    paths = list(folder.iterdir())
    return [*paths, *(file for path in paths if path.is_dir() for file in path.iterdir()), folder.parent / RECORD]
