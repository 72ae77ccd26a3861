"""Label maps of a store. They can be added and replaced at any time, because planes do not depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store.keys import LABELS, is_store_file
from hsifeat.store.plane_layout import small_array_options
from hsifeat.store.store_files import StoreFiles, damage_errors

if TYPE_CHECKING:
    import zarr


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
        if array.shape != self._shape or array.dtype.kind not in "iu":
            raise StoreError(
                f"{self._files.location}: the label map {name} has the shape {array.shape} and the type {array.dtype}; expected are "
                f"integers of shape {self._shape}: repeat the extraction with the right `labels`"
            )
        for attribute in ("class_names", "class_colours"):
            texts = array.attrs.asdict().get(attribute, {})
            if not isinstance(texts, dict) or not all(
                n.isdecimal() and isinstance(text, str) for n, text in texts.items()
            ):
                raise StoreError(
                    f"{self._files.location}: {attribute} of the label map {name} must be texts by class number; found {texts!r:.80}: "
                    "repeat the extraction with the right `labels`"
                )
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
            If `name` can't be the name of a folder in the store.
        """
        path = f"scene/labels/{name}"
        if name == "zarr.json" or not is_store_file(f"{path}/zarr.json"):
            raise StoreError(
                f"{self._files.location}: a label map can't be named {name!r}: rename the file of the labels"
            )
        with self._files.location.error_context():
            # During its replacement, the map has no checksum. If the process is killed, the partial map is not listed.
            if self._files.checksums.pop(f"{path}/zarr.json", None):
                self._files.save_checksums()
            self._files.group.create_array(
                path,
                data=np.asarray(classes),
                attributes=attributes,
                dimension_names=("y", "x"),
                overwrite=True,
                **small_array_options(classes.shape),
            )
            self._files.save_checksums()
        self._files.forget_array(path)
