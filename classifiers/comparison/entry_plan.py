"""Plan of the entries of a benchmark: which heads learn from which inputs, and which contrasts are tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classifiers.comparison.config import ALL_HEADS, DEFAULT_INPUTS, BenchConfig
from classifiers.comparison.contrasts import StoreOrigin, missing_contrasts, plan_contrasts
from classifiers.comparison.entries import check_head_params, fitting_heads, make_entries, possible_inputs
from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.differences import Contrast, MissingContrast
from classifiers.input_sets import InputSet
from classifiers.splits import crosses_scenes
from hsifeat.errors import StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.scene_set import single_stores


@dataclass(frozen=True)
class EntryPlan:
    """Entries of a benchmark, and the contrasts that are planned between them.

    Attributes
    ----------
    heads, inputs : tuple of str
        Names of heads and of inputs.
    params : dict of str to dict
        Maps names of heads to dicts of their parameters.
    entries : list of BenchEntry
        Every head on every input that it can learn from.
    contrasts : tuple of Contrast
        Planned contrasts.
    missing_contrasts : tuple of MissingContrast
        Planned contrasts that are impossible without a further store.
    """

    heads: tuple[str, ...]
    inputs: tuple[str, ...]
    params: dict[str, dict[str, Any]]
    entries: list[BenchEntry]
    contrasts: tuple[Contrast, ...]
    missing_contrasts: tuple[MissingContrast, ...]

    @property
    def input_sets(self) -> set[InputSet]:
        """Input sets of all entries, each once."""
        return {InputSet.parse(entry.inputs) for entry in self.entries}

    @property
    def uses_planes(self) -> bool:
        """Whether at least one entry learns from planes of a diffusion model."""
        return any(inputs.uses_planes for inputs in self.input_sets)


def plan_entries(
    stores: Mapping[str, Features],
    heads: Sequence[str],
    inputs: Sequence[str],
    params: Mapping[str, Mapping[str, Any]] | None,
    planes: Sequence[PlaneLike] | None,
    splits: Sequence[str],
) -> EntryPlan:
    """List the entries of a benchmark, and plan the contrasts between them.

    Parameters
    ----------
    stores : mapping of str to Features
        Stores to compare, by their names from `classifiers.comparison.stores.open_alternatives`.
    heads, inputs, params, planes, splits
        Arguments of `compare`.

    Raises
    ------
    HsifeatError
        If a head, parameter or input is unknown. If an input needs planes, but `planes` selects none in one of the stores.
    """
    inputs = possible_inputs(stores, inputs) if tuple(inputs) == DEFAULT_INPUTS else inputs
    heads = fitting_heads(stores, inputs) if tuple(heads) == ALL_HEADS else heads
    head_params = {} if params is None else BenchConfig.from_options({"params": params}).params or {}
    check_head_params(head_params, heads)
    entries = make_entries(stores, heads, inputs, other_scenes=all(map(crosses_scenes, splits)))
    with_planes = any(InputSet.parse(entry.inputs).uses_planes for entry in entries)
    if with_planes and not all(store.select(planes, context=False) for store in stores.values()):
        raise StoreError("no plane to learn from: select planes with `planes`, or omit the inputs that contain planes")
    origins = {
        name: StoreOrigin.of_store(single_stores(store)[0], planes) for name, store in stores.items() if with_planes
    }
    contrasts, missing = plan_contrasts(entries, origins), missing_contrasts(entries, origins)
    return EntryPlan(tuple(heads), tuple(inputs), head_params, entries, tuple(contrasts), tuple(missing))
