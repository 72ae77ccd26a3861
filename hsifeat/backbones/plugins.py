"""Backbones of installed packages: entry points of the group ``hsifeat.backbones``."""

from __future__ import annotations

from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from inspect import Parameter, getattr_static, signature
from typing import Any

from hsifeat.backbones.network import NetworkBackbone
from hsifeat.backbones.options import UNTRAINED, Asked
from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import BackboneError, error_summary

GROUP = "hsifeat.backbones"
_NOTHING = object()
_WORDS = {"class_label": "class label", "untrained_seed": "fresh weights", "upsample": "upsampling"}
_GIVEN = {"untrained_seed": "untrained:"}


def registered() -> dict[str, EntryPoint]:
    """Return the entry points by their names."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def package_of(entry: EntryPoint) -> str:
    """Return the name of the package that brings an entry point."""
    return f"package {entry.dist.name if entry.dist else entry.module}"


def describe(entry: EntryPoint) -> str:
    """Return the first line of what an entry point says of itself, or why it can't be loaded."""
    try:
        lines = (entry.load().__doc__ or "").strip().splitlines()
    except Exception as error:  # noqa: BLE001  # another package's code may raise anything
        return f"can't be loaded: {error_summary(error)}"
    return lines[0].rstrip(".") if lines else "says nothing of itself"


def open_entry(text: str, asked: Asked) -> Backbone | None:
    """Open ``NAME`` or ``NAME:REST``; None where no entry point has that name.

    The entry point is called with the text after the colon and those attributes of `Asked` that it takes by name.

    Raises
    ------
    BackboneError
        It fails, takes no such option, or gives something that is no backbone.
    """
    name, _, rest = text.partition(":")
    entry = registered().get(name)
    if entry is None:
        return None
    try:
        make = entry.load()
        backbone = make(rest, **_options(make, name, asked))
    except BackboneError:
        raise
    except Exception as error:  # another package's code may raise anything
        raise BackboneError(f"the backbone {text} can't be opened: {error_summary(error)}") from error
    check_backbone(backbone, text)
    if isinstance(backbone, NetworkBackbone) and not backbone.source:
        backbone.source = text if asked.untrained_seed is None else f"{UNTRAINED}{text}"
    opened: Backbone = backbone
    return opened


def check_backbone(backbone: object, name: str) -> None:
    """Raise `BackboneError` unless an object has every member of a `Backbone`."""
    members = [member for member in vars(Backbone) if not member.startswith("_")]
    # Looked up without computing: to list the taps takes a forward.
    missing = [member for member in members if getattr_static(backbone, member, _NOTHING) is _NOTHING]
    if missing:
        raise BackboneError(
            f"{name} is a {type(backbone).__name__} without {', '.join(missing)}, and no backbone: wrap a plain network into a "
            "ModuleBackbone (docs/user/backbones.md)"
        )


def _options(make: Any, name: str, asked: Asked) -> dict[str, Any]:
    """Return the options that an entry point takes; `BackboneError` for one that was given and that it does not take."""
    parameters = signature(make).parameters
    everything = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
    taken = {}
    for field in fields(Asked):
        option, value = field.name, getattr(asked, field.name)
        if option == "named":
            continue
        if everything or option in parameters:
            taken[option] = value
        elif value != field.default and option != "any_label":
            raise BackboneError(
                f"{name} takes no {_WORDS.get(option, option)}; leave out {_GIVEN.get(option, repr(value))}"
            )
    return taken
