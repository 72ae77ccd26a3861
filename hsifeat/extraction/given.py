"""What a caller gives to an extraction: whole numbers of any type become ints, values of other types are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from reprlib import repr as short
from typing import Any

from hsifeat.errors import HsifeatError
from hsifeat.projection import Projection
from hsifeat.types import as_int

_NUMBERS = {"tile", "halo", "draws", "seed", "upsample", "batch"}
_OTHERS: dict[str, tuple[str, tuple[type, ...]]] = {
    "stitch": ("a text", (str,)),
    "padding": ("a text", (str,)),
    "noise": ("a text", (str,)),
    "prompt": ("a text", (str,)),
    "dtype": ("a text", (str,)),
    "projection": ("a text or a fitted projection", (str, Projection)),
    "companion": ("True or False", (bool,)),
}


def check_types(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of `prepare` that are given, whole numbers as ints.

    Raises
    ------
    HsifeatError
        A value is of another type than the option takes. A class label is left to the backbone.
    """
    return {name: _value(name, value) for name, value in options.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        number = as_int(value)
        if number is None:
            raise _refusal(name, "a whole number", value)
        return number
    if name == "timesteps":
        return _each(name, "whole numbers", value, as_int)
    if name == "layers":
        return [value] if isinstance(value, str) else _each(name, "names", value, _text)
    if name == "origin":
        corner = _each(name, "a row and a column in whole numbers", value, as_int)
        if len(corner) != 2:
            raise _refusal(name, "a row and a column in whole numbers", value)
        return tuple(corner)
    if name in _OTHERS:
        words, kinds = _OTHERS[name]
        if not isinstance(value, kinds):
            raise _refusal(name, words, value)
    return value


def _each(name: str, words: str, values: Any, read: Any) -> list[Any]:
    """Return what is read from each of several values, none of which may be None."""
    found = [read(value) for value in values] if isinstance(values, Iterable) else [None]
    if None in found or isinstance(values, str | bytes):
        raise _refusal(name, words, values)
    return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _refusal(name: str, words: str, value: object) -> HsifeatError:
    verb = "are" if name in {"timesteps", "layers"} else "is"
    return HsifeatError(f"{name} {verb} {words}; found {' '.join(short(value).split())}")
