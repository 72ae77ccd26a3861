"""What heads are given in a comparison: spectra, spectra with window means, planes, spectra with planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from classifiers.comparison.results import Entry
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


def make_entries(stores: Sequence[str], heads: Sequence[str], inputs: Sequence[str]) -> list[Entry]:
    """List the lines of a comparison: every head on every input that it can work with.

    Inputs without planes are the same whatever the store, so they stand once, without a store.

    Raises
    ------
    HeadError
        An unknown head or input, or a head that can work with none of the inputs.
    """
    for name in inputs:
        if name not in INPUTS:
            raise HeadError(f"unknown input {name!r}; {nearest(name, INPUTS)}")
    entries: list[Entry] = []
    for head in heads:
        needs = head_class(head).needs
        fitting = [name for name in inputs if needs <= {kind for kind, _ in INPUTS[name]}]
        if not fitting:
            raise HeadError(f"the head {head} needs {' and '.join(sorted(needs))}; the inputs are {', '.join(inputs)}")
        for name in fitting:
            owners = stores if _PLANES in INPUTS[name] else [""]
            entries += [Entry(store, name, head) for store in owners]
    return list(dict.fromkeys(entries))
