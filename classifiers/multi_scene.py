"""The label maps of several scenes as one array, and a check that the planes of several scenes are comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from classifiers.recipe_text import difference_text
from classifiers.smoothing import SmoothingRule, parse_scene_smoothing
from classifiers.splits import merge_official_maps
from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.features.plane_facts import plane_facts, plane_notes, reordered_note
from hsifeat.features.scene_set import SceneSet, single_stores
from hsifeat.formatting import format_count
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes import Labels
from hsifeat.scenes.colours import unused_colour
from hsifeat.scenes.label_map import ScenePart
from hsifeat.types import LARGEST_CLASS, Window

# Unlabelled rows between the label maps of two scenes, more than the buffer of any split. Scenes are therefore independent.
GAP_PX = 1024


def note_plane_facts(scenes: Sequence[Features], planes: Collection[str], listen: Listener, *, scales: bool) -> None:
    """Send notes on planes whose values have another meaning than in an earlier scene; see `facts_notes`.

    Parameters
    ----------
    scenes : sequence of Features
        The scenes.
    planes : collection of str
        Names of the planes that are compared.
    listen : callable
        Receives the notes.
    scales : bool
        Whether reflectance scales are compared. False if they have been compared with the bands.
    """
    first, *others = scenes
    wanted, origin = plane_facts(first), first.name
    for one in others:
        reordered = "" if first.bands is not None else reordered_note(one, planes)
        for note in filter(None, (*plane_notes(one, planes, wanted, origin, scales=scales), reordered)):
            listen(Note(note))
        wanted = {**plane_facts(one), **wanted}


def check_same_recipes(scenes: Sequence[Features]) -> None:
    """Raise `StoreError` if the recipe of a scene's planes differs from the recipe of the first scene's planes."""
    first = scenes[0]
    for other in scenes[1:]:
        if differences := other.differences(first.recipe):
            fields = difference_text(differences, f"in {other.name}", f"in {first.name}")
            stores = " or ".join(f"`like={str(store.store.location)!r}`" for store in single_stores(first))
            raise StoreError(
                f"the planes of {other.name} have another recipe than those of {first.name}: {fields}; extract all scenes in one "
                f"call with `shared_projection=True`, or each with {stores}"
            )


def select_scene_labels(
    scenes: SceneSet,
    labels: str | Labels | None = None,
    background_class: int | None = None,
    *,
    listen: Listener = silent,
) -> list[Labels]:
    """Return one label map per scene. Invalid pixels are unlabelled.

    Parameters
    ----------
    scenes : SceneSet
        The scenes.
    labels : str or Labels, optional
        Name of a label map in the stores, or a label map. For several scenes, the label map must be a result of
        `merge_label_maps`. [default: see `select_labels`]
    background_class : int, optional
        Class number to give to the pixels that are 0 in the label map. [default: 0 means unlabelled]
    listen : callable
        Receives a note on the number of these pixels.

    Raises
    ------
    HsifeatError
        If a scene lacks the label map. If no pixel of any scene is labelled. If there are several scenes, and `labels` is the
        label map of one scene, or of the scenes in another order. If `labels` has another georeference than a scene.
    """
    if isinstance(labels, Labels):
        _check_scenes(labels, scenes)
    maps = []
    for index, features in enumerate(scenes.scenes):
        one = _part(labels, index) if isinstance(labels, Labels) else _named_labels(features, labels, scenes)
        if background_class is not None:
            one = one.with_background(background_class)
        valid = features.valid_labels(one)
        maps.append(replace(valid, georeference=valid.georeference or features.georeference))
    if background_class is not None:
        count = sum(one.counts.get(background_class, 0) for one in maps)
        listen(
            Note(
                f"{format_count(count, 'pixel')} that are 0 in the labels {maps[0].name!r} have the class {background_class}: pixels without a "
                "value in the label file (no data, outside of it, in no polygon, or with several classes) are 0, too; to leave them out, "
                "add 1 to all classes of the file instead"
            )
        )
    if not any(one.counts for one in maps):
        raise StoreError(f"the labels {maps[0].name!r} have no labelled pixel with data: choose another label map")
    return maps


def _named_labels(features: Features, name: str | None, scenes: SceneSet) -> Labels:
    try:
        return select_labels(features, name)
    except StoreError as error:
        if len(scenes) == 1:
            raise
        raise StoreError(
            f"{error}; or leave the stores of {features.scene.name} out, and map it with hsifeat predict afterwards"
        ) from error


def _check_scenes(labels: Labels, scenes: SceneSet) -> None:
    if len(labels.windows) != len(scenes):
        raise StoreError(f"{len(scenes)} scenes can't share one label map: give the name of a map that each store has")
    for index, part in enumerate(labels.parts):
        # Two scenes can share a name, but not all names of their stores.
        common = [len({*part.names} & {*names}) for names in scenes.aliases]
        if common[index] < max(common):
            raise StoreError(
                f"the labels {labels.name!r} have the scenes {', '.join(one.names[0] for one in labels.parts)}, but the stores have "
                f"{', '.join(scenes.scene_names)}: give the stores in the order of the labels"
            )


def _part(labels: Labels, index: int) -> Labels:
    if not labels.parts:
        return labels
    part = labels.parts[index]
    return replace(labels, classes=labels.classes[part.window.slices], parts=(), georeference=part.georeference)


def select_labels(features: Features, name: str | None = None) -> Labels:
    """Return a label map of a store.

    Parameters
    ----------
    features : Features
        Store of cached features.
    name : str, optional
        Name of the map. [default: the only map of the store; if the store has only the maps ``train`` and ``test``,
        both maps merged]

    Returns
    -------
    Labels
        The label map, on the grid of the scene.

    Raises
    ------
    HsifeatError
        If the store has no map of this name. If `name` is None, but the store has neither a single map nor just the maps
        ``train`` and ``test``. If ``train`` and ``test`` are merged and a pixel is labelled in both.
    """
    official = merge_official_maps(features.label_maps) if name is None else None
    return features.labels(name) if official is None else official


def scene_row_offsets(labels: Sequence[Labels]) -> list[int]:
    """Return the first row of each label map on a grid that stacks all maps vertically."""
    heights = [one.classes.shape[0] + GAP_PX for one in labels[:-1]]
    offsets: list[int] = np.cumsum([0, *heights]).tolist()
    return offsets


def common_class_numbers(labels: Sequence[Labels]) -> dict[str, int]:
    """Return the number that each class name has in the merged label map.

    Names are numbered scene by scene. A name keeps the number that it has in the first scene with this name, if no earlier
    name has this number. Otherwise, the name gets a new number, which is higher than all numbers in the maps.

    Raises
    ------
    StoreError
        If a scene shares a class number, but no class name, with the earlier scenes. If two classes of a scene have the
        same name. If a new number is above the largest class number.
    """
    for one in labels:
        repeated = [name for name, times in Counter(one.class_names.values()).items() if times > 1]
        if repeated:
            same = ", ".join(str(number) for number, name in one.class_names.items() if name == repeated[0])
            raise StoreError(
                f"the classes {same} of the labels {one.name!r} are all named {repeated[0]!r}: classes of several scenes are "
                "matched by name; give them different names, or one number"
            )
    numbers = {name: number for number, name in labels[0].class_names.items()}
    highest = max(number for one in labels for number in one.class_names)
    for other in labels[1:]:
        names = list(other.class_names.values())
        # Maps without common names and numbers may show different classes of one legend.
        if not numbers.keys() & set(names) and set(numbers.values()) & set(other.class_names):
            raise StoreError(
                f"no class of the labels {other.name!r} ({', '.join(names[:4])}) has the name of a class of "
                f"{labels[0].name!r} ({', '.join(list(numbers)[:4])}): classes of several scenes are matched by name; "
                "rename the classes of one"
            )
        for number, name in other.class_names.items():
            if name not in numbers:
                taken = set(numbers.values())
                numbers[name] = number if number not in taken else max(highest, *taken) + 1
    if max(numbers.values()) > LARGEST_CLASS:
        raise StoreError(
            f"a class needs a new number, because its number has another name in an earlier scene, but none above {LARGEST_CLASS} is "
            "allowed: give the classes lower numbers"
        )
    return numbers


def merge_label_maps(
    labels: Sequence[Labels],
    row_offsets: Sequence[int],
    numbers: dict[str, int],
    names: Sequence[tuple[str, ...]] | None = None,
) -> Labels:
    """Merge label maps into one map, in which the scenes are stacked vertically.

    Parameters
    ----------
    labels : sequence of Labels
        One map for each scene.
    row_offsets : sequence of int
        First row of each map, see `scene_row_offsets`.
    numbers : dict of str to int
        Number of each class name, see `common_class_numbers`.
    names : sequence of tuple of str, optional
        Names by which a split can select each scene, see `SceneSet.aliases`. [default: ``scene 1``, ``scene 2`` and so
        on]

    Returns
    -------
    Labels
        The merged map, with the name of the first map. Rows between the scenes are unlabelled. A class that keeps its number has
        the colour of the first map in which it has this number. A class with a new number has an unused default colour.
    """
    height = row_offsets[-1] + labels[-1].classes.shape[0]
    merged = np.zeros((height, max(one.classes.shape[1] for one in labels)), np.int32)
    colours: dict[int, str] = {}
    parts = []
    for index, (one, row) in enumerate(zip(labels, row_offsets, strict=True)):
        window = Window(row, 0, *one.classes.shape)
        part = merged[window.slices]
        for number, name in one.class_names.items():
            common = numbers.get(name, number)
            part[one.classes == number] = common
            if common == number:
                colours.setdefault(common, one.class_colours[number])
        own_names = (f"scene {index + 1}",) if names is None else names[index]
        parts.append(ScenePart(own_names, window, one.georeference))
    class_names = {number: name for name, number in numbers.items()}
    # Default colours belong to numbers, so a class with a new number would have the colour of another class.
    for number in class_names.keys() - colours.keys():
        colours[number] = unused_colour(number, colours.values())
    return Labels(labels[0].name, merged, class_names, colours, parts=tuple(parts))


def join_label_maps(labels: Sequence[Labels], names: Sequence[tuple[str, ...]]) -> Labels:
    """Merge label maps of several scenes by `merge_label_maps`. The label map of a single scene is returned unchanged."""
    if len(labels) == 1:
        return labels[0]
    return merge_label_maps(labels, scene_row_offsets(labels), common_class_numbers(labels), names)


def check_classes(labels: Labels, remedy: str) -> None:
    """Raise `StoreError` if a label map has only one class.

    The error message ends with `remedy`, which says what to do if the pixels that are 0 in the map are a class.
    """
    if len(labels.counts) == 1:
        (name,) = labels.class_names.values()
        raise StoreError(
            f"the labels {labels.name!r} hold one class, {name!r}, because 0 means unlabelled: if the pixels of 0 are a class, {remedy}"
        )


def smoothing_of_scenes(smooth: str | None, scenes: SceneSet, classes: int) -> SmoothingRule | None:
    """Return the rule that smooths the maps of scenes, and check that the smoothing of each scene fits in memory.

    For parameters and errors, see `parse_scene_smoothing`.
    """
    rule = None
    for features in scenes.scenes:
        rule = parse_scene_smoothing(smooth, features.shape[:2], classes)
    return rule


def common_label_maps(scenes: SceneSet) -> Mapping[str, Labels]:
    """Return the label maps whose names occur in all scenes. Maps with the same name are merged into one map."""
    maps = [features.label_maps for features in scenes.scenes]
    if len(maps) == 1:
        return maps[0]
    names = sorted(set.intersection(*map(set, maps)))
    return {name: join_label_maps([one[name] for one in maps], scenes.aliases) for name in names}
