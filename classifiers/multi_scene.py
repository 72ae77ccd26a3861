"""Tables of several scenes under each other: classes of one name are one class, and the label maps lie on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.scenes import Labels

if TYPE_CHECKING:
    from classifiers.table import PixelTable

# Rows between the label maps of two scenes, more than any buffer: no split sees pixels of two scenes as neighbours.
GAP_PX = 1024


def check_alike(features: Sequence[Features], *, planes: bool, spectra: bool) -> None:
    """Refuse scenes whose columns do not mean the same.

    Raises
    ------
    StoreError
        Planes of different recipes, or spectra at different wavelengths; names the first differing fields.
    """
    first = features[0]
    for other in features[1:]:
        wrong = other.differences(first.recipe) if planes else []
        if wrong:
            fields = ", ".join(f"{name}: {str(a)[:20]} there, {str(b)[:20]} here" for name, a, b in wrong[:5])
            raise StoreError(
                f"the planes of {other.name} come from another recipe than those of {first.name}: {fields}; extract one "
                "scene with --like the other's store"
            )
        if not spectra:
            continue
        here, there = first.scene.wavelengths_nm, other.scene.wavelengths_nm
        known = here is not None and there is not None
        if first.shape[2] != other.shape[2] or (known and not np.allclose(here, there, atol=1)):  # type: ignore[arg-type]
            raise StoreError(
                f"the spectra of {other.name} ({_bands(other)}) are not at the wavelengths of those of {first.name} "
                f"({_bands(first)}): give spectra=False, or scenes of one sensor"
            )


def under_each_other(tables: Sequence[PixelTable]) -> PixelTable:
    """Put tables of several scenes, of one layout each, under each other.

    Raises
    ------
    StoreError
        Scenes of which no class of one has the name of another's.
    """
    numbers = _common_numbers([table.labels for table in tables])
    tops = np.cumsum([0, *(table.labels.classes.shape[0] + GAP_PX for table in tables[:-1])]).tolist()
    names = set.intersection(*(set(table.maps) for table in tables))
    labels = _on_one_grid([table.labels for table in tables], tops, numbers)
    return replace(
        tables[0],
        X=np.concatenate([table.X for table in tables]),
        y=np.concatenate(
            [labels.classes[table.rows + top, table.cols] for table, top in zip(tables, tops, strict=True)]
        ),
        rows=np.concatenate([table.rows for table in tables]),
        cols=np.concatenate([table.cols for table in tables]),
        scene=np.repeat(np.arange(len(tables)), [len(table) for table in tables]),
        scene_names=tuple(name for table in tables for name in table.scene_names),
        tops=tuple(tops),
        labels=labels,
        maps={name: _on_one_grid([table.maps[name] for table in tables], tops, numbers) for name in sorted(names)},
    )


def _common_numbers(labels: Sequence[Labels]) -> dict[str, int]:
    """Return a number for each class name: as in the first scene, then whatever comes new, in the order of the scenes."""
    numbers = {name: number for number, name in labels[0].class_names.items()}
    for others in labels[1:]:
        names = list(others.class_names.values())
        if not numbers.keys() & set(names):
            raise StoreError(
                f"no class of the labels {others.name!r} ({', '.join(names[:4])}) has the name of a class of "
                f"{labels[0].name!r} ({', '.join(list(numbers)[:4])}): classes of several scenes are matched by name"
            )
        for name in names:
            numbers.setdefault(name, max(numbers.values()) + 1)
    return numbers


def _on_one_grid(labels: Sequence[Labels], tops: Sequence[int], numbers: dict[str, int]) -> Labels:
    """Lay label maps under each other, each from its top row on, with classes numbered by name."""
    height = tops[-1] + labels[-1].classes.shape[0]
    whole = np.zeros((height, max(one.classes.shape[1] for one in labels)), np.int32)
    colours: dict[int, str] = {}
    for one, top in zip(labels, tops, strict=True):
        part = whole[top : top + one.classes.shape[0], : one.classes.shape[1]]
        for number, name in one.class_names.items():
            mine = numbers.get(name, number)
            part[one.classes == number] = mine
            colours.setdefault(mine, one.class_colours[number])
    used = {number: name for name, number in numbers.items()}
    return Labels(labels[0].name, whole, used, colours)


def _bands(features: Features) -> str:
    nm = features.scene.wavelengths_nm
    told = "" if nm is None else f" from {nm.min():.0f} to {nm.max():.0f} nm"
    return f"{features.shape[2]} bands{told}"
