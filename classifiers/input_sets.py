"""Input sets of heads: combinations of spectra, planes and their surroundings, and the one that suits each head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from classifiers.heads.registry import head_class
from classifiers.layout import ColumnGroup
from hsifeat.errors import HeadError, suggest_names
from hsifeat.features.features import Features

# Sides in pixels of the window of spectra, of the window means of planes, and of neighbourhoods.
WINDOW_PX, MEANS_PX, PATCH_PX = 5, 48, 3

_SPECTRA, _WINDOW = ("spectra", None), ("mean", None)
_PLANES, _MEANS, _PATCHES = ("plane", "any"), ("mean", "any"), ("patch", "any")

# Column groups of each input set, by kind and by whether they come from a plane.
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
# Stands for the input set that suits each head, see `suited_input`.
SUITED = "suited"

_PLURALS = {"plane": "planes", "mean": "means", "patch": "patches", "position": "positions"}


def suited_input(head: str, features: Features) -> str:
    """Return the input set that suits a head: spectra, planes and the surroundings it uses, if the store has them."""
    wants = head_class(head).wants
    if "patch" in wants and features.window_px is None:
        return "spectra+planes+patches"
    return "spectra+planes+means" if "mean" in wants else "spectra+planes"


def layout_options(inputs: Iterable[str], features: Features) -> dict[str, Any]:
    """Return the options of `make_layout`, apart from planes, whose layout covers all of some input sets.

    Window means are over 48 px, the patch size of MTMSD, or over the window of a store that lists pixels.
    """
    groups = frozenset[tuple[str, str | None]]().union(*(INPUTS[name] for name in inputs))
    return {
        "spectra": _SPECTRA in groups,
        "window": WINDOW_PX if _WINDOW in groups else None,
        "means": (features.window_px or MEANS_PX) if _MEANS in groups else None,
        "patch": PATCH_PX if _PATCHES in groups else None,
    }


def group_filter(inputs: str) -> Callable[[ColumnGroup], bool]:
    """Return a predicate that is True for the column groups of an input set; see `PixelTable.select_groups`."""
    groups = INPUTS[inputs]
    return lambda group: (group.kind, None if group.layer is None else "any") in groups


def check_input(inputs: str, head: str) -> None:
    """Raise `HeadError` if an input set is unknown or lacks what a head needs."""
    if inputs not in INPUTS:
        raise HeadError(f"unknown input {inputs!r}; {suggest_names(inputs, INPUTS)}")
    missing = head_class(head).needs - {kind for kind, _ in INPUTS[inputs]}
    if missing:
        needs = " and ".join(sorted(_PLURALS.get(kind, kind) for kind in missing))
        raise HeadError(f"the head {head} needs {needs}, which the input {inputs} lacks")


def uses_planes(inputs: str) -> bool:
    """Return whether an input set contains planes."""
    return _PLANES in INPUTS[inputs]
