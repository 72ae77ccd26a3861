"""Planned contrasts of a benchmark: comparisons that are declared before the first run.

A planned contrast compares the scores of one head on two input sets, or on the same input set of two stores. Every head
that can learn from both sides is tested. The report shows planned contrasts first. Their p-values are corrected only for
the number of planned contrasts under the same split. All other comparisons of entries are exploratory.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from classifiers.comparison.results.base_records import BenchEntry
from classifiers.comparison.results.differences import Contrast, MissingContrast
from classifiers.input_sets import InputSet
from hsifeat.features.features import Features

# Names of backbones in user input. This package may not import hsifeat.backbones, which also defines them.
_UNTRAINED, _CONTEXT = "untrained:", "context"


@dataclass(frozen=True)
class StoreOrigin:
    """Origin of the planes of a store that is not a context store.

    Attributes
    ----------
    path : str
        Location of the store.
    source : str
        Name or path of the backbone; empty if unknown.
    recipe : dict
        Recipe of the store.
    planes : frozenset of str
        Names of the planes that heads learn from.
    scene : str
        Argument of ``hsifeat extract`` that names the scene.
    """

    path: str
    source: str
    recipe: dict[str, object]
    planes: frozenset[str]
    scene: str

    @classmethod
    def of_store(cls, features: Features, planes: Sequence[object] | None = None) -> StoreOrigin:
        """Return the origin of a store.

        `planes` selects the planes that heads learn from, see `Features.select`.
        """
        path = str(features.store.location)
        return cls(
            path=path,
            source=str(features.store.manifest.provenance.get("backbone_source") or ""),
            recipe=features.recipe,
            planes=frozenset(str(plane.id) for plane in features.select(planes)),  # type: ignore[arg-type]
            # A store in memory can't be read by another process.
            scene=features.scene.name if path.startswith("memory:") else f"{path}/scene",
        )

    @property
    def is_untrained(self) -> bool:
        """Whether the backbone has random weights."""
        return self.source.startswith(_UNTRAINED)

    def is_twin(self, other: StoreOrigin) -> bool:
        """Return whether `other` is the untrained twin of this store.

        A twin has planes of the same timesteps and layers, from a network of the same architecture with random weights.
        """
        same = self.source == other.source.removeprefix(_UNTRAINED) or "architecture" in _part(self.recipe, "backbone")
        options, other_options = _without_weights(self.recipe), _without_weights(other.recipe)
        return (
            same
            and other.is_untrained
            and not self.is_untrained
            and options == other_options
            and self.planes == other.planes
        )


def plan_contrasts(entries: Sequence[BenchEntry], origins: Mapping[str, StoreOrigin]) -> tuple[Contrast, ...]:
    """List the planned contrasts of a benchmark.

    The first input of a contrast has planes of a trained network. The second input depends on `Contrast.question`:

    - ``training``: the same input, with planes of an untrained network of the same architecture;
    - ``planes``: the input in which context features replace the planes;
    - ``added``: for an input with planes and context features, the same input without the planes.

    Parameters
    ----------
    entries : sequence of BenchEntry
        Entries to run.
    origins : mapping of str to StoreOrigin
        Origin of the planes of each store. The keys are names of stores.

    Returns
    -------
    tuple of Contrast
        Contrasts for which a head has entries with both inputs. A contrast has one pair of entries for each such head.
    """
    groups: dict[tuple[str, str, str], list[tuple[BenchEntry, BenchEntry]]] = {}
    for entry in entries:
        for question, rival in _rivals(entry, entries, origins):
            groups.setdefault((question, entry.columns, rival.columns), []).append((entry, rival))
    return tuple(Contrast(question=question, pairs=tuple(pairs)) for (question, _, _), pairs in groups.items())  # type: ignore[arg-type]


def missing_contrasts(entries: Sequence[BenchEntry], origins: Mapping[str, StoreOrigin]) -> tuple[MissingContrast, ...]:
    """List the planned contrasts that are impossible because a store is missing.

    The missing store is a context store, or a store of an untrained network. Each `MissingContrast` contains the command
    that extracts the missing store.
    """
    used = {entry.store: origins[entry.store] for entry in entries if entry.store in origins}
    networks = {name: origin for name, origin in used.items() if not origin.is_untrained}
    missing = []
    for name, origin in networks.items():
        if origin.source and not any(origin.is_twin(other) for other in used.values()):
            words = [origin.scene, "--like", origin.path, "--backbone", f"{_UNTRAINED}{origin.source}"]
            missing.append(_missing("training", name, words, f"{origin.path.removesuffix('.zarr')}-untrained.zarr"))
    with_context = any(InputSet.parse(entry.inputs).uses_context for entry in entries)
    if networks and not with_context:
        name, origin = next(iter(networks.items()))
        words = [origin.scene, "--backbone", _CONTEXT]
        missing.append(_missing("planes", name, words, f"{origin.path.removesuffix('.zarr')}-context.zarr"))
    return tuple(missing)


def _rivals(
    entry: BenchEntry, entries: Sequence[BenchEntry], origins: Mapping[str, StoreOrigin]
) -> Iterator[tuple[str, BenchEntry]]:
    """Yield the entries that planned contrasts compare with `entry`.

    Each item is a pair: `Contrast.question`, such as ``training``, and the other entry.
    """
    origin, inputs = origins.get(entry.store), InputSet.parse(entry.inputs)
    if origin is None or origin.is_untrained or not inputs.uses_planes:
        return
    rival = inputs.with_context_for_planes()
    for other in entries:
        if other.head != entry.head or other == entry:
            continue
        if other.inputs == entry.inputs and other.store in origins and origin.is_twin(origins[other.store]):
            yield "training", other
        elif InputSet.parse(other.inputs) == rival:
            yield "added" if inputs.uses_context else "planes", other


def _missing(question: str, store: str, words: Sequence[str], out: str) -> MissingContrast:
    return MissingContrast(
        question=question,  # type: ignore[arg-type]
        store=store,
        command=shlex.join(["hsifeat", "extract", *words, "--out", out]),
    )


def _without_weights(recipe: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of a recipe without the weights of the backbone and the seed of the noise.

    Stores of a trained and of an untrained network are comparable if their recipes differ in these fields only.
    """
    backbone, noise = _part(recipe, "backbone"), _part(recipe, "noise")
    return {
        **recipe,
        "backbone": {name: value for name, value in backbone.items() if name != "weights"},
        "noise": {name: value for name, value in noise.items() if name != "seed"},
    }


def _part(recipe: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = recipe.get(name)
    return part if isinstance(part, Mapping) else {}
