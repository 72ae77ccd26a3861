"""Splits by maps: ``official`` for the scene's train and test maps, and ``mask:TRAIN[,TEST]`` for maps from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import FILL_IN, SplitDraw, SplitKind, SplitQuestion, make_draw
from hsifeat.errors import SplitError
from hsifeat.formatting import format_count
from hsifeat.scenes import Labels, open_labels
from hsifeat.scenes.readers.source_paths import is_url

TRAIN, TEST = "train", "test"


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # The folder was deleted, but absolute paths do not need it.
        return Path()


@dataclass(frozen=True)
class MaskSplit:
    """``mask:TRAIN[,TEST]``: train and test on the nonzero pixels of maps from files.

    `draw` takes the classes of pixels from the label map that it receives. Pixels without a class in this label map are
    not used. If the map of a file has only zeros and ones, its ones select pixels and are not a class. If the map of a
    file has class numbers, each used pixel must have the same class in this map and in the label map. The seed has no
    effect.

    Attributes
    ----------
    train_file : str
        File of the training map.
    test_file : str or None
        File of the test map. If None, all other labelled pixels are test pixels.
    folder : Path
        Folder to which relative paths of files refer. [default: the working directory when the split is made]

    Examples
    --------
    >>> MaskSplit("train.tif", "test.tif").text
    'mask:train.tif,test.tif'
    """

    train_file: str
    test_file: str | None
    folder: Path = field(default_factory=_working_folder, repr=False, compare=False)
    kind: ClassVar[SplitKind] = "fixed"
    question: ClassVar[SplitQuestion | None] = None

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        return f"mask:{self.train_file}" + (f",{self.test_file}" if self.test_file else "")

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # fixed
        """Select the training and test pixels from the labelled pixels of `labels`, by the maps of the split."""
        files = [file for file in (self.train_file, self.test_file) if file is not None]
        maps = [(file, open_labels(file if is_url(file) else self.folder / file, labels)) for file in files]
        draw = _draw_from_maps(self.text, labels, maps)
        return replace(draw, notes=(*(note for _, one in maps for note in one.notes), *draw.notes))


@dataclass(frozen=True, eq=False)
class OfficialSplit:
    """``official``: train and test on the scene's label maps ``train`` and ``test``.

    `draw` takes the classes of pixels from the label map that it receives. Pixels without a class in this label map are
    not used. Every other pixel of ``train`` and ``test`` must have the same class in this label map. Maps with another
    georeference than this label map are refused. The seed has no effect.
    """

    train: Labels
    test: Labels
    kind: ClassVar[SplitKind] = "fixed"
    question: ClassVar[SplitQuestion] = FILL_IN
    text: ClassVar[str] = "official"

    @classmethod
    def from_maps(cls, maps: Mapping[str, Labels]) -> OfficialSplit:
        """Make the split from the label maps of a scene.

        Raises
        ------
        SplitError
            If the scene has no label map ``train``, or no label map ``test``.
        """
        if not {TRAIN, TEST} <= set(maps):
            raise SplitError(
                f"this scene has no official split, which is a pair of label maps named {TRAIN} and {TEST}; found "
                f"{', '.join(maps) or 'none'}; add them (hsifeat extract SCENE --labels train.tif --labels test.tif), "
                "or split by mask:TRAIN,TEST, blocks:12+4:0.1 or random:0.1"
            )
        return cls(maps[TRAIN], maps[TEST])

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # fixed
        """Select the training and test pixels from the labelled pixels of `labels`, by the maps ``train`` and ``test``."""
        return _draw_from_maps(self.text, labels, [(TRAIN, self.train), (TEST, self.test)])


def merge_official_maps(maps: Mapping[str, Labels]) -> Labels | None:
    """Merge the official train and test maps into one label map.

    Many public scenes are published with these two maps, without a map of all labelled pixels.

    Parameters
    ----------
    maps : mapping of str to Labels
        Label maps of the scene. The keys are their names.

    Returns
    -------
    Labels or None
        The merged map. None if the scene lacks one of the two maps, or has further label maps.

    Raises
    ------
    SplitError
        If a pixel is in both maps.
    """
    if set(maps) != {TRAIN, TEST}:
        return None
    train, test = maps[TRAIN], _numbered_like(maps[TRAIN], maps[TEST])
    _refuse_overlap("official", train.classes != 0, test.classes != 0)
    classes = np.where(train.classes != 0, train.classes, test.classes)
    names = test.class_names | train.class_names
    colours = test.class_colours | train.class_colours
    return Labels(f"{TRAIN}+{TEST}", classes, names, colours, georeference=train.georeference)


def _numbered_like(reference: Labels, other: Labels) -> Labels:
    """Return the map `other` with its classes renumbered as in `reference`. Classes are matched by name.

    Two files can number the same class differently, since a file often numbers only the classes that occur in it. Classes
    without a name keep their numbers.
    """
    names, others = _names(reference), _names(other)
    numbers = {name: number for number, name in names.items()}
    if not names or all(names.get(n, name) == name and numbers.get(name, n) == n for n, name in others.items()):
        return other
    free = count(max(*reference.class_names, *other.class_names) + 1)
    new = {n: numbers[name] if name in numbers else next(free) for n, name in sorted(others.items())}
    new = {n: new.get(n, n) for n in other.class_names}
    classes = np.zeros(other.classes.shape, np.result_type(other.classes.dtype, np.min_scalar_type(max(new.values()))))
    for old, number in new.items():
        classes[other.classes == old] = number
    return Labels(
        other.name,
        classes,
        {new[n]: name for n, name in other.class_names.items()},
        {new[n]: other.class_colours[n] for n in other.class_names},
        georeference=other.georeference,
        notes=(*other.notes, f"{other.name}: classes are renumbered by their names, as in {reference.name!r}"),
    )


def _names(labels: Labels) -> dict[int, str]:
    """Return the name of each class by number. Classes with a default name such as ``class 3`` are omitted."""
    return {number: name for number, name in labels.class_names.items() if name != f"class {number}"}


def _draw_from_maps(split: str, labels: Labels, maps: Sequence[tuple[str, Labels]]) -> SplitDraw:
    """Make a draw from a training map and an optional test map.

    Without a test map, all labelled pixels that are not training pixels are test pixels.
    """
    numbered = [(name, _numbered_like(labels, one)) for name, one in maps]
    notes = tuple(note for name, one in numbered for note in _check(name, one, labels))
    labelled = labels.classes != 0
    train, *tests = (one.classes != 0 for _, one in maps)
    test = tests[0] if tests else ~train
    _refuse_overlap(split, train & labelled, test & labelled)
    return make_draw(labels, train & labelled, test & labelled, notes)


def _check(name: str, split_map: Labels, labels: Labels) -> list[str]:
    """Return notes on the unused pixels of a map.

    Raises `SplitError` if the map differs from the labels in shape, georeference or classes.
    """
    classes = split_map.classes
    if classes.shape != labels.classes.shape:
        raise SplitError(
            f"{name} has {classes.shape} pixels, but the labels have {labels.classes.shape}: use maps of one grid"
        )
    here, there = labels.georeference, split_map.georeference
    if here is not None and there is not None and not here.same_grid(there, *classes.shape):
        raise SplitError(
            f"{name} has another georeference than the labels {labels.name!r}: {there.crs_name}, {there.transform} instead of "
            f"{here.crs_name}, {here.transform}; open it with open_labels(file, labels), which aligns it, or set its georeference to "
            "None if it is on the pixels of the labels"
        )
    if classes.max(initial=0) <= 1:
        return []
    marked = classes != 0
    wrong = int(np.count_nonzero(marked & (labels.classes != 0) & (classes != labels.classes)))
    if wrong:
        raise SplitError(
            f"{name} has class numbers, and {wrong} of its {np.count_nonzero(marked)} pixels disagree with the labels "
            f"{labels.name!r}: use it as labels as well, or save a mask of 0 and 1"
        )
    unused, total = int(np.count_nonzero(marked & (labels.classes == 0))), int(np.count_nonzero(marked))
    note = f"{name}: {unused} of its {total} pixels have no class in the labels {labels.name!r} and are not used"
    return [note] if unused else []


def _refuse_overlap(split: str, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> None:
    both = int(np.count_nonzero(train & test))
    if both:
        raise SplitError(
            f"{split}: {format_count(both, 'pixel is', 'pixels are')} in both the training and the test map; change one of the maps"
        )
