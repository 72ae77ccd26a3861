"""Match the bands of two scenes by their centre wavelengths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import list_some

BAND_TOLERANCE_NM = 5.0
"""Largest distance, in nm, between the centre wavelengths of two bands that are taken as the same band."""

_MAX_LISTED = 4
_NUMBERED = re.compile(r"band \d+ of the file")
COUNT = re.compile(r"(?:(?:band|channel|layer)[ _]*)?(\d+)(?:\.0*)?", re.IGNORECASE)
"""Name of a band or channel that only counts, such as ``Band 1``. The group is the number."""


class _NamedBands(Protocol):
    """The attributes of a `Scene` that name its bands."""

    @property
    def band_names(self) -> Sequence[str]: ...
    @property
    def band_numbers(self) -> Sequence[int]: ...


class _Scene(_NamedBands, Protocol):
    """The attributes of a `Scene` that describe its bands."""

    @property
    def bands(self) -> int: ...
    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None: ...
    @property
    def scale(self) -> float: ...


@dataclass(frozen=True, eq=False)
class SceneBands:
    """The bands of a scene, as far as they are known.

    Attributes
    ----------
    scene_name : str
        Name of the scene, for messages.
    count : int
        Number of bands.
    wavelengths_nm : (count,) float64 array or None
        Centre wavelengths in nm, in any order; None if unknown.
    names : tuple of str
        Name of each band, see `names_of_bands`; empty if unknown.
    scale : float or None
        Stored value that means a reflectance of 1, as in a `Scene`; None if scales are not compared.
    """

    scene_name: str
    count: int
    wavelengths_nm: NDArray[np.float64] | None = None
    names: tuple[str, ...] = ()
    scale: float | None = None

    def __post_init__(self) -> None:
        if len(self.names) not in {0, self.count}:
            raise SceneError(
                f"{self.scene_name}: {len(self.names)} band_names for {self.count} bands: give one per band"
            )
        if self.scale is not None and not isinstance(self.scale, int | float | np.number):
            raise SceneError(f"{self.scene_name}: scale must be a number; found {self.scale!r:.60}")

    @classmethod
    def of(cls, scene: _Scene, name: str) -> SceneBands:
        """Return the bands of a scene, which messages call `name`."""
        return cls(name, scene.bands, scene.wavelengths_nm, names_of_bands(scene), scene.scale)


def names_of_bands(scene: _NamedBands) -> tuple[str, ...]:
    """Return the names of the bands of a scene, for notes on their order.

    If bands without names were selected from those of their file, the texts ``band 4 of the file`` and so on, counted from 0. Empty if neither
    is known.
    """
    return tuple(scene.band_names) or tuple(f"band {number} of the file" for number in scene.band_numbers)


def match_bands(wanted: SceneBands, found: SceneBands) -> NDArray[np.intp] | None:
    """Find, for each band of a reference scene, the band of another scene with the nearest centre wavelength.

    If the wavelengths of a scene are unknown, the bands are taken in their order. Names do not select bands, because they are not unique
    among sensors, and can be corrected after features have been computed; `matching_notes` says where they differ.

    Several bands of a scene can have equal wavelengths, for example where two detectors overlap. If both scenes have
    the same number of bands at such a wavelength, these bands are paired. If the scenes list all their bands in opposite
    orders, for example by ascending and by descending wavelength, the first of these bands in one scene is paired with
    the last in the other. Otherwise, the first is paired with the first, and the second with the second.
    `matching_notes` names the wavelengths at which the pairs are uncertain.

    Parameters
    ----------
    wanted, found : SceneBands
        Bands of the reference scene and of the other scene.

    Returns
    -------
    (wanted.count,) intp array or None
        For each band of the reference scene, the index of the matching band of the other scene. None if the indices would
        be 0, 1, …, ``found.count`` - 1, so that no selection is needed.

    Raises
    ------
    SceneError
        If a band of the reference scene is more than `BAND_TOLERANCE_NM` from every band of the other scene. If the scenes
        have different numbers of bands, and the wavelengths of a scene are unknown.

    Examples
    --------
    >>> wanted = SceneBands("a", 2, np.array([500.0, 600.0]))
    >>> match_bands(wanted, SceneBands("b", 3, np.array([601.0, 550.0, 499.0])))
    array([2, 0])
    """
    (name, nm), (wanted_name, wanted_nm) = ((one.scene_name, one.wavelengths_nm) for one in (found, wanted))
    if wanted_nm is None or nm is None:
        if found.count == wanted.count:
            return None
        unknown = wanted_name if wanted_nm is None else name
        raise SceneError(
            f"{name} has {found.count} bands and {wanted_name} has {wanted.count}, and the wavelengths of {unknown} are unknown, so that "
            "their bands can't be matched: open both scenes with wavelengths, or leave out bands with `bad_bands`"
        )
    if _are_nearest_at_their_positions(wanted_nm, nm):
        return None
    distances = np.abs(np.subtract.outer(wanted_nm, nm))
    apart = distances.min(axis=1)
    if apart.max() > BAND_TOLERANCE_NM:
        far, back = int(apart.argmax()), distances.min(axis=0)
        raise SceneError(
            f"{name} ({_describe(nm)}) has no band within {BAND_TOLERANCE_NM:g} nm of {np.count_nonzero(apart > BAND_TOLERANCE_NM)} of "
            f"the bands of {wanted_name} ({_describe(wanted_nm)}): the band of {wanted_name} at {wanted_nm[far]:.1f} nm is "
            f"{apart[far]:.2f} nm from the nearest band of {name}, and the band of {name} at {nm[back.argmax()]:.1f} nm is "
            f"{back.max():.2f} nm from the nearest band of {wanted_name}; take scenes of similar sensors, or leave out bands of "
            f"{wanted_name} with `bad_bands`"
        )
    nearest = _pair_equal_bands(wanted_nm, nm)[0]
    return None if np.array_equal(nearest, np.arange(found.count)) else nearest


def matching_notes(wanted: SceneBands, found: SceneBands) -> tuple[str, ...]:
    """Return notes on the bands that `match_bands` may pair wrongly, and on different reflectance scales.

    There is a note on each of these cases:

    - Bands are paired in their order, although the names of both scenes are known and differ, or other bands of their files were
      left out or reordered, or the wavelengths of one scene are known.
    - Several bands of a scene have equal wavelengths, and the scenes have different numbers of bands at this
      wavelength.
    - Several bands of a scene have equal wavelengths, and the other bands do not show whether both scenes list their bands
      in the same order.
    - Several bands of the reference scene have the same nearest band of the other scene.
    - The scenes have different reflectance scales.

    Parameters
    ----------
    wanted, found : SceneBands
        Bands of the reference scene and of the other scene.

    Examples
    --------
    >>> matching_notes(SceneBands("b", 2, np.array([500.0, 500.1])), SceneBands("a", 2, np.array([501.0, 600.0])))
    ('a: one band is the nearest to several bands of b, whose values are therefore equal: 501 nm for 500, 500.1 nm',)
    """
    (name, nm), (wanted_name, wanted_nm) = ((one.scene_name, one.wavelengths_nm) for one in (found, wanted))
    notes = _scale_notes(wanted, found)
    if wanted_nm is None or nm is None:
        return (*notes, *_order_notes(wanted, found))
    if _are_nearest_at_their_positions(wanted_nm, nm):
        return tuple(notes)
    nearest, ambiguous = _pair_equal_bands(wanted_nm, nm)
    if ambiguous:
        listed = list_some(f"{centre:g}" for centre in ambiguous)
        notes.append(
            f"{name}: bands with equal wavelengths ({listed} nm) can't be told apart, so they may be paired wrongly with the bands of "
            f"{wanted_name}; leave them out with `bad_bands` if they differ"
        )
    bands, counts = np.unique(nearest[~np.isin(nm[nearest], ambiguous)], return_counts=True)
    if len(shared := bands[counts > 1]):
        pairs = (f"{nm[band]:g} nm for {_list_nm(wanted_nm[nearest == band])} nm" for band in shared)
        which = "one band is" if len(shared) == 1 else f"{len(shared)} bands are each"
        notes.append(
            f"{name}: {which} the nearest to several bands of {wanted_name}, whose values are therefore equal: "
            f"{'; '.join(list(pairs)[:_MAX_LISTED])}{' …' if len(shared) > _MAX_LISTED else ''}"
        )
    return tuple(notes)


def _are_nearest_at_their_positions(wanted_nm: NDArray[np.float64], nm: NDArray[np.float64]) -> bool:
    """Return whether each band is within the tolerance, and none is nearer to the wanted band at its position.

    So it is in a scene whose bands have been matched. False if wanted bands have equal wavelengths that the other scene has not.
    """
    if np.array_equal(wanted_nm, nm):
        return True
    if len(wanted_nm) != len(nm) or len(np.unique(wanted_nm)) < len(wanted_nm):
        return False
    apart = np.abs(wanted_nm - nm)
    nearest = np.abs(np.subtract.outer(wanted_nm, nm)).min(axis=1)
    return bool((apart <= np.minimum(nearest, BAND_TOLERANCE_NM)).all())


def _scale_notes(wanted: SceneBands, found: SceneBands) -> list[str]:
    if None in {wanted.scale, found.scale} or wanted.scale == found.scale:
        return []
    note = (
        f"{found.scene_name}: its reflectance scale is {found.scale:g}, and that of {wanted.scene_name} is {wanted.scale:g} (1 also stands for an "
        "unknown scale); values are not rescaled, so a model of one scene is wrong on the other if their units differ"
    )
    return [note]


def _order_notes(wanted: SceneBands, found: SceneBands) -> tuple[str, ...]:
    """Return notes on two scenes whose bands are taken in their order, because the wavelengths of at least one are unknown."""
    without = [one.scene_name for one in (wanted, found) if one.wavelengths_nm is None]
    reason = f"{found.scene_name}: its bands are taken in their order, because the wavelengths of {' and '.join(without)} are unknown"
    numbered = {bool(one.names) and all(map(_NUMBERED.fullmatch, one.names)) for one in (found, wanted)}
    difference = difference_in_order(found.names, wanted.names, wanted.scene_name)
    if difference and numbered == {True}:
        return (
            f"{reason}, although other bands of their files were left out or reordered: {difference} (counted from 0)",
        )
    if difference and numbered == {False}:
        return (f"{reason}, although their names differ: {difference}",)
    return () if len(without) == 2 else (reason,)


def colour_name(name: str) -> str:
    """Return the name of a channel in small letters, and R, G and B as red, green and blue."""
    folded = name.strip().casefold()
    return {"r": "red", "g": "green", "b": "blue"}.get(folded, folded)


def difference_in_order(names: Sequence[str], wanted: Sequence[str], wanted_name: str) -> str:
    """Say where the names of two lists differ that are taken in their order. Return an empty text if no names differ.

    Parameters
    ----------
    names, wanted : sequence of str
        The names. Letter case is ignored. If a list is empty, its names are unknown.
    wanted_name : str
        What the second list belongs to, for the text.

    Examples
    --------
    >>> difference_in_order(["B2", "B3"], ["B3", "B2"], "a")
    "'B2' is taken for 'B3' of a, which has the same names in another order"
    """
    for own, name in zip(names, wanted, strict=False):
        if own.casefold() != name.casefold():
            also = ", which has the same names in another order" if sorted(names) == sorted(wanted) else ""
            return f"{own!r} is taken for {name!r} of {wanted_name}{also}"
    return ""


def _pair_equal_bands(
    wanted_nm: NDArray[np.float64], nm: NDArray[np.float64]
) -> tuple[NDArray[np.intp], tuple[float, ...]]:
    """Return the matching band for each wanted band, and the wavelengths at which the match is uncertain.

    Bands with equal wavelengths are paired in their order; see `match_bands`.
    """
    # Of two bands that are equally near, the one with the lower wavelength is taken, whatever the order of the bands.
    ascending = np.argsort(nm, kind="stable")
    nearest = ascending[np.abs(np.subtract.outer(wanted_nm, nm[ascending])).argmin(axis=1)]
    centres = nm[nearest]
    # Wanted bands and bands of the other scene that share a wavelength, where at least one side has equal bands.
    groups = [(np.flatnonzero(centres == centre), np.flatnonzero(nm == centre)) for centre in np.unique(centres)]
    groups = [
        (wanted, equal) for wanted, equal in groups if len(equal) > 1 or len(np.unique(wanted_nm[wanted])) < len(wanted)
    ]
    grouped = [band for wanted, _ in groups for band in wanted]
    steps = np.diff(np.delete(nearest, grouped))
    forward, backward = bool(steps.size and (steps >= 0).all()), bool(steps.size and (steps <= 0).all())
    ambiguous = []
    for wanted, equal in groups:
        if len(wanted) == len(equal):
            nearest[wanted] = equal[::-1] if backward and not forward else equal
        if len(wanted) != len(equal) or not (forward or backward):
            ambiguous.append(float(centres[wanted[0]]))
    return nearest, tuple(ambiguous)


def _describe(nm: NDArray[np.float64]) -> str:
    return f"{len(nm)} bands from {nm.min():.0f} to {nm.max():.0f} nm"


def _list_nm(nm: NDArray[np.float64]) -> str:
    return list_some(f"{centre:g}" for centre in nm)
