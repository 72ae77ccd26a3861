"""The lines of a comparison: which heads are run on which inputs of which stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from classifiers.comparison.results.run import Entry
from classifiers.feature_sets import INPUTS, SUITED, suited_input, uses_planes
from classifiers.heads.registry import head_class, head_names
from hsifeat.errors import HeadError, suggest_names
from hsifeat.features.features import Features


def fitting_heads(inputs: Sequence[str]) -> list[str]:
    """Return the registered heads that can work with at least one of the inputs."""
    return [head for head in head_names() if any(_fits(head, name) for name in inputs)]


def make_entries(stores: Mapping[str, Features], heads: Sequence[str], inputs: Sequence[str]) -> list[Entry]:
    """List the lines of a comparison: every head on every input that it can work with.

    Inputs without planes are the same whatever the store, so they stand once, without a store. `SUITED` is the input that
    suits a head and a store, unless it stands there already.

    Raises
    ------
    HeadError
        An unknown head or input, or a head that can work with none of the inputs.
    """
    if not heads or not inputs:
        raise HeadError(f"nothing to compare: {len(heads)} heads on {len(inputs)} inputs")
    for name in inputs:
        if name not in {*INPUTS, SUITED}:
            raise HeadError(f"unknown input {name!r}; {suggest_names(name, [*INPUTS, SUITED])}")
    entries: list[Entry] = []
    for head in heads:
        fitting = [name for name in inputs if _fits(head, name)]
        if not fitting:
            needs = " and ".join(sorted(head_class(head).needs))
            raise HeadError(f"the head {head} needs {needs}; the inputs are {', '.join(inputs)}")
        for name in fitting:
            if name == SUITED:
                entries += [Entry(store, suited_input(head, features), head) for store, features in stores.items()]
            else:
                entries += [Entry(store, name, head) for store in (stores if uses_planes(name) else [""])]
    return list(dict.fromkeys(entries))


def _fits(head: str, name: str) -> bool:
    """Tell whether a head can work with an input."""
    return name == SUITED or head_class(head).needs <= {kind for kind, _ in INPUTS.get(name, ())}
