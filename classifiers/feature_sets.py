"""What heads are given: spectra, planes, what lies around them, and which of these suits a head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from classifiers.heads.registry import head_class
from classifiers.layout import ColumnGroup
from hsifeat.errors import HeadError, nearest
from hsifeat.features.features import Features

# Sides in pixels of the windows over which spectra and planes are averaged, and of neighbourhoods.
WINDOW_PX, MEANS_PX, PATCH_PX = 5, 48, 3

_SPECTRA, _WINDOW = ("spectra", None), ("mean", None)
_PLANES, _MEANS, _PATCHES = ("plane", "any"), ("mean", "any"), ("patch", "any")

# The column groups of each input, by kind and by whether they come from a plane.
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
# Stands for the input that suits a head, see `suited_input`.
SUITED = "suited"
# What a comparison gives each head unless it is told otherwise.
COMPARED = ("spectra", "spectra+window", "planes", "spectra+planes", SUITED)


def suited_input(head: str, features: Features) -> str:
    """Return the input that a head works best with: spectra, planes and, where the store has them, what the head wants."""
    wants = head_class(head).wants
    if "patch" in wants and features.window_px is None:
        return "spectra+planes+patches"
    return "spectra+planes+means" if "mean" in wants else "spectra+planes"


def columns_of(inputs: Iterable[str], features: Features) -> dict[str, Any]:
    """Return what `make_layout` has to lay out, besides planes, for all of the inputs together.

    Means are those of windows of 48 px, MTMSD's patches, or of the windows that a store that lists pixels has.
    """
    wanted = frozenset[tuple[str, str | None]]().union(*(INPUTS[name] for name in inputs))
    return {
        "spectra": _SPECTRA in wanted,
        "window": WINDOW_PX if _WINDOW in wanted else None,
        "means": (features.window_px or MEANS_PX) if _MEANS in wanted else None,
        "patch": PATCH_PX if _PATCHES in wanted else None,
    }


def picks(features: str) -> Callable[[ColumnGroup], bool]:
    """Return which column groups an input takes, as `PixelTable.take` wants it."""
    wanted = INPUTS[features]
    return lambda group: (group.kind, None if group.layer is None else "any") in wanted


def check_input(name: str, head: str) -> None:
    """Raise `HeadError` for an unknown input, or one without what the head needs."""
    if name not in INPUTS:
        raise HeadError(f"unknown input {name!r}; {nearest(name, INPUTS)}")
    missing = head_class(head).needs - {kind for kind, _ in INPUTS[name]}
    if missing:
        named = {"plane": "planes", "mean": "means", "patch": "patches", "position": "positions"}
        needs = " and ".join(sorted(named.get(kind, kind) for kind in missing))
        raise HeadError(f"the head {head} needs {needs}, which {name} lacks")


def has_planes(name: str) -> bool:
    """Tell whether an input takes planes."""
    return _PLANES in INPUTS[name]
