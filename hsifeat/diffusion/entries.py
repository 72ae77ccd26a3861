"""Backbones of installed packages: entry points of the group ``hsifeat.backbones``."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, getattr_static, signature
from typing import Any

from hsifeat.diffusion.asked import UPSAMPLE, Asked
from hsifeat.diffusion.backbone import Backbone
from hsifeat.diffusion.network import NetworkBackbone
from hsifeat.errors import BackboneError, in_one_line

GROUP = "hsifeat.backbones"


def registered() -> dict[str, EntryPoint]:
    """Return the entry points by their names."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def describe(entry: EntryPoint) -> str:
    """Return the first line of what an entry point says of itself, or why it can't be loaded."""
    package = entry.dist.name if entry.dist else entry.module
    try:
        lines = (entry.load().__doc__ or "").strip().splitlines()
    except Exception as error:  # noqa: BLE001  # another package's code may raise anything
        return f"from {package}, which can't be loaded: {in_one_line(error)}"
    return f"{lines[0].rstrip('.') if lines else 'says nothing of itself'}; from {package}"


def open_entry(text: str, asked: Asked, seed: int) -> Backbone | None:
    """Open ``NAME`` or ``NAME:REST``; None where no entry point has that name.

    The entry point is called with the text after the colon and those options of `open_backbone` that it takes by name.

    Raises
    ------
    BackboneError
        It fails, takes no such option, or gives something that is no backbone.
    """
    name, _, rest = text.partition(":")
    entry = registered().get(name)
    if entry is None:
        return None
    if asked.untrained_seed is not None:
        raise BackboneError(
            f"untrained: takes a folder's or file's architecture; {name} is a backbone of another package"
        )
    try:
        make = entry.load()
        backbone = make(rest, **_options(make, name, asked, seed))
    except BackboneError:
        raise
    except Exception as error:  # another package's code may raise anything
        raise BackboneError(f"the backbone {text} can't be opened: {in_one_line(error)}") from error
    check_members(backbone, text)
    if isinstance(backbone, NetworkBackbone) and not backbone.source:
        backbone.source = text
    opened: Backbone = backbone
    return opened


def check_members(backbone: object, name: str) -> None:
    """Raise `BackboneError` unless an object has every member of a `Backbone`."""
    members = [member for member in vars(Backbone) if not member.startswith("_")]
    missing = [member for member in members if getattr_static(backbone, member, None) is None]
    # A backbone may bring no projection, but says so.
    missing = [member for member in missing if not hasattr(backbone, member)]
    if missing:
        raise BackboneError(
            f"{name} is a {type(backbone).__name__} without {', '.join(missing)}, and no backbone: wrap a plain network into a "
            "ModuleBackbone (docs/backbones.md)"
        )


def _options(make: Any, name: str, asked: Asked, seed: int) -> dict[str, Any]:
    parameters = signature(make).parameters
    everything = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    told = {"class_label": asked.class_label, "prompt": asked.prompt, "upsample": asked.upsample}
    usual = {"class_label": None, "prompt": None, "upsample": UPSAMPLE}
    if not everything:
        for option, value in told.items():
            if value != usual[option] and option not in parameters:
                raise BackboneError(f"{name} takes no {option.replace('_', ' ')}; leave out {value!r}")
    told |= {"seed": seed, "any_label": asked.any_label}
    return {option: value for option, value in told.items() if everything or option in parameters}
