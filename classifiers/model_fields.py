"""Checks of the fields of a saved model. Each raises an error that is no `HsifeatError` if a field is wrong; `load_model` reports it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from classifiers.layout import Layout
from classifiers.recipe_text import feature_kinds
from classifiers.smoothing import parse_smoothing


def check_training_recipe(recipe: dict[str, Any], layout: Layout) -> None:
    """Raise an error of any class if `Model.match_store` can't read a recipe because an entry is missing or invalid."""
    feature_kinds(recipe)
    if any(group.kind == "position" for group in layout):
        recipe["scene"]


def checked_smoothing(text: str | None) -> str | None:
    """Return the canonical text of a smoothing rule, or None."""
    rule = None if text is None else parse_smoothing(text)
    return None if rule is None else rule.text


def checked_wavelengths(values: list[Any] | None, layout: Layout) -> tuple[float, ...] | None:
    """Return the wavelengths of the bands in nm, or None."""
    if values is None:
        return None
    wavelengths = tuple(float(value) for value in values)
    _check_count(len(wavelengths), layout, "wavelengths")
    if not np.isfinite(wavelengths).all():
        raise ValueError("the wavelengths are not finite")
    return wavelengths


def checked_names(names: list[Any], layout: Layout) -> tuple[str, ...]:
    """Return the names of the bands."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the band names {names!r:.60} are not texts")
    if names:
        _check_count(len(names), layout, "band names")
    return tuple(names)


def _check_count(count: int, layout: Layout, what: str) -> None:
    """Raise `ValueError` unless the columns of spectra have `count` bands. Layouts without spectra allow any number."""
    bands = {group.channels for group in layout if group.layer is None and group.kind != "position"}
    if bands not in (set(), {count}):
        raise ValueError(f"{count} {what} for {max(bands)} bands")


def checked_colour(text: str) -> str:
    """Return a colour of the form ``#rrggbb``."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{text!r} is no colour such as #1f77b4")
    return text
