"""Splits that somebody drew: ``official``, the scene's own train and test maps, and ``mask:TRAIN[,TEST]``, from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.draw import Draw, Kind, divide
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels, open_labels

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class MaskSplit:
    """``mask:TRAIN[,TEST]``: maps from files, where a pixel counts that is not 0; without TEST all others test.

    A map that holds class numbers must agree with the labels; a map of 0 and 1 is a plain mask. The seed plays no part.
    """

    train_file: str
    test_file: str | None
    kind: ClassVar[Kind] = "given"

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"mask:{self.train_file}" + (f",{self.test_file}" if self.test_file else "")

    def draw(self, labels: Labels, seed: int) -> Draw:  # noqa: ARG002  # a mask is what it is
        """Divide the labelled pixels."""
        files = [file for file in (self.train_file, self.test_file) if file is not None]
        return _divide(self.text, labels, [(file, open_labels(file).classes) for file in files])


@dataclass(frozen=True, eq=False)
class OfficialSplit:
    """``official``: the scene's own label maps ``train`` and ``test``, which must agree with the labels.

    The seed plays no part.
    """

    train: Labels
    test: Labels
    kind: ClassVar[Kind] = "given"
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

    def draw(self, labels: Labels, seed: int) -> Draw:  # noqa: ARG002  # maps are what they are
        """Divide the labelled pixels."""
        return _divide(self.text, labels, [(TRAIN, self.train.classes), (TEST, self.test.classes)])


def both_sides(maps: Mapping[str, Labels]) -> Labels | None:
    """Return the official train and test maps as one label map; None unless they are all that a scene has.

    So are many public scenes published: without a map of all labelled pixels.
    """
    if set(maps) != {TRAIN, TEST}:
        return None
    train, test = maps[TRAIN], maps[TEST]
    _refuse_overlap("official", train.classes != 0, test.classes != 0)
    classes = np.where(train.classes != 0, train.classes, test.classes)
    names = test.class_names | train.class_names
    colours = test.class_colours | train.class_colours
    return Labels(f"{TRAIN}+{TEST}", classes, names, colours)


def _divide(split: str, labels: Labels, maps: Sequence[tuple[str, NDArray[np.integer]]]) -> Draw:
    """Divide by one map, whose pixels train while all others test, or by two."""
    notes = tuple(note for name, given in maps for note in _check(name, given, labels))
    labelled = labels.classes != 0
    train, *rest = (given != 0 for _, given in maps)
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
