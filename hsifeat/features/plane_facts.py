"""Facts on the values of planes that their recipes do not have, and notes on scenes whose planes differ in these facts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from hsifeat.features.features import Features
from hsifeat.features.scene_set import single_stores
from hsifeat.scenes.band_matching import COUNT, colour_name, difference_in_order


class PlaneFacts(BaseModel):
    """Facts on the values of a plane.

    Attributes
    ----------
    channels : tuple of str
        Names of the channels of imported features; empty if unknown.
    companion_channels : tuple of str
        Names of those channels of a companion image from which the plane was extracted; empty if unknown.
    integers : bool or None
        Whether imported features are integers as stored in a file, without a scale or another way to restore them; None if unknown.
    scale : float or None
        Reflectance scale of the scene from whose bands the plane was extracted; None if it was not extracted from bands.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    channels: tuple[str, ...] = ()
    companion_channels: tuple[str, ...] = ()
    integers: bool | None = None
    scale: float | None = None


def plane_facts(features: Features) -> dict[str, PlaneFacts]:
    """Return the known facts on the values of each plane, by the name of the plane. Planes without known facts are left out."""
    found = {}
    for plane in features.planes:
        store, stored_plane = features.owner(plane)
        imported, companion = (store.store.manifest.provenance.get(name) for name in ("imported", "companion"))
        if store.is_imported:
            entry = imported.get(str(stored_plane.id)) if isinstance(imported, dict) else None
            facts = _imported_facts(entry, plane.channels)
        elif "companion" in store.recipe:
            facts = _companion_facts(companion)
        else:
            facts = PlaneFacts(scale=store.store.manifest.scene.scale)
        if facts != PlaneFacts():
            found[str(plane.id)] = facts
    return found


def _imported_facts(entry: Any, channels: int) -> PlaneFacts:
    """Return the facts in the provenance of an imported plane. Whatever is damaged counts as unknown."""
    if not isinstance(entry, dict):
        return PlaneFacts()
    names, values, dtype = (entry.get(name) for name in ("channels", "values", "dtype"))
    channel_names = tuple(map(str, names)) if isinstance(names, list) and len(names) == channels else ()
    try:
        integers = None if values is None else values == "as stored" and np.dtype(dtype).kind in "iu"
    except (TypeError, ValueError):
        integers = None
    return PlaneFacts(channels=channel_names, integers=integers)


def _companion_facts(companion: Any) -> PlaneFacts:
    names = companion.get("channels") if isinstance(companion, dict) else None
    return PlaneFacts(companion_channels=tuple(map(str, names)) if isinstance(names, list) else ())


def plane_notes(
    features: Features,
    planes: Collection[str],
    wanted: Mapping[str, PlaneFacts],
    wanted_name: str,
    *,
    scales: bool,
) -> list[str]:
    """Return notes on planes of a scene that may have another meaning than in a reference scene, see `facts_notes` and `pairing_note`.

    Parameters
    ----------
    features : Features
        Features of the scene.
    planes : collection of str
        Names of the planes that are read.
    wanted : mapping of str to PlaneFacts
        Facts on the planes of the reference scene, see `plane_facts`.
    wanted_name : str
        Name of the reference scene.
    scales : bool
        Whether reflectance scales are compared.
    """
    found = {plane: facts for plane, facts in plane_facts(features).items() if plane in planes}
    pairing = pairing_note(stores_of(features, planes), wanted_name)
    return [*facts_notes(found, wanted, features.name, wanted_name, scales=scales), *filter(None, [pairing])]


