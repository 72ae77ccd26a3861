"""Combine the label maps of several scenes on one grid, and check that the columns of the scenes are comparable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from classifiers.recipe_text import difference_text
from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.scenes import Labels

# Unlabelled rows between the label maps of two scenes, more than the buffer of any split. Scenes are therefore independent.
GAP_PX = 1024


def check_same_columns(stores: Sequence[Features], *, planes: bool, spectra: bool) -> None:
    """Check that the columns of several stores are comparable.

    Parameters
    ----------
    stores : sequence of Features
        One store for each scene.
    planes, spectra : bool
        Whether the table has columns of planes, and columns of spectra.

    Raises
    ------
    StoreError
        If planes have different recipes. If spectra have different wavelengths.
    """
    first = stores[0]
    for other in stores[1:]:
        differences = other.differences(first.recipe) if planes else []
        if differences:
            fields = difference_text(differences, f"in {other.name}", f"in {first.name}")
            raise StoreError(
                f"the planes of {other.name} have another recipe than those of {first.name}: {fields}; extract one scene "
                "with --like the other's store"
            )
        if spectra and not _same_wavelengths(first, other):
            raise StoreError(
                f"the spectra of {other.name} ({_describe_bands(other)}) are not at the wavelengths of those of "
                f"{first.name} ({_describe_bands(first)}): use spectra=False, or scenes of one sensor"
            )


def scene_row_offsets(labels: Sequence[Labels]) -> list[int]:
    """Return the first row of each label map on a grid that stacks all maps vertically."""
    heights = [one.classes.shape[0] + GAP_PX for one in labels[:-1]]
    offsets: list[int] = np.cumsum([0, *heights]).tolist()
    return offsets


def common_class_numbers(labels: Sequence[Labels]) -> dict[str, int]:
    """Return the number that each class name has in the merged label map.

    A name keeps the number from the first scene that has the name. If another name already has this number, the name
    gets a new number above all numbers in the maps.

    Raises
    ------
    StoreError
        If a scene shares class numbers, but no class name, with the scenes before it.
    """
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
    return numbers


def merge_label_maps(labels: Sequence[Labels], row_offsets: Sequence[int], numbers: dict[str, int]) -> Labels:
    """Merge label maps into one map, in which the scenes are stacked vertically.

    Parameters
    ----------
    labels : sequence of Labels
        One map for each scene.
    row_offsets : sequence of int
        First row of each map, see `scene_row_offsets`.
    numbers : dict of str to int
        Number of each class name, see `common_class_numbers`.

    Returns
    -------
    Labels
        The merged map, with the name of the first map. Rows between the scenes are unlabelled.
    """
    height = row_offsets[-1] + labels[-1].classes.shape[0]
    merged = np.zeros((height, max(one.classes.shape[1] for one in labels)), np.int32)
    colours: dict[int, str] = {}
    for one, row in zip(labels, row_offsets, strict=True):
        part = merged[row : row + one.classes.shape[0], : one.classes.shape[1]]
        for number, name in one.class_names.items():
            common = numbers.get(name, number)
            part[one.classes == number] = common
            colours.setdefault(common, one.class_colours[number])
    names = {number: name for name, number in numbers.items()}
    return Labels(labels[0].name, merged, names, colours, scene_rows=tuple(row_offsets))


def _same_wavelengths(first: Features, other: Features) -> bool:
    if first.shape[2] != other.shape[2]:
        return False
    wavelengths, others = first.scene.wavelengths_nm, other.scene.wavelengths_nm
    return wavelengths is None or others is None or np.allclose(wavelengths, others, atol=1)


def _describe_bands(features: Features) -> str:
    nm = features.scene.wavelengths_nm
    spectral_range = "" if nm is None else f" from {nm.min():.0f} to {nm.max():.0f} nm"
    return f"{features.shape[2]} bands{spectral_range}"
