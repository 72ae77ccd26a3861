"""What heads are given: spectra, spectra with window means, planes, spectra with planes."""

from __future__ import annotations

from collections.abc import Callable

from classifiers.heads.registry import head_class
from classifiers.layout import ColumnGroup
from hsifeat.errors import HeadError, nearest

_SPECTRA, _WINDOW, _PLANES = ("spectra", None), ("mean", None), ("plane", "any")

# The column groups of each input, by kind and by whether they come from a plane.
INPUTS: dict[str, frozenset[tuple[str, str | None]]] = {
    "spectra": frozenset({_SPECTRA}),
    "spectra+window": frozenset({_SPECTRA, _WINDOW}),
    "planes": frozenset({_PLANES}),
    "spectra+planes": frozenset({_SPECTRA, _PLANES}),
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
        raise HeadError(f"the head {head} needs {' and '.join(sorted(missing))}, which {name} lacks")


def has_planes(name: str) -> bool:
    """Tell whether an input takes planes."""
    return _PLANES in INPUTS[name]
