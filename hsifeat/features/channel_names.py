"""Names of the channels of imported features, and notes on scenes whose channels have other names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hsifeat.features.features import Features


def channel_names(features: Features) -> dict[str, tuple[str, ...]]:
    """Return the names of the channels of each plane whose file or array had names, by the name of the plane."""
    named = {}
    for plane in features.planes:
        store, stored_plane = features.owner(plane)
        imported = store.store.manifest.provenance.get("imported") if store.is_imported else None
        entry = imported.get(str(stored_plane.id)) if isinstance(imported, dict) else None
        names = entry.get("channels") if isinstance(entry, dict) else None
        if isinstance(names, list) and len(names) == plane.channels:
            named[str(plane.id)] = tuple(map(str, names))
    return named


def channel_notes(
    found: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]], name: str, wanted_name: str
) -> list[str]:
    """Return a note for each plane whose channels have other names than in a reference scene.

    Parameters
    ----------
    found, wanted : mapping of str to sequence of str
        Names of the channels of each plane in a scene and in the reference scene, see `channel_names`.
    name, wanted_name : str
        Names of the scene and of the reference scene.

    Examples
    --------
    >>> channel_notes({"t0/e": ["B", "A"]}, {"t0/e": ["A", "B"]}, "b", "a")
    ["b: the channels of t0/e are taken in their order, although their names differ: 'B' is taken for 'A' of a, which has the same names in another order"]
    """
    notes = []
    for plane in sorted(found.keys() & wanted.keys()):
        pairs = [(own, other) for own, other in zip(found[plane], wanted[plane], strict=False) if own != other]
        if pairs:
            also = (
                ", which has the same names in another order" if sorted(found[plane]) == sorted(wanted[plane]) else ""
            )
            notes.append(
                f"{name}: the channels of {plane} are taken in their order, although their names differ: {pairs[0][0]!r} is taken for "
                f"{pairs[0][1]!r} of {wanted_name}{also}"
            )
    return notes


def _only_count(names: Sequence[str]) -> bool:
    """Return whether names are the numbers of the channels, from 0 or 1."""
    return any(list(names) == [str(number + first) for number in range(len(names))] for first in (0, 1))
