"""Check that two pixel tables have the same columns, and renumber the classes of one table as in the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import Layout, first_difference
from classifiers.multi_scene import common_class_numbers
from hsifeat.errors import StoreError
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Labels
from hsifeat.scenes.band_matching import match_bands, matching_notes


class Table(Protocol):
    """The attributes of a `PixelTable` that are compared."""

    @property
    def y(self) -> NDArray[np.integer]:
        """Class number of each row, as an (n,) integer array."""
        ...

    @property
    def layout(self) -> Layout: ...  # noqa: D102
    @property
    def labels(self) -> Labels: ...  # noqa: D102
    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None:
        """Wavelengths of the bands in nanometres, as a (bands,) float64 array; None if unknown."""
        ...

    @property
    def options(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def scene_names(self) -> tuple[str, ...]: ...  # noqa: D102


def check_same_columns(first: Table, other: Table, listen: Listener) -> None:
    """Raise `StoreError` if the columns of two tables differ in layout, order of the bands or recipe of the planes.

    Parameters
    ----------
    first, other : Table
        The two tables.
    listen : callable
        Receives the notes of `hsifeat.scenes.band_matching.matching_notes`.
    """
    name, first_name = other.scene_names[0], first.scene_names[0]
    if other.layout != first.layout:
        difference = first_difference(other.layout, first.layout)
        raise StoreError(f"{name} has other columns than {first_name}: {difference}")
    spectra = next((group for group in first.layout if group.layer is None and group.kind != "position"), None)
    if spectra is not None:
        nm, bands = other.wavelengths_nm, spectra.channels
        matched = match_bands(first.wavelengths_nm, nm, bands, wanted_bands=bands, name=name, wanted_name=first_name)
        if matched is not None:
            raise StoreError(
                f"{name} has its bands in another order than {first_name}: read both with `from_store([...])`, which matches bands by wavelength"
            )
        for note in matching_notes(first.wavelengths_nm, nm, name=name, wanted_name=first_name):
            listen(Note(note))
    if first.layout.stored and other.options != first.options:
        raise StoreError(
            f"the planes of {name} have another recipe than those of {first_name}: `from_store([...])` of both says where they differ"
        )


def matched_classes(first: Table, other: Table) -> NDArray[np.integer]:
    """Return the classes of the table `other`, numbered as in the table `first`. Classes are matched by name.

    Returns
    -------
    (n,) integer array
        Class number of each row of `other`. A class that `first` lacks has a number that `first` does not use.

    Raises
    ------
    StoreError
        If the tables share a class number, but no class name. If two classes of a table have the same name.
    """
    names = other.labels.class_names
    if names == first.labels.class_names:
        return other.y
    numbers = common_class_numbers([first.labels, other.labels])
    y = other.y.astype(np.int64)
    for number, name in names.items():
        y[other.y == number] = numbers[name]
    return y
