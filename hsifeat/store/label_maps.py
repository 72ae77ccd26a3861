"""Label maps of a store. They can be added and replaced at any time, because planes do not depend on them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store.keys import LABELS, is_store_file
from hsifeat.store.plane_layout import small_array_options
from hsifeat.store.store_files import StoreFiles, damage_errors
from hsifeat.types import LARGEST_CLASS, has_labelled_axes

if TYPE_CHECKING:
    import zarr


# Python refuses to convert thousands of digits.
_MAX_DIGITS = len(str(LARGEST_CLASS))


class LabelMaps:
    """The label maps of a store.

    Parameters
    ----------
    files : StoreFiles
        Files of the store.
    shape : tuple of int
        Number of rows and columns of the scene.
    """

    def __init__(self, files: StoreFiles, shape: tuple[int, int]) -> None:
        self._files, self._shape = files, shape

    @property
    def names(self) -> list[str]:
        """Names of the label maps, in alphabetical order."""
        return sorted(match[1] for key in self._files.checksums if (match := LABELS.fullmatch(key)))

    def array(self, name: str) -> zarr.Array[Any]:
        """Return a label map as a Zarr array of shape (rows, cols) and an integer dtype.

        The attributes ``class_names`` and ``class_colours`` of the array give the name and the colour of each class number.

        Raises
        ------
        StoreError
            If the label map does not exist. If its shape is not the shape of the scene. If its dtype is not an integer. If
            its attributes are damaged.
        """
        array = self._files.array(f"scene/labels/{name}")
        if fault := _format_error(name, array, self._shape, array.attrs.asdict()):
            raise StoreError(f"{self._files.location}: {fault}: repeat the extraction with the right `labels`")
        return array

    def classes(self, name: str) -> NDArray[np.integer]:
        """Read a label map as a (rows, cols) integer array that can't be changed.

        Raises
        ------
        StoreError
            If the label map does not exist or is damaged.
        """
        array = self.array(name)
        with damage_errors(self._files.location, f"scene/labels/{name}"):
            classes = np.asarray(array[:])
        classes.flags.writeable = False
        return classes

    def add(self, name: str, classes: NDArray[np.integer], attributes: dict[str, Any]) -> None:
        """Add a label map. If a label map with this name exists, it is replaced.

        Parameters
        ----------
        name : str
            Name of the map.
        classes : (rows, cols) integer array
            Class number of each pixel; 0 means unlabelled.
        attributes : dict of str to JSON value
            Attributes of the array: ``class_names`` and ``class_colours`` give the name and the colour of each class
            number.

        Raises
        ------
        StoreError
            If `name` can't be the name of a folder in the store. If the classes are masked, are not integers from 0 to
            2**31 - 1, or have another shape than the scene. If a class name is not a
            text, or a colour not of the form ``#rrggbb``. Nothing is then written.
        """
        path = f"scene/labels/{name}"
        if name == "zarr.json" or not is_store_file(f"{path}/zarr.json"):
            raise StoreError(
                f"{self._files.location}: a label map can't be named {name!r}: rename the file of the labels"
            )
        values = np.asarray(classes)
        try:
            attributes = json.loads(json.dumps(attributes))
        except (TypeError, ValueError) as error:
            raise StoreError(f"attributes of the label map {name} must be JSON values: {error}") from error
        if fault := _format_error(name, values, self._shape, attributes) or _class_error(name, classes):
            raise StoreError(f"{self._files.location}: {fault}")
        with self._files.location.error_context():
            # During its replacement, the map has no checksum. If the process is killed, the partial map is not listed.
            if self._files.checksums.pop(f"{path}/zarr.json", None):
                self._files.save_checksums()
            self._files.group.create_array(
                path,
                data=values,
                attributes=attributes,
                dimension_names=("y", "x"),
                overwrite=True,
                **small_array_options(values.shape),
            )
            self._files.save_checksums()
        self._files.forget_array(path)


def _format_error(
    name: str, array: zarr.Array[Any] | NDArray[Any], shape: tuple[int, int], attributes: dict[str, Any]
) -> str:
    """Describe a fault in the shape, the dtype or the attributes of a label map; return an empty text if there is none."""
    if array.shape != shape or array.dtype.kind not in "iu":
        return f"the label map {name} has the shape {array.shape} and the type {array.dtype}; expected are integers of shape {shape}"
    for attribute, form in (("class_names", ".*"), ("class_colours", "#[0-9a-fA-F]{6}")):
        texts = attributes.get(attribute, {})
        if (
            not isinstance(texts, dict)
            or not all(map(_is_class, texts))
            or not all(isinstance(text, str) for text in texts.values())
        ):
            return f"{attribute} of the label map {name} must be texts by class number; found {texts!r:.80}"
        if not all(re.fullmatch(form, text, re.DOTALL) for text in texts.values()):
            return f"a colour of the label map {name} is text such as #1f77b4; found {texts!r:.80}"
    return ""


def _is_class(key: object) -> bool:
    return isinstance(key, str) and len(key) <= _MAX_DIGITS and key.isdecimal() and 1 <= int(key) <= LARGEST_CLASS


def _class_error(name: str, classes: NDArray[np.integer]) -> str:
    """Describe a fault in the class numbers of a label map; return an empty text if there is none."""
    if has_labelled_axes(classes):
        return (
            f"the label map {name} is a {type(classes).__name__}, whose coordinates would be ignored: give its values in the order of "
            "the rows and columns of the scene"
        )
    if isinstance(classes, np.ma.MaskedArray):
        return (
            f"the label map {name} has a mask, and masked pixels would count as labelled: give 0 for unlabelled pixels"
        )
    lowest, highest = int(np.min(classes, initial=0)), int(np.max(classes, initial=0))
    if lowest < 0 or highest > LARGEST_CLASS:
        return (
            f"the label map {name} has class numbers from 1 to {LARGEST_CLASS}, and 0 is unlabelled; found "
            f"{lowest if lowest < 0 else highest}: renumber the classes"
        )
    return ""
