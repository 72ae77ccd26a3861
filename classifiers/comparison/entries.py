"""Entries of a benchmark: combinations of a head, an input and a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from classifiers.comparison.results.model import BenchEntry
from classifiers.heads.registry import head_class, head_names
from classifiers.input_sets import INPUTS, SUITED, suited_input, uses_planes
from hsifeat.errors import HeadError, suggest_names
from hsifeat.features.features import Features


def fitting_heads(inputs: Sequence[str]) -> list[str]:
    """Return the registered heads that can learn from at least one of the inputs."""
    return [head for head in head_names() if any(_fits(head, name) for name in inputs)]


def make_entries(stores: Mapping[str, Features], heads: Sequence[str], inputs: Sequence[str]) -> list[BenchEntry]:
    """List the entries of a benchmark: every head on every input that it can learn from.

    Inputs without planes do not depend on the store, so each of them yields one entry with an empty store name. `SUITED` is
    replaced by the input that suits the head and the store. Duplicates are dropped.

    Parameters
    ----------
    stores : mapping of str to Features
        Stores by name.
    heads, inputs : sequence of str
        Names of heads and of inputs.

    Raises
    ------
    HeadError
        A head or an input is unknown, or a head can learn from none of the inputs.
    """
    if not heads or not inputs:
        raise HeadError(f"nothing to compare: {len(heads)} heads on {len(inputs)} inputs; name at least one of each")
    for name in inputs:
        if name not in {*INPUTS, SUITED}:
            raise HeadError(f"unknown input {name!r}; {suggest_names(name, [*INPUTS, SUITED])}")
    entries: list[BenchEntry] = []
    for head in heads:
        fitting = [name for name in inputs if _fits(head, name)]
        if not fitting:
            needs = " and ".join(sorted(head_class(head).needs))
            raise HeadError(f"the head {head} needs {needs}; the inputs are {', '.join(inputs)}")
        for name in fitting:
            if name == SUITED:
                inputs_by_store = {store: suited_input(head, features) for store, features in stores.items()}
            else:
                inputs_by_store = dict.fromkeys(stores if uses_planes(name) else [""], name)
            entries += [
                BenchEntry(store=store, features=features, head=head) for store, features in inputs_by_store.items()
            ]
    return list(dict.fromkeys(entries))


def _fits(head: str, name: str) -> bool:
    """Return whether a head can learn from an input."""
    return name == SUITED or head_class(head).needs <= {kind for kind, _ in INPUTS.get(name, ())}
