"""Presets: TOML files with the options of published extractions and trainings.

Each file names its source, such as a paper, and lists the differences from this source. The section ``[extract]`` of a
file has options of `hsifeat.extract`. The section ``[pretrain]`` has options of `hsifeat.pretrain`. The packages
`hsifeat.extraction` and `hsifeat.pretraining` validate these options.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from hsifeat.base_config import BaseConfig, names
from hsifeat.errors import HsifeatError, error_summary, raise_resource_error, suggest_names
from hsifeat.files import open_regular

DEFAULT_BACKBONE = "natural32"
"""Backbone in the package. The preset of the same name has its options."""

# Python's reader of TOML takes quadratic time for long dotted keys.
_MAX_BYTES = 16_384


def _texts(value: object) -> tuple[str, ...]:
    """Validate a list of texts, which may be empty."""
    return () if value == [] else names(value)


class Preset(BaseConfig):
    """Options of a published extraction, of a published training, or of both.

    Attributes
    ----------
    title : str
        Method and scene that the preset reproduces.
    source : str
        Paper or code that the options are taken from.
    differs : tuple of str
        Differences from the publication, and details that were not published; may be empty.
    extract, pretrain : dict of str to object or None
        Options of `hsifeat.extract` and of `hsifeat.pretrain`, not yet validated.
    """

    title: str
    source: str
    differs: Annotated[tuple[str, ...], BeforeValidator(_texts)] = ()
    extract: dict[str, Any] | None = None
    pretrain: dict[str, Any] | None = None


def preset_names() -> list[str]:
    """Return the names of the built-in presets."""
    return sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))


def open_preset(source: str | Path) -> Preset:
    """Read a preset.

    Parameters
    ----------
    source : str or Path
        A name from `preset_names`, or the path of a ``.toml`` file.

    Returns
    -------
    Preset
        The content of the file.

    Raises
    ------
    HsifeatError
        If the preset does not exist or is not TOML. If the preset lacks a required entry, or has an unknown or invalid
        entry.

    Examples
    --------
    >>> open_preset("dift").source
    'Tang et al., NeurIPS 2023; timestep, block and draws from its code'
    """
    text = str(source)
    if text.endswith(".toml"):
        try:
            with open_regular(Path(source)) as file:
                text_bytes = file.read(_MAX_BYTES + 1)
            if len(text_bytes) > _MAX_BYTES:
                raise HsifeatError(
                    f"the preset {source} is longer than {_MAX_BYTES:,} bytes: presets are short TOML files"
                )
            content = text_bytes.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise_resource_error(error)
            raise HsifeatError(f"the preset {source} can't be read: {error}") from error
    elif text in preset_names():
        content = (files(__name__) / f"{text}.toml").read_text(encoding="utf-8")
    else:
        raise HsifeatError(f"no preset {text!r}; {suggest_names(text, preset_names())}, or a .toml file")
    try:
        entries = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise HsifeatError(f"the preset {source} is not TOML: {error_summary(error)}") from error
    return Preset.from_options(entries, source=f"the preset {source}: ")


def preset_options(source: str | Path, section: Literal["extract", "pretrain"]) -> dict[str, Any]:
    """Return the options in a section of a preset, without validation.

    Parameters
    ----------
    source : str or Path
        A name from `preset_names`, or the path of a ``.toml`` file.
    section : {"extract", "pretrain"}
        Name of the section.

    Returns
    -------
    dict of str to object
        Maps the names of the options to their values.

    Raises
    ------
    HsifeatError
        If the preset can't be read, or lacks the section.

    Examples
    --------
    >>> preset_options("dift", "extract")["draws"]
    8
    """
    options: dict[str, Any] | None = getattr(open_preset(source), section)
    if options is None:
        raise HsifeatError(f"the preset {source} has no section [{section}]")
    return options
