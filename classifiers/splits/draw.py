"""What a split gives: training and test pixels of one draw, with the same classes on both sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SplitError
from hsifeat.scenes import Labels

# Test pixels lie among the training pixels; apart from them; or where somebody's maps say.
Kind = Literal["random", "disjoint", "given"]


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of a split.

    Attributes
    ----------
    train, test : (rows, cols) bool arrays
        Pixels of each side; they never overlap, and each class of `train` is in `test` and the other way round.
    left_out : tuple of int
        Classes that can't be on both sides; none of their pixels is on either.
    notes : tuple of str
        What a user should know of it.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    left_out: tuple[int, ...]
    notes: tuple[str, ...] = ()


class Split(Protocol):
    """A rule that divides labelled pixels; drawn with a seed."""

    @property
    def text(self) -> str:
        """The split in the grammar."""
        ...

    @property
    def kind(self) -> Kind:
        """How test pixels lie to training pixels by construction."""
        ...

    def draw(self, labels: Labels, seed: int) -> Draw:
        """Divide the labelled pixels; the same seed gives the same draw."""
        ...


def divide(labels: Labels, train: NDArray[np.bool_], test: NDArray[np.bool_], notes: tuple[str, ...] = ()) -> Draw:
    """Make a draw of two sides, without the classes that are not on both; `SplitError` if fewer than two are."""
    trained, tested = set(np.unique(labels.classes[train]).tolist()), set(np.unique(labels.classes[test]).tolist())
    kept = (trained & tested) - {0}
    if len(kept) < 2:
        raise SplitError(
            f"only {len(kept)} of {len(labels.counts)} classes have pixels on both sides: draw larger sides"
        )
    inside = np.isin(labels.classes, list(kept))
    return Draw(train & inside, test & inside, tuple(sorted(set(labels.counts) - kept)), notes)


def thin(draw: Draw, labels: Labels, count: int, seed: int) -> Draw:
    """Drop training pixels at random, class by class in proportion, until `count` are left; every class keeps one.

    So splits with different numbers of training pixels can be compared; a note says what was dropped.
    """
    flat = np.flatnonzero(draw.train)
    if count >= len(flat):
        return draw
    random = np.random.default_rng([seed, 1])
    # Each pixel's rank within its class, in random order: keeping the smallest fractions keeps the proportions.
    classes = labels.classes.flat[flat]
    share = np.empty(len(flat))
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        share[members] = random.permutation(len(members)) / len(members)
    train = np.zeros_like(draw.train)
    train.flat[flat[np.argsort(share, kind="stable")[: max(count, len(np.unique(classes)))]]] = True
    note = (
        f"{np.count_nonzero(train)} of {len(flat)} training pixels are kept with seed {seed}, to match the other splits"
    )
    return replace(draw, train=train, notes=(*draw.notes, note))
