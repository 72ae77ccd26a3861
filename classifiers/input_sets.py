"""Input sets: named combinations of spectra, planes, window means and patches that a head can take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from classifiers.heads.registry import head_class
from classifiers.layout import ColumnGroup
from hsifeat.errors import HeadError, suggest_names
from hsifeat.features.features import Features

# Sides in pixels: window of the mean spectrum, window of the plane means, and neighbourhood of a patch.
WINDOW_PX, MEANS_PX, PATCH_PX = 5, 48, 3

_SPECTRA, _WINDOW = ("spectra", None), ("mean", None)
_PLANES, _MEANS, _PATCHES = ("plane", "any"), ("mean", "any"), ("patch", "any")

# Column groups of each input set as (kind, source): the source is "any" for a plane, and None for spectra.
INPUTS: dict[str, frozenset[tuple[str, str | None]]] = {
    "spectra": frozenset({_SPECTRA}),
    "spectra+window": frozenset({_SPECTRA, _WINDOW}),
    "planes": frozenset({_PLANES}),
    "spectra+planes": frozenset({_SPECTRA, _PLANES}),
    "spectra+planes+window": frozenset({_SPECTRA, _WINDOW, _PLANES}),
    "planes+means": frozenset({_PLANES, _MEANS}),
    "spectra+planes+means": frozenset({_SPECTRA, _PLANES, _MEANS}),
    "planes+patches": frozenset({_PLANES, _PATCHES}),
    "spectra+planes+patches": frozenset({_SPECTRA, _PLANES, _PATCHES}),
}
# Placeholder for the input set that `suited_input` returns.
SUITED = "suited"

_PLURALS = {"plane": "planes", "mean": "means", "patch": "patches", "position": "positions"}


def suited_input(head: str, features: Features) -> str:
    """Return the name of the input set that suits a head.

    The set holds spectra and planes, and also patches or window means if the head uses them. A store of single pixels has
    no patches.
    """
    wants = head_class(head).wants
    if "patch" in wants and features.window_px is None:
        return "spectra+planes+patches"
    return "spectra+planes+means" if "mean" in wants else "spectra+planes"


def layout_options(inputs: Iterable[str], features: Features) -> dict[str, Any]:
    """Return the arguments of `make_layout`, except `planes`, for a table that covers several input sets.

    Window means of planes have a side of 48 px, the patch size of MTMSD. In a store of single pixels the side is
    `Features.window_px`.
    """
    groups = frozenset[tuple[str, str | None]]().union(*(INPUTS[name] for name in inputs))
    return {
        "spectra": _SPECTRA in groups,
        "window": WINDOW_PX if _WINDOW in groups else None,
        "means": (features.window_px or MEANS_PX) if _MEANS in groups else None,
        "patch": PATCH_PX if _PATCHES in groups else None,
    }


def group_filter(inputs: str) -> Callable[[ColumnGroup], bool]:
    """Return a function that is True for the column groups of an input set, for `PixelTable.select_groups`."""
    groups = INPUTS[inputs]
    return lambda group: (group.kind, None if group.layer is None else "any") in groups


def check_input(inputs: str, head: str) -> None:
    """Raise `HeadError` if an input set is unknown or lacks a column kind that a head needs."""
    if inputs not in INPUTS:
        raise HeadError(f"unknown input {inputs!r}; {suggest_names(inputs, INPUTS)}")
    missing = head_class(head).needs - {kind for kind, _ in INPUTS[inputs]}
    if missing:
        needs = " and ".join(sorted(_PLURALS.get(kind, kind) for kind in missing))
        raise HeadError(f"the head {head} needs {needs}, which the input {inputs} lacks")


def uses_planes(inputs: str) -> bool:
    """Return whether an input set contains planes."""
    return _PLANES in INPUTS[inputs]
