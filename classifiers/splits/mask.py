"""Splits given as maps: ``official``, the scene's train and test maps, and ``mask:TRAIN[,TEST]``, maps from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import SplitDraw, SplitKind, make_draw
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels, Scene, open_labels

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class MaskSplit:
    """``mask:TRAIN[,TEST]``: nonzero pixels of maps from files; without TEST all other labelled pixels are test pixels.

    A map of class numbers must agree with the labels; a map of 0 and 1 is a plain mask. The seed has no effect.

    Examples
    --------
    >>> MaskSplit("train.tif", "test.tif").text
    'mask:train.tif,test.tif'
    """

    train_file: str
    test_file: str | None
    kind: ClassVar[SplitKind] = "fixed"

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        return f"mask:{self.train_file}" + (f",{self.test_file}" if self.test_file else "")

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # fixed
        """Divide the labelled pixels."""
        files = [file for file in (self.train_file, self.test_file) if file is not None]
        maps = [(file, _open(file, labels)) for file in files]
        draw = _draw_from_maps(self.text, labels, maps)
        return replace(draw, notes=(*(note for _, one in maps for note in one.notes), *draw.notes))


@dataclass(frozen=True, eq=False)
class OfficialSplit:
    """``official``: the scene's label maps ``train`` and ``test``, which must agree with the labels.

    The seed has no effect.
    """

    train: Labels
    test: Labels
    kind: ClassVar[SplitKind] = "fixed"
    text: ClassVar[str] = "official"

    @classmethod
    def from_maps(cls, maps: Mapping[str, Labels]) -> OfficialSplit:
        """Take the two maps from a scene's label maps; `SplitError` if it has no such pair."""
        if not {TRAIN, TEST} <= set(maps):
            raise SplitError(
                f"this scene has no official split, which is a pair of label maps named {TRAIN} and {TEST}; found "
                f"{', '.join(maps) or 'none'}; add them (hsifeat extract SCENE --labels train.tif --labels test.tif), "
                "or split by mask:TRAIN,TEST, blocks:12+4:0.1 or random:0.1"
            )
        return cls(maps[TRAIN], maps[TEST])

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # fixed
        """Divide the labelled pixels."""
        return _draw_from_maps(self.text, labels, [(TRAIN, self.train), (TEST, self.test)])


def merge_official_maps(maps: Mapping[str, Labels]) -> Labels | None:
    """Merge the official train and test maps into one label map; None unless these two are the scene's only maps.

    Many public scenes are published with these two maps, without a map of all labelled pixels.
    """
    if set(maps) != {TRAIN, TEST}:
        return None
    train, test = maps[TRAIN], _numbered_like(maps[TRAIN], maps[TEST])
    _refuse_overlap("official", train.classes != 0, test.classes != 0)
    classes = np.where(train.classes != 0, train.classes, test.classes)
    names = test.class_names | train.class_names
    colours = test.class_colours | train.class_colours
    return Labels(f"{TRAIN}+{TEST}", classes, names, colours, georeference=train.georeference)


def _open(file: str, labels: Labels) -> Labels:
    """Open a map on the grid of the labels."""
    grid = np.broadcast_to(np.zeros(1, np.uint8), (*labels.classes.shape, 1))
    return open_labels(file, Scene(labels.name, grid, georeference=labels.georeference))


def _numbered_like(reference: Labels, other: Labels) -> Labels:
    """Renumber the classes of a map by their names, as in a reference map; unnamed classes keep their numbers.

    Each file often numbers only the classes that occur in it.
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
    """Return the names of the classes that have one."""
    return {number: name for number, name in labels.class_names.items() if name != f"class {number}"}


def _draw_from_maps(split: str, labels: Labels, maps: Sequence[tuple[str, Labels]]) -> SplitDraw:
    """Divide by a training map, with all other pixels for testing, or by a training and a test map."""
    numbered = [(name, _numbered_like(labels, one)) for name, one in maps]
    notes = tuple(note for name, one in numbered for note in _check(name, one.classes, labels))
    labelled = labels.classes != 0
    train, *rest = (one.classes != 0 for _, one in maps)
    test = rest[0] if rest else ~train
    _refuse_overlap(split, train & labelled, test & labelled)
    return make_draw(labels, train & labelled, test & labelled, notes)


def _check(name: str, classes: NDArray[np.integer], labels: Labels) -> list[str]:
    """Raise `SplitError` unless a map agrees with the labels in shape and classes; return notes on unused pixels."""
    if classes.shape != labels.classes.shape:
        raise SplitError(
            f"{name} has {classes.shape} pixels, but the labels have {labels.classes.shape}: use maps of one grid"
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
        raise SplitError(f"{split}: {both} pixels are in both the training and the test map; remove them from one")
