"""Splits that somebody drew: ``official``, the scene's own train and test maps, and ``mask:TRAIN[,TEST]``, from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import SplitDraw, SplitKind, divide
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels, Scene, open_labels

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class MaskSplit:
    """``mask:TRAIN[,TEST]``: maps from files, where a pixel counts that is not 0; without TEST all others test.

    A map that holds class numbers must agree with the labels; a map of 0 and 1 is a plain mask. The seed plays no part.
    """

    train_file: str
    test_file: str | None
    kind: ClassVar[SplitKind] = "fixed"

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"mask:{self.train_file}" + (f",{self.test_file}" if self.test_file else "")

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # a mask is what it is
        """Divide the labelled pixels."""
        files = [file for file in (self.train_file, self.test_file) if file is not None]
        maps = [(file, _open(file, labels)) for file in files]
        draw = _divide(self.text, labels, maps)
        return replace(draw, notes=(*(note for _, given in maps for note in given.notes), *draw.notes))


@dataclass(frozen=True, eq=False)
class OfficialSplit:
    """``official``: the scene's own label maps ``train`` and ``test``, which must agree with the labels.

    The seed plays no part.
    """

    train: Labels
    test: Labels
    kind: ClassVar[SplitKind] = "fixed"
    text: ClassVar[str] = "official"

    @classmethod
    def of(cls, maps: Mapping[str, Labels]) -> OfficialSplit:
        """Take it from a scene's label maps; `SplitError` where it has no such pair."""
        if not {TRAIN, TEST} <= set(maps):
            raise SplitError(
                f"this scene has no official split: that is a pair of label maps named {TRAIN} and {TEST}, and it holds "
                f"{', '.join(maps) or 'none'}; add them (hsifeat extract SCENE --labels train.tif --labels test.tif), "
                "or split by mask:TRAIN,TEST, blocks:12+4:0.1 or random:0.1"
            )
        return cls(maps[TRAIN], maps[TEST])

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # maps are what they are
        """Divide the labelled pixels."""
        return _divide(self.text, labels, [(TRAIN, self.train), (TEST, self.test)])


def merge_official_maps(maps: Mapping[str, Labels]) -> Labels | None:
    """Return the official train and test maps as one label map; None unless they are all that a scene has.

    So are many public scenes published: without a map of all labelled pixels.
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
    """Open a map on the grid that labels lie on."""
    grid = np.broadcast_to(np.zeros(1, np.uint8), (*labels.classes.shape, 1))
    return open_labels(file, Scene(labels.name, grid, georeference=labels.georeference))


def _numbered_like(known: Labels, given: Labels) -> Labels:
    """Return a map with the numbers that another one gives to classes of the same name; unnamed ones keep their own.

    Files often number the classes that they hold, each file for itself.
    """
    names, others = _names(known), _names(given)
    numbers = {name: number for number, name in names.items()}
    if not names or all(names.get(n, name) == name and numbers.get(name, n) == n for n, name in others.items()):
        return given
    free = count(max(*known.class_names, *given.class_names) + 1)
    new = {n: numbers[name] if name in numbers else next(free) for n, name in sorted(others.items())}
    new = {n: new.get(n, n) for n in given.class_names}
    classes = np.zeros(given.classes.shape, np.result_type(given.classes.dtype, np.min_scalar_type(max(new.values()))))
    for old, number in new.items():
        classes[given.classes == old] = number
    return Labels(
        given.name,
        classes,
        {new[n]: name for n, name in given.class_names.items()},
        {new[n]: given.class_colours[n] for n in given.class_names},
        georeference=given.georeference,
        notes=(*given.notes, f"{given.name}: its classes are numbered by their names, as in {known.name!r}"),
    )


def _names(labels: Labels) -> dict[int, str]:
    return {number: name for number, name in labels.class_names.items() if name != f"class {number}"}


def _divide(split: str, labels: Labels, maps: Sequence[tuple[str, Labels]]) -> SplitDraw:
    """Divide by one map, whose pixels train while all others test, or by two."""
    numbered = [(name, _numbered_like(labels, given)) for name, given in maps]
    notes = tuple(note for name, given in numbered for note in _check(name, given.classes, labels))
    labelled = labels.classes != 0
    train, *rest = (given.classes != 0 for _, given in maps)
    test = rest[0] if rest else ~train
    _refuse_overlap(split, train & labelled, test & labelled)
    return divide(labels, train & labelled, test & labelled, notes)


def _check(name: str, given: NDArray[np.integer], labels: Labels) -> list[str]:
    """Raise `SplitError` unless a map is on the labels' grid and of their classes; say what of it goes unused."""
    if given.shape != labels.classes.shape:
        raise SplitError(f"{name} is {given.shape} pixels, but the labels are {labels.classes.shape}")
    if given.max(initial=0) <= 1:
        return []
    marked = given != 0
    wrong = int(np.count_nonzero(marked & (labels.classes != 0) & (given != labels.classes)))
    if wrong:
        raise SplitError(
            f"{name} has class numbers, and {wrong} of its {np.count_nonzero(marked)} pixels disagree with the labels "
            f"{labels.name!r}: use it as labels as well, or save a mask of 0 and 1"
        )
    unused, total = int(np.count_nonzero(marked & (labels.classes == 0))), int(np.count_nonzero(marked))
    note = f"{name}: {unused} of its {total} pixels have no class in the labels {labels.name!r} and take no part"
    return [note] if unused else []


def _refuse_overlap(split: str, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> None:
    both = int(np.count_nonzero(train & test))
    if both:
        raise SplitError(f"{split}: {both} pixels both train and test")
