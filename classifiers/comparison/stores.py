"""Stores of a benchmark.

A benchmark compares alternatives. For each scene, an alternative has the columns of one store. If this store is not a
context store, the alternative also has the columns of the context stores of the scene. In all scenes, the stores of an
alternative were extracted with the same options.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath

from classifiers.input_sets import InputSet
from classifiers.layout import ColumnGroup
from classifiers.multi_scene import check_same_recipes, note_plane_facts
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.plane_facts import pairing_note
from hsifeat.features.scene_set import SceneSet, group_stores, in_order_of, single_stores
from hsifeat.features.stack import StackedFeatures, StoreLike
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.types import PlaneId


def open_alternatives(stores: StoreLike | Sequence[StoreLike] | None) -> dict[str, SceneSet]:
    """Open the stores of a benchmark, as alternatives: sets of columns that the benchmark compares.

    Each store that is not a context store gives an alternative with the columns of this store and of all context stores
    of the same scene. If all stores are context stores, each of them gives an alternative. If stores of several scenes
    have the same recipe, they give a single alternative.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them, optional
        Stores in any form that `hsifeat.open_features` accepts. [default: the store that was completed last]

    Returns
    -------
    dict of str to SceneSet
        The alternatives. The keys are unique names. An alternative of a single scene is named after the
        store that gives the alternative. An alternative of several scenes is named after its backbone.

    Raises
    ------
    StoreError
        If stores of one scene count as two scenes, see `hsifeat.features.distinct_scenes.check_distinct`. If the scenes have
        different numbers of stores. If the stores of one scene have other recipes than those of another scene.
    """
    opened = group_stores(stores)
    groups = [opened[0], *(in_order_of(opened[0], group) for group in opened[1:])]
    # For each scene, the context stores and the alternatives.
    context = [[store for store in group if store.is_context] for group in groups]
    main = [[store for store in group if not store.is_context] or group for group in groups]
    named: dict[str, SceneSet] = {}
    for index, first in enumerate(main[0]):
        features = [own[index] for own in main]
        check_same_recipes(features)
        name = first.name if len(groups) == 1 else _backbone_name(first)
        while name in named:
            name += "'"
        joined = [
            one if one.is_context or not others else StackedFeatures([one, *others])
            for one, others in zip(features, context, strict=True)
        ]
        check_same_recipes(joined)
        named[name] = SceneSet(joined)
    return named


def match_scenes(
    alternatives: Mapping[str, SceneSet],
    input_sets: Collection[InputSet],
    planes: Sequence[PlaneLike] | None,
    listen: Listener,
    *,
    sweep: bool,
) -> dict[str, SceneSet]:
    """Match the bands of the scenes of each alternative, if spectra are read, and send notes on differences of the scenes.

    Parameters
    ----------
    alternatives : mapping of str to SceneSet
        The alternatives, see `open_alternatives`.
    input_sets : collection of InputSet
        Inputs of all entries.
    planes : sequence of PlaneLike, optional
        Selected planes of models. [default: all]
    listen : callable
        Receives the notes, see `note_plane_facts`.
    sweep : bool
        Whether planes are scored separately.
    """
    matched = dict(alternatives)
    if reads_bands := any(one.uses_spectra for one in input_sets) or sweep:
        # All alternatives have the same scenes, so one set of notes is enough.
        heard = {name: silent if index else listen for index, name in enumerate(alternatives)}
        matched = {name: one.with_matched_bands(heard[name]) for name, one in alternatives.items()}
    kinds = {kind for one in input_sets for kind in ((True,) * one.uses_context + (False,) * one.uses_planes)}
    for scenes in matched.values():
        read = [
            plane for kind in kinds for plane in scenes.first.select(None if kind else planes or None, context=kind)
        ]
        note_plane_facts(scenes.scenes, {str(plane.id) for plane in read}, listen, scales=not reads_bands)
    if False in kinds:
        # Each alternative has one of the stores that differ only in their companion images.
        first, *others = zip(*(scenes.scenes for scenes in matched.values()), strict=True)
        for other in others:
            stores = [store for features in other for store in single_stores(features) if not store.is_context]
            if note := pairing_note(stores, first[0].name):
                listen(Note(note))
    return matched


def origin_of(scenes: SceneSet, groups: Sequence[ColumnGroup]) -> str:
    """Return a text that identifies the source of the columns of a table.

    The text consists of the keys of the stores whose planes are in the table. For spectra alone, the text is the digest
    of the scene. All stores of a scene have the same spectra, so runs on spectra alone are reused for all of them. For
    several scenes, the texts are joined.
    """
    return ",".join(_scene_origin(features, groups) for features in scenes.scenes)


def _scene_origin(features: Features, groups: Sequence[ColumnGroup]) -> str:
    ids = dict.fromkeys(PlaneId(g.t, g.layer) for g in groups if g.t is not None and g.layer is not None)
    keys = dict.fromkeys(features.owner(plane)[0].key for plane in (features.select([*ids]) if ids else []))
    bands = "" if features.bands is None else f" bands {features.bands}"
    return ("+".join(keys) or str(features.recipe["scene"])) + bands


def _backbone_name(features: Features) -> str:
    """Return the name of the backbone of a store, such as ``natural32`` or ``untrained:backbone``."""
    if features.is_context:
        return "context"
    source = str(features.store.manifest.provenance.get("backbone_source") or features.name)
    kind, colon, path = source.rpartition(":")
    return f"{kind}{colon}{PurePath(path).name}"
