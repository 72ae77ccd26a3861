"""Check that pixel tables have the same columns and different scenes, and renumber the classes of one table as in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import Layout, first_difference
from classifiers.multi_scene import common_class_numbers
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.features.distinct_scenes import same_spectra
from hsifeat.formatting import format_value
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Labels
from hsifeat.scenes.band_matching import SceneBands, match_bands, matching_notes
from hsifeat.types import has_labelled_axes


class Table(Protocol):
    """The attributes of a `PixelTable` that are compared."""

    @property
    def X(self) -> NDArray[np.float32]:  # noqa: N802
        """Input values, as an (n, width) float32 array."""
        ...

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
    def band_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def options(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def scene_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def scene_digests(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def pixels(self) -> NDArray[np.intp]:
        """Flat index of the pixel of each row in the label map, as an (n,) intp array."""
        ...


def check_selection(rows: Any) -> None:
    """Raise `HsifeatError` unless `rows` can select rows of a table: a mask, an array of indices or a slice.

    A mask of pandas must count the rows from 0 in its index. In another order, pandas would align it by the index.
    """
    if isinstance(rows, tuple) or np.ma.is_masked(rows) or not (isinstance(rows, slice) or np.ndim(rows) == 1):
        raise HsifeatError(f"rows of a table are a mask, an array of indices or a slice; found {format_value(rows)}")
    index = getattr(rows, "index", None) if has_labelled_axes(rows) else None
    if index is not None and np.asarray(rows).dtype == bool and not np.array_equal(index, np.arange(len(index))):
        raise HsifeatError(
            "the index of a mask of rows must be 0, 1, 2 and so on: sort the mask with mask.sort_index(), or give mask.to_numpy() if it is "
            "in the order of the table"
        )


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
        wanted, found = (
            SceneBands(table.scene_names[0], spectra.channels, table.wavelengths_nm, table.band_names)
            for table in (first, other)
        )
        if match_bands(wanted, found) is not None:
            raise StoreError(
                f"{name} has its bands in another order than {first_name}: read both with `from_store([...])`, which matches the bands"
            )
        for note in matching_notes(wanted, found):
            listen(Note(note))
    if first.layout.stored and other.options != first.options:
        raise StoreError(
            f"the planes of {name} have another recipe than those of {first_name}: `from_store([...])` of both says where they differ"
        )


def check_distinct_scenes(tables: Sequence[Table]) -> None:
    """Raise `StoreError` if two tables are of one scene. Splits would treat them as two scenes.

    Tables of two stores are of one scene if the stores hold the same scene, or if the spectra of their common pixels are
    equal, see `hsifeat.features.distinct_scenes.same_spectra`. Tables without spectra are compared by their other columns,
    which can miss such tables: features can differ near pixels that are valid in one store only.
    """
    for one, other in combinations(tables, 2):
        if {*one.scene_digests} & {*other.scene_digests} or _same_pixels(one, other):
            both = " and ".join(dict.fromkeys(one.scene_names + other.scene_names))
            raise StoreError(
                f"two tables are of one scene ({both}), so that pixels would count twice: give each scene once; to select rows, index its table "
                "with a mask, as in table[is_wanted]"
            )


def _same_pixels(one: Table, other: Table) -> bool:
    columns = one.layout.columns(*[group for group in one.layout if group.kind == "spectra"])
    if not len(columns):
        columns = one.layout.columns(*[group for group in one.layout if group.kind != "position"])
    if not len(columns) or one.labels.classes.shape != other.labels.classes.shape:
        return False
    _, rows, other_rows = np.intersect1d(one.pixels, other.pixels, return_indices=True)
    return same_spectra((one.X[i, columns], other.X[j, columns]) for i, j in zip(rows, other_rows, strict=True))


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
