"""Entries of a benchmark: combinations of a head, an input and a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.heads.registry import as_head_params, head_class, head_names, make_head
from classifiers.input_sets import SUITED, InputSet, check_stores, fits, suited_input
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features
from hsifeat.formatting import format_count


def possible_inputs(stores: Mapping[str, Features], inputs: Sequence[str]) -> tuple[str, ...]:
    """Return the input sets in `inputs` for which every store has the planes."""
    return tuple(name for name in inputs if name == SUITED or _in_all(stores, InputSet.parse(name)))


def fitting_heads(stores: Mapping[str, Features], inputs: Sequence[str]) -> list[str]:
    """Return the registered heads that can learn from at least one of the inputs.

    `SUITED` stands for the input that suits a head. A head can learn from `SUITED` if every store has the planes of this
    input, and if the head needs no neighbourhoods, whose tables are large.
    """

    def learns(head: str, name: str) -> bool:
        if name != SUITED:
            return _fits(head, name)
        suited = (_in_all({store: features}, suited_input(head, features)) for store, features in stores.items())
        return not _needs_neighbourhoods(head) and all(suited)

    return [head for head in head_names() if any(learns(head, name) for name in inputs)]


def make_entries(
    stores: Mapping[str, Features], heads: Sequence[str], inputs: Sequence[str], *, other_scenes: bool = False
) -> list[BenchEntry]:
    """List the entries of a benchmark: every head on every store, with every input that the head can learn from.

    An input that is the same for all stores, such as ``spectra``, yields one entry per head, with an empty store name. The
    name `SUITED` in `inputs` is replaced by the input that suits the head and the store. Duplicates are dropped.

    Parameters
    ----------
    stores : mapping of str to Features
        Stores to compare, by their names from `classifiers.comparison.stores.open_alternatives`.
    heads, inputs : sequence of str
        Names of heads and of inputs.
    other_scenes : bool
        Whether every split tests on other scenes than it trains on. This changes which input suits a head.

    Raises
    ------
    HeadError
        If a head or an input is unknown. If there is a head that can learn from none of the inputs.
    StoreError
        If a store lacks the planes of an input.
    """
    if not heads or not inputs:
        raise HeadError(
            f"nothing to compare: {format_count(len(heads), 'head')} on {format_count(len(inputs), 'input')}; name at least one of each"
        )
    for name in inputs:
        if name != SUITED:
            for features in stores.values():
                check_stores(InputSet.parse(name), features)
    entries: list[BenchEntry] = []
    for head in heads:
        fitting = [name for name in inputs if _fits(head, name)]
        if not fitting:
            needs = " and ".join(head_class(head).missing_kinds())
            raise HeadError(f"the head {head} needs {needs}; the inputs are {', '.join(inputs)}")
        for name in fitting:
            for store, features in stores.items():
                input_set = (
                    suited_input(head, features, other_scenes=other_scenes) if name == SUITED else InputSet.parse(name)
                )
                if name == SUITED:
                    check_stores(input_set, features)
                origin = store if _differs(input_set, stores) else ""
                entries.append(BenchEntry(store=origin, inputs=str(input_set), head=head))
    return list(dict.fromkeys(entries))


def _needs_neighbourhoods(head: str) -> bool:
    return not head_class(head).needs.isdisjoint({"patch", "spectral-patch"})


def _fits(head: str, name: str) -> bool:
    return name == SUITED or fits(InputSet.parse(name), head)


def _in_all(stores: Mapping[str, Features], inputs: InputSet) -> bool:
    try:
        for features in stores.values():
            check_stores(inputs, features)
    except StoreError:
        return False
    return True


def _differs(inputs: InputSet, stores: Mapping[str, Features]) -> bool:
    """Return whether the columns of an input differ between stores.

    Spectra are the same in all stores. Context planes differ only if there are several stores and all of them are context
    stores.
    """
    if inputs.uses_planes:
        return True
    return inputs.uses_context and len(stores) > 1 and all(features.is_context for features in stores.values())


def check_head_params(params: Mapping[str, Mapping[str, Any]], heads: Sequence[str]) -> None:
    """Check the parameters of heads before a benchmark.

    Raises
    ------
    HeadError
        If a head in `params` is not in `heads`. If a parameter is unknown or has a wrong value. If a parameter is
        ``random_state``: each run uses its seed as the random state.
    """
    for head, values in params.items():
        if head not in heads:
            raise HeadError(
                f"parameters are set for the head {head}, which is not compared; compared: {', '.join(heads)}"
            )
        if "random_state" in values:
            raise HeadError(f"random_state of the head {head} is the seed of each run: set the number of seeds instead")
        make_head(head, **as_head_params(values))
