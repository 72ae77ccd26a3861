"""The lines of a comparison: which heads are run on which inputs of which stores."""

from __future__ import annotations

from collections.abc import Sequence

from classifiers.comparison.runs import Entry
from classifiers.heads.registry import head_class, head_names
from classifiers.inputs import INPUTS, has_planes
from hsifeat.errors import HeadError, nearest


def fitting_heads(inputs: Sequence[str]) -> list[str]:
    """Return the registered heads that can work with at least one of the inputs."""
    kinds = [{kind for kind, _ in INPUTS.get(name, ())} for name in inputs]
    return [head for head in head_names() if any(head_class(head).needs <= some for some in kinds)]


def make_entries(stores: Sequence[str], heads: Sequence[str], inputs: Sequence[str]) -> list[Entry]:
    """List the lines of a comparison: every head on every input that it can work with.

    Inputs without planes are the same whatever the store, so they stand once, without a store.

    Raises
    ------
    HeadError
        An unknown head or input, or a head that can work with none of the inputs.
    """
    if not heads or not inputs:
        raise HeadError(f"nothing to compare: {len(heads)} heads on {len(inputs)} inputs")
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
            owners = stores if has_planes(name) else [""]
            entries += [Entry(store, name, head) for store in owners]
    return list(dict.fromkeys(entries))
