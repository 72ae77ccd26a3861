"""Parsers for the values of options: lists, whole numbers, assignments and parameter values."""

from __future__ import annotations

import json
import re
from typing import Any

import typer

_CONSTANTS = {"none": None, "null": None, "true": True, "false": False}


def comma_list(text: str) -> list[str]:
    """Split a text at its commas. A comma may follow the last item. Other empty items raise `typer.BadParameter`.

    >>> comma_list("svm, film,")
    ['svm', 'film']
    """
    items = [item.strip() for item in text.split(",")]
    if len(items) > 1 and not items[-1]:
        del items[-1]
    if not all(items):
        raise typer.BadParameter(f"expected items between commas; found {text!r}, with an empty item")
    return items


def whole_number(text: str, option: str) -> int:
    """Parse a non-negative whole number; the error message contains the flag `option`."""
    if re.fullmatch("[0-9]{1,18}", text) is None:
        raise typer.BadParameter(f"{option} takes non-negative whole numbers of at most 18 digits; found {text!r}")
    return int(text)


def assignment(text: str) -> tuple[str, Any]:
    """Split ``name=value``. Return the name, and the value as parsed by `value_of`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set takes name=value; found {text!r}")
    return name, value_of(value)


def value_of(text: str) -> Any:
    """Parse the value of a parameter: none, true, false, a number, a comma-separated list, JSON or text.

    >>> [value_of(text) for text in ("none", "true", "7", ".5", "64,32", "64,", "auto", '{"2": 1.5}')]
    [None, True, 7, 0.5, (64, 32), (64,), 'auto', {2: 1.5}]
    """
    text = text.strip()
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for read in (int, float, json.loads):
        try:
            value = read(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):  # Keys in JSON are text, but may mean numbers.
            return {value_of(key): item for key, item in value.items()}
        return tuple(value) if isinstance(value, list) else value
    return tuple(value_of(part) for part in comma_list(text)) if "," in text else text