def facts_notes(
    found: Mapping[str, PlaneFacts],
    wanted: Mapping[str, PlaneFacts],
    name: str,
    wanted_name: str,
    *,
    scales: bool = True,
) -> list[str]:
    """Return notes on the planes of a scene whose values have another meaning than in a reference scene.

    There is a note if channels have other names, if features are integers as stored in one scene and restored in the other, and if
    scenes from whose bands the planes were extracted have different reflectance scales.

    Parameters
    ----------
    found, wanted : mapping of str to PlaneFacts
        Facts on the planes of a scene and of the reference scene, see `plane_facts`. Planes of only one scene are not compared.
    name, wanted_name : str
        Names of the scene and of the reference scene.
    scales : bool
        Whether reflectance scales are compared. False if they have been compared with the bands.

    Examples
    --------
    >>> a, b = ({"t0/e": PlaneFacts(channels=names)} for names in (("A", "B"), ("B", "A")))
    >>> facts_notes(b, a, "b", "a")
    ["b: the channels of t0/e are taken in their order, although their names differ: 'B' is taken for 'A' of a, which has the same names in another order"]
    """
    notes = []
    for plane in sorted(found.keys() & wanted.keys()):
        one, other = found[plane], wanted[plane]
        for what, own_names, names in (
            (plane, one.channels, other.channels),
            ("its companion image", one.companion_channels, other.companion_channels),
        ):
            if difference := _difference(own_names, names, wanted_name):
                notes.append(
                    f"{name}: the channels of {what} are taken in their order, although their names differ: {difference}"
                )
        if None not in {one.integers, other.integers} and one.integers != other.integers:
            raw, rest = (name, wanted_name) if one.integers else (wanted_name, name)
            notes.append(
                f"{name}: the values of {plane} are integers as stored in {raw}, but not in {rest}: if they are quantised, import both with the "
                "same `dequantise`"
            )
        if scales and None not in {one.scale, other.scale} and one.scale != other.scale:
            notes.append(
                f"{name}: its planes were extracted from values with the reflectance scale {one.scale:g}, and those of {wanted_name} with {other.scale:g} "
                "(1 also stands for an unknown scale); values are not rescaled, so a model of one scene is wrong on the other if their units differ"
            )
    return list(dict.fromkeys(notes))


def _difference(names: Sequence[str], wanted: Sequence[str], wanted_name: str) -> str:
    """Say where names of channels differ; see `difference_in_order`. Names that only count are not compared with others."""
    numbers, wanted_numbers = (_numbers(texts) for texts in (names, wanted))
    if (numbers == wanted_numbers and numbers) or bool(numbers) != bool(wanted_numbers):
        return ""
    differing = [
        (own, other) for own, other in zip(names, wanted, strict=False) if colour_name(own) != colour_name(other)
    ]
    return difference_in_order([own for own, _ in differing], [other for _, other in differing], wanted_name)


def _numbers(names: Sequence[str]) -> list[int]:
    """Return the numbers of names that only count, from 0. Empty if the names do not only count."""
    found = [int(match[1]) for match in map(COUNT.fullmatch, names) if match]
    return [number - min(found) for number in found] if len(found) == len(names) else []


def reordered_note(features: Features, planes: Collection[str]) -> str:
    """Return a note if all bands of a scene are read in another order than its planes were extracted from; else an empty text.

    Planes with equal projections were extracted from bands in equal order, unless wavelengths were changed since then, or were unknown
    to the projection.

    Parameters
    ----------
    features : Features
        Features of a scene, with all bands of a reference scene in their order.
    planes : collection of str
        Names of the planes that are read.
    """
    recipes = [store.recipe for store in stores_of(features, planes)]
    if not any("projection" in recipe and "companion" not in recipe for recipe in recipes):
        return ""
    bands = single_stores(features)[0].bands
    count = single_stores(features)[0].store.manifest.scene.bands
    if bands is None or len(bands) != count or list(bands) == list(range(count)):
        return ""
    return (
        f"{features.name}: by their wavelengths, its bands have another order than those from which its planes were extracted: wavelengths were "
        "changed since then, or its projection has none; extract its scene with `like` a store with the right wavelengths, and fit models anew"
    )


def stores_of(features: Features, planes: Collection[str]) -> list[Features]:
    """Return the stores of the planes with the given names, in the order of the stack."""
    owners = {id(features.owner(plane)[0]) for plane in features.planes if str(plane.id) in planes}
    return [store for store in single_stores(features) if id(store) in owners]


def pairing_note(stores: Sequence[Features], wanted_name: str) -> str:
    """Return a note if stores of a scene differ only in their companion images, so that nothing but their order pairs them with others.

    Parameters
    ----------
    stores : sequence of Features
        The stores of the scene that are read.
    wanted_name : str
        Name of the scene with whose stores they are paired.
    """
    options = [store.options if "companion" in store.recipe else None for store in stores]
    alike = [
        str(one.store.location) for one, own in zip(stores, options, strict=True) if own and options.count(own) > 1
    ]
    if not alike:
        return ""
    return f"{', '.join(alike)} differ only in their companion images: they are paired with the stores of {wanted_name} in the given order"


def facts_of_json(values: Any) -> dict[str, PlaneFacts]:
    """Convert the facts in a saved model, as JSON values by the name of the plane.

    Raises
    ------
    ValueError
        If a value has another type than a `PlaneFacts`.
    """
    if not isinstance(values, dict):
        raise ValueError("the facts on planes are no object")  # noqa: TRY004  # the content of a file
    try:
        return {str(plane): PlaneFacts.model_validate(facts, strict=False) for plane, facts in values.items()}
    except ValidationError as error:
        raise ValueError(f"the facts on planes are damaged: {error.errors()[0]['msg']}") from error
