"""What the texts of options mean."""

from __future__ import annotations

import json
import re
from typing import Any

import typer


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
    """Return the name and value of `name=value`; a value that isn't JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set takes name=value; found {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
