"""What the texts of options mean."""

from __future__ import annotations

import json
import re
from typing import Any

import typer

_CONSTANTS = {"none": None, "null": None, "true": True, "false": False}


def comma_list(text: str) -> list[str]:
    """Return what commas separate."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole_number(text: str, option: str) -> int:
    """Return a whole number from 0, as an option gives it."""
    if re.fullmatch("[0-9]{1,18}", text) is None:
        raise typer.BadParameter(f"{option} takes whole numbers from 0, of at most 18 digits; found {text!r}")
    return int(text)


def timesteps_of(text: str | None, option: str = "--timesteps") -> list[int] | str | None:
    """Return the whole numbers that commas separate; ``auto:N``, or what is like it, stays as it is."""
    if text is None or text.startswith("auto"):
        return text
    return [whole_number(t, option) for t in comma_list(text)]


def class_label_of(text: str | None) -> int | str | None:
    """Return the label of a class as a whole number; ``mean`` stays as it is."""
    return text if text in {None, "mean"} else whole_number(str(text), "--class-label")


def corner(text: str) -> tuple[int, int]:
    """Return the row and column of `ROW,COL`."""
    found = re.fullmatch(r"\s*(-?[0-9]{1,18})\s*,\s*(-?[0-9]{1,18})\s*", text)
    if found is None:
        raise typer.BadParameter(f"--origin takes ROW,COL in whole numbers; found {text!r}")
    return int(found[1]), int(found[2])


def assignment(text: str) -> tuple[str, Any]:
    """Return the name and value of `name=value`, the value as `value_of` reads it."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set takes name=value; found {text!r}")
    return name, value_of(value)


def value_of(text: str) -> Any:
    """Return what a text says: none, true or false, a number, what commas separate, JSON; anything else is text.

    >>> [value_of(text) for text in ("none", "true", "7", ".5", "64,32", "64,", "auto", '{"2": 1.5}')]
    [None, True, 7, 0.5, (64, 32), (64,), 'auto', {2: 1.5}]
    """
    text = text.strip()
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for read in (int, float, json.loads):
        try:
            found = read(text)
        except ValueError:
            continue
        if isinstance(found, dict):  # whose keys JSON knows as text only
            return {value_of(key): value for key, value in found.items()}
        return tuple(found) if isinstance(found, list) else found
    return tuple(value_of(part) for part in comma_list(text)) if "," in text else text
