"""Entries of the edit log of a label set, and their encoding in a database."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from classifiers.labelling.label_set import LARGEST_LABEL_CLASS
from hsifeat.errors import SceneError
from hsifeat.formatting import format_value
from hsifeat.scenes.scene_checks import check_type
from hsifeat.types import as_int

EditKind = Literal["pixel", "brush", "polygon", "segment", "import", "check", "join"]


@dataclass(frozen=True, eq=False)
class LabelEdit:
    """One edit of a label set: pixels and their new classes.

    Attributes
    ----------
    kind : {"pixel", "brush", "polygon", "segment", "import", "check", "join"}
        How the pixels were selected. ``check``: a person was asked for the class of a random pixel, to check the map. The
        answer is not a label. ``join``: answers become labels, see `classifiers.labelling.check_answers`.
    pixels : (n,) int64 array
        Flat indices of the pixels, ``row * cols + col``, ascending and without duplicates. `of_class` takes pixels
        of one class in any order.
    classes : (n,) uint16 array
        New class of each pixel; 0 erases its label.

    Examples
    --------
    >>> LabelEdit.of_class("brush", np.array([7, 8, 7]), 2).pixels.tolist()
    [7, 8]
    """

    kind: EditKind
    pixels: NDArray[np.int64]
    classes: NDArray[np.uint16]

    @classmethod
    def of_class(cls, kind: EditKind, pixels: NDArray[np.integer], number: int) -> Self:
        """Return an edit that gives all `pixels` one class.

        Parameters
        ----------
        kind : str
            Kind of the edit, such as ``pixel``.
        pixels : (n,) int array
            Flat indices of the pixels, in any order.
        number : int
            Number of the class; 0 erases labels.

        Returns
        -------
        LabelEdit
            The edit.

        Raises
        ------
        SceneError
            If `pixels` has other values than integers, such as a bool mask, or several axes, as rows and columns have. If `number` is not an integer from 0 to 65535.
        """
        indices = np.asarray(pixels)
        is_masked = isinstance(pixels, np.ma.MaskedArray)
        if is_masked or indices.ndim > 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise SceneError(
                f"the pixels of an edit are flat indices, row * cols + col, without a mask; found {format_value(pixels)}: give "
                "np.flatnonzero(mask) for a bool mask, and rows * cols_of_the_scene + columns for rows and columns"
            )
        if (value := as_int(number)) is None or not 0 <= value <= LARGEST_LABEL_CLASS:
            raise SceneError(
                f"a class of labels is a number from 1 to {LARGEST_LABEL_CLASS}, and 0 erases; found {format_value(number)}"
            )
        unique = np.unique(indices).astype(np.int64)
        return cls(kind, unique, np.full(len(unique), number, np.uint16))

    @property
    def content(self) -> tuple[bytes, bytes]:
        """Compressed pixels and classes, for `decode`."""
        steps = np.diff(self.pixels, prepend=0).astype("<i8")
        classes = self.classes[:1] if len(set(self.classes.tolist())) == 1 else self.classes
        return zlib.compress(steps.tobytes(), 1), zlib.compress(classes.astype("<u2").tobytes(), 1)

    @classmethod
    def decode(cls, kind: EditKind, content: tuple[bytes, bytes], pixel_count: int) -> Self:
        """Decode an edit.

        Parameters
        ----------
        kind : str
            Kind of the edit, see `LabelEdit`.
        content : tuple of bytes
            Compressed pixels and classes, from the property `LabelEdit.content`.
        pixel_count : int
            Number of pixels of the scene.

        Raises
        ------
        ValueError
            If the content is damaged, or has pixels outside of the scene.
        """
        try:
            steps, classes = (
                np.frombuffer(zlib.decompress(part), dtype) for part, dtype in zip(content, ("<i8", "<u2"), strict=True)
            )
        except zlib.error as error:
            raise ValueError(f"its content can't be decompressed: {error}") from error
        pixels = np.cumsum(steps, dtype=np.int64)
        if len(pixels) and not (pixels[0] >= 0 and pixels[-1] < pixel_count and (steps[1:] > 0).all()):
            raise ValueError("it has pixels outside of the scene")
        return cls(kind, pixels, np.broadcast_to(classes.astype(np.uint16), pixels.shape))


def check_kinds(*kinds: object) -> None:
    """Raise `SceneError` if one of `kinds` is no kind of edits."""
    for kind in kinds:
        if not isinstance(kind, str) or kind not in get_args(EditKind):
            raise SceneError(
                f"the kind of an edit is one of {', '.join(get_args(EditKind))}; found {format_value(kind)}"
            )


def check_edit(edit: LabelEdit, shape: tuple[int, int]) -> None:
    """Check that an edit can be written to a log and read again with `LabelEdit.decode`.

    Parameters
    ----------
    edit : LabelEdit
        The edit.
    shape : tuple of int
        Rows and columns of the scene.

    Raises
    ------
    SceneError
        If `edit` is not a `LabelEdit`. If its kind is unknown, or it has no pixels. If its pixels and classes are not integer
        arrays of equal length without a mask. If its pixels are not ascending, or lie outside of the scene.
    """
    check_type(edit, LabelEdit, "an edit is a LabelEdit")
    check_kinds(edit.kind)
    for name, values in (("pixels", edit.pixels), ("classes", edit.classes)):
        is_plain = isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray)
        if not is_plain or values.ndim != 1 or values.dtype.kind not in "iu":
            raise SceneError(
                f"the {name} of an edit are a 1-D integer array without a mask; found {format_value(values)}"
            )
    if len(edit.pixels) != len(edit.classes):
        raise SceneError(
            f"an edit has one class per pixel; found {len(edit.classes)} classes for {len(edit.pixels)} pixels: give pixels of one "
            "class with LabelEdit.of_class"
        )
    if not len(edit.pixels):
        raise SceneError("an edit has at least one pixel; found none: click on the scene")
    if edit.pixels.min() < 0 or edit.pixels.max() >= shape[0] * shape[1]:
        raise SceneError(f"a pixel lies outside of the scene of {shape[0]} x {shape[1]} pixels")
    if not (edit.pixels[1:] > edit.pixels[:-1]).all():
        raise SceneError(
            "the pixels of an edit are ascending and without duplicates; found another order: sort pixels and classes with "
            "np.unique(pixels, return_index=True)"
        )


def decode_edits(entries: Iterable[Mapping[str, Any]], shape: tuple[int, int], path: Path) -> Iterator[LabelEdit]:
    """Decode the edits in rows of the table ``log`` of a label database.

    Parameters
    ----------
    entries : iterable of mapping
        Rows of one label set, by the names of their columns.
    shape : tuple of int
        Rows and columns of the scene.
    path : Path
        File of the database, for messages.

    Yields
    ------
    LabelEdit
        An edit.

    Raises
    ------
    SceneError
        If an edit is damaged.
    """
    for entry in entries:
        try:
            yield LabelEdit.decode(entry["kind"], (entry["pixels"], entry["classes"]), shape[0] * shape[1])
        except ValueError as error:
            raise SceneError(
                f"entry {entry['id']} of the label database {path} is damaged: restore the file from a backup"
            ) from error


def paint_edits(classes: NDArray[np.uint16], edits: Iterable[LabelEdit]) -> None:
    """Write the classes of edits to the map `classes`, a (rows, cols) uint16 array.

    Edits of the kind ``check`` are skipped, because they are no labels.
    """
    for edit in edits:
        if edit.kind != "check":
            classes.ravel()[edit.pixels] = edit.classes
