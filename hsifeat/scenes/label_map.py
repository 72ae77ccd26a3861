"""Label maps: the class of each pixel of a scene, with class names and colours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.formatting import format_count
from hsifeat.mapped_arrays import own_copy
from hsifeat.objects_with_arrays import ReadOnlyArrays
from hsifeat.scenes.colours import default_colours, unused_colour
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.scene_blocks import count_values
from hsifeat.scenes.scene_checks import as_texts, check_type
from hsifeat.types import LARGEST_CLASS, Window, as_int


def safe_label_name(text: str) -> str:
    """Convert a text to a valid name of a label map.

    In a store, the Zarr array of the map has this name. Slashes, backslashes and control characters become hyphens. Leading
    dots and leading double underscores are removed. The reserved name ``zarr.json`` becomes ``zarr-json``, and an empty
    name becomes ``labels``.

    >>> safe_label_name(".gt/v2"), safe_label_name("zarr.json"), safe_label_name("..")
    ('gt-v2', 'zarr-json', 'labels')
    """
    name = re.sub(r"[/\\\x00-\x1f\x7f]", "-", text).lstrip(".")
    name = name.lstrip("_") if name.startswith("__") else name
    return "zarr-json" if name == "zarr.json" else name or "labels"


def check_class_texts(names: object, colours: object, what: str) -> None:
    """Raise `SceneError` unless names and colours of classes are dicts of texts by class number, with colours as ``#rrggbb``.

    Parameters
    ----------
    names, colours : object
        The names and colours.
    what : str
        What has the classes, for messages.
    """
    for attribute, texts in (("class_names", names), ("class_colours", colours)):
        if not isinstance(texts, dict):
            raise SceneError(
                f"{what}: {attribute} must be a dict by class number, such as {{1: …}}; found {type(texts).__name__}"
            )
        for key, text in texts.items():
            check_type(key, int | np.integer, f"{what}: the key {key!r} of {attribute} must be a class number")
            if not 1 <= key <= LARGEST_CLASS:
                raise SceneError(
                    f"{what}: class numbers are 1 to {LARGEST_CLASS}, and 0 is unlabelled; found the key {key} of {attribute}"
                )
            if attribute == "class_names":
                check_type(text, str, f"{what}: the class name {text!r} must be a text")
            elif not (isinstance(text, str) and re.fullmatch("#[0-9a-fA-F]{6}", text)):
                raise SceneError(
                    f"{what}: a colour of a class is text such as #1f77b4; found {text!r:.40} for class {key}"
                )


@dataclass(frozen=True)
class ScenePart:
    """One scene in a label map of several scenes; see `Labels.parts`.

    Attributes
    ----------
    names : tuple of str
        Names by which the scene can be selected. Reports use the first name. Further names are, for example, the names of
        the scene's stores.
    window : Window
        Rows and columns of the scene in the label map.
    georeference : Georeference or None
        Position of the scene, or None if unknown.
    """

    names: tuple[str, ...]
    window: Window
    georeference: Georeference | None = None


@dataclass(frozen=True, eq=False)
class Labels(ReadOnlyArrays):
    """A label map on the grid of a scene.

    Attributes
    ----------
    name : str
        Name of the map, such as ``ground-truth``.
    classes : (rows, cols) integer array
        Class of each pixel; 0 is unlabelled. The array is read-only. It is a copy, unless the given array can't be changed.
    class_names : dict of int to str
        Name of each class in the map. A class without a name gets a default name such as ``class 7``.
    class_colours : dict of int to str
        Colour of each class in the map, as ``#rrggbb``. A class without a colour gets a default colour.
    notes : tuple of str
        Messages on assumptions made while reading, and on resampled or dropped labels.
    georeference : Georeference or None
        Position of the grid, or None if unknown. A map that was aligned with a scene has the georeference of the scene.
    parts : tuple of ScenePart
        The scenes of a map of several scenes, which are stacked vertically on the grid of the map. Empty for a map of one
        scene. Distances between pixels of different scenes have no meaning.

    Raises
    ------
    SceneError
        If `name` can't be the name of a Zarr array; see `safe_label_name`. If `classes` is not a two-dimensional
        integer array, or contains a number below 0 or above 2**31 - 1. If class names or colours have other keys than class
        numbers. If a colour has another form than ``#rrggbb``. If another attribute has another type than listed above.

    Examples
    --------
    >>> labels = Labels("ground-truth", np.array([[0, 1], [1, 2]]), {1: "corn"})
    >>> labels.counts
    {1: 2, 2: 1}
    >>> labels.class_names
    {1: 'corn', 2: 'class 2'}
    """

    name: str
    classes: NDArray[np.integer]
    class_names: dict[int, str] = field(default_factory=dict)
    class_colours: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    georeference: Georeference | None = None
    parts: tuple[ScenePart, ...] = ()
    _read_only = ("classes",)

    def __post_init__(self) -> None:
        self._check_types()
        is_map = self.classes.ndim == 2 and np.issubdtype(self.classes.dtype, np.integer)
        present = list(self.counts) if is_map else []
        if self.name != safe_label_name(self.name):
            raise SceneError(
                f"a label map can't be named {self.name!r}: names have no '/' or '\\', do not start with '.' or '__', and are not "
                "zarr.json; rename the file or the map"
            )
        if not is_map or min(present, default=0) < 0:
            raise SceneError(
                f"labels {self.name!r} must be a 2-D array of integers from 0 up, where 0 is unlabelled; found "
                f"{self.classes.dtype} of shape {self.classes.shape}"
            )
        if present and max(present) > LARGEST_CLASS:
            raise SceneError(
                f"labels {self.name!r} hold the class number {max(present)}; allowed are numbers up to {LARGEST_CLASS}, which files "
                "of maps and tables can store: renumber the classes"
            )
        object.__setattr__(self, "classes", own_copy(self.classes))  # `counts` is computed once
        self._set_read_only()
        object.__setattr__(self, "class_names", {c: self.class_names.get(c, f"class {c}") for c in present})
        colours = {**default_colours(present), **self.class_colours}
        object.__setattr__(self, "class_colours", {c: colours[c] for c in present})

    def _check_types(self) -> None:
        check_type(self.name, str, "the name of a label map must be a text")
        what = f"labels {self.name!r}"
        if not isinstance(self.classes, np.ndarray) or isinstance(self.classes, np.ma.MaskedArray):
            raise SceneError(
                f"{what} must be a NumPy array without a mask; found {type(self.classes).__name__}: give 0 for unlabelled pixels"
            )
        check_class_texts(self.class_names, self.class_colours, what)
        check_type(self.georeference, Georeference | None, f"{what}: georeference must be a Georeference or None")
        object.__setattr__(self, "notes", as_texts(self.notes, f"{what}: notes"))

    def __repr__(self) -> str:
        size = f"{self.rows} x {self.cols}, {sum(self.counts.values())} labelled pixels"
        return f"<Labels {self.name}: {size}, {format_count(len(self.counts), 'class', 'classes')}>"

    @property
    def windows(self) -> tuple[Window, ...]:
        """Window of each scene in the map: the windows of `parts`. If `parts` is empty, the only window is the whole map."""
        return tuple(part.window for part in self.parts) or (Window(0, 0, *self.classes.shape),)

    @property
    def rows(self) -> int:
        """Number of rows of pixels."""
        return int(self.classes.shape[0])

    @property
    def cols(self) -> int:
        """Number of columns of pixels."""
        return int(self.classes.shape[1])

    def with_background(self, number: int) -> Labels:
        """Return a copy of the map in which unlabelled pixels have the class `number`, named ``background``.

        Raises
        ------
        SceneError
            If the map already has a class `number`. If `number` is not between 1 and 2**31 - 1.

        Examples
        --------
        >>> Labels("roads", np.array([[0, 1]]), {1: "road"}).with_background(2).class_names
        {1: 'road', 2: 'background'}
        """
        if as_int(number) is None or number in self.counts or not 1 <= number <= LARGEST_CLASS:
            taken = ", ".join(map(str, self.counts))
            raise SceneError(
                f"the background class of the labels {self.name!r} must be a number from 1 to {LARGEST_CLASS} other than {taken}, the "
                f"classes of the map; found {number!r}"
            )
        dtype = np.promote_types(self.classes.dtype, np.min_scalar_type(number))
        classes = np.where(self.classes == 0, dtype.type(number), self.classes.astype(dtype))
        return replace(
            self,
            classes=classes,
            class_names={**self.class_names, number: "background"},
            class_colours={**self.class_colours, number: unused_colour(number, self.class_colours.values())},
        )

    def describe_invalid(self, valid: NDArray[np.bool_]) -> str:
        """Describe the labelled pixels that are invalid, and the classes that have no other pixels; an empty text if there are none.

        Parameters
        ----------
        valid : (rows, cols) bool array
            Mask of the valid pixels.
        """
        lost = int(np.count_nonzero(self.classes[~valid]))
        if not lost:
            return ""
        kept = set(np.unique(self.classes[valid]).tolist())
        gone = ", ".join(self.class_names[number] for number in self.counts if number not in kept)
        return (
            f"{lost} of {format_count(sum(self.counts.values()), 'labelled pixel')} of {self.name} are invalid and are left out"
            f"{f'; there are no others of {gone}' if gone else ''}"
        )

    @cached_property
    def counts(self) -> dict[int, int]:
        """Number of pixels of each class, without unlabelled pixels."""
        return {number: count for number, count in count_values(self.classes).items() if number != 0}


def check_label_map(labels: Labels, shape: tuple[int, int], georeference: Georeference | None, scene_name: str) -> None:
    """Raise `SceneError` if a label map and a scene differ in shape or in georeference.

    Parameters
    ----------
    labels : Labels
        The label map.
    shape : tuple of int
        Rows and columns of the scene.
    georeference : Georeference or None
        Position of the scene.
    scene_name : str
        Name of the scene, for messages.
    """
    check_type(labels, Labels, f"{scene_name}: a label map must be Labels(name, array)")
    # The dicts may have changed.
    check_class_texts(labels.class_names, labels.class_colours, f"labels {labels.name!r}")
    if labels.classes.shape != shape:
        found, wanted = (" x ".join(map(str, sides)) for sides in (labels.classes.shape, shape))
        raise SceneError(
            f"labels {labels.name!r} have {found} pixels, but the scene {scene_name} has {wanted}: give a label map on the scene's grid"
        )
    there = labels.georeference
    if georeference is not None and there is not None and not georeference.same_grid(there, *shape):
        raise SceneError(
            f"labels {labels.name!r} have another georeference than the scene {scene_name}: {there.crs_name}, "
            f"{there.transform} instead of {georeference.crs_name}, {georeference.transform}; open them with open_labels(file, scene), which "
            "aligns them, or set their georeference to None if they are on the scene's pixels"
        )
