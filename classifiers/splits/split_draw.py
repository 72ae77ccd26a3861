"""What a split gives: training and test pixels of one draw, with the same classes on both sides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
from hsifeat.scenes.blocks import blocks, count_values

# Test pixels lie among the training pixels; apart from them; or where somebody's maps say.
SplitKind = Literal["random", "disjoint", "fixed"]


@dataclass(frozen=True, eq=False)
class SplitDraw:
    """One draw of a split. Its sides never overlap, and each class of one is in the other.

    A comparison holds a draw for each split and seed, so sides are held as bits: a quarter of a byte a pixel for both.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    train_bits, test_bits : (ceil(rows * cols / 8),) uint8 arrays
        The pixels of each side, row after row, as `numpy.packbits` packs them.
    left_out : tuple of int
        Classes that can't be on both sides; none of their pixels is on either.
    notes : tuple of str
        What a user should know of it.
    """

    shape: tuple[int, int]
    train_bits: NDArray[np.uint8]
    test_bits: NDArray[np.uint8]
    left_out: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        train: NDArray[np.bool_],
        test: NDArray[np.bool_],
        left_out: tuple[int, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Make a draw of masks, (rows, cols) bool arrays."""
        return cls((train.shape[0], train.shape[1]), np.packbits(train), np.packbits(test), left_out, notes)

    def with_train(self, train: NDArray[np.bool_], *notes: str) -> Self:
        """Return the draw with other training pixels, (rows, cols) bool, and with more notes."""
        return replace(self, train_bits=np.packbits(train), notes=(*self.notes, *notes))

    @property
    def train(self) -> NDArray[np.bool_]:
        """Pixels that train: a (rows, cols) bool array, made anew."""
        return self._mask(self.train_bits)

    @property
    def test(self) -> NDArray[np.bool_]:
        """Pixels that test: a (rows, cols) bool array, made anew."""
        return self._mask(self.test_bits)

    def _mask(self, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.unpackbits(bits, count=self.shape[0] * self.shape[1]).view(np.bool_).reshape(self.shape)


class Split(Protocol):
    """A rule that divides labelled pixels; drawn with a seed."""

    @property
    def text(self) -> str:
        """The split in the grammar."""
        ...

    @property
    def kind(self) -> SplitKind:
        """How test pixels lie to training pixels by construction."""
        ...

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Divide the labelled pixels; the same seed gives the same draw."""
        ...


def divide(labels: Labels, train: NDArray[np.bool_], test: NDArray[np.bool_], notes: tuple[str, ...] = ()) -> SplitDraw:
    """Make a draw of two sides, without the classes that are not on both; `SplitError` if fewer than two are."""
    trained, tested = (set(count_values(np.where(side, labels.classes, 0))) for side in (train, test))
    kept = (trained & tested) - {0}
    if len(kept) < 2:
        raise SplitError(
            f"only {len(kept)} of {len(labels.counts)} classes have pixels on both sides: draw larger sides"
        )
    inside = of_classes(labels, kept)
    return SplitDraw.of(train & inside, test & inside, tuple(sorted(set(labels.counts) - kept)), notes)


def of_classes(labels: Labels, numbers: Collection[int]) -> NDArray[np.bool_]:
    """Return which pixels are of some classes: a (rows, cols) bool array, made block by block."""
    found = np.empty_like(labels.classes, np.bool_)
    for block in blocks(*labels.classes.shape):
        found[block.slices] = np.isin(labels.classes[block.slices], list(numbers))
    return found


def limit_training_pixels(draw: SplitDraw, labels: Labels, count: int, seed: int) -> SplitDraw:
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
    train = np.zeros(draw.shape, np.bool_)
    train.flat[flat[np.argsort(share, kind="stable")[: max(count, len(np.unique(classes)))]]] = True
    note = (
        f"{np.count_nonzero(train)} of {len(flat)} training pixels are kept with seed {seed}, to match the other splits"
    )
    return draw.with_train(train, note)
