"""The interface of a split, and the draw of training and test pixels that a split returns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
from hsifeat.scenes.scene_blocks import blocks, count_values
from hsifeat.types import as_int

# random: test pixels lie among training pixels; disjoint: they lie in other blocks or scenes; fixed: maps define them.
SplitKind = Literal["random", "disjoint", "fixed"]

# fill in: labels are scattered over the scene, and the rest of it is mapped; carry over: the map continues onto ground that has
# no labels. A score answers one of the two questions only.
SplitQuestion = Literal["fill in", "carry over"]
FILL_IN: SplitQuestion = "fill in"
CARRY_OVER: SplitQuestion = "carry over"


@dataclass(frozen=True, eq=False)
class SplitDraw:
    """Training and test pixels of a split for one seed.

    No pixel is both a training and a test pixel, and every class with test pixels has training pixels. Masks are stored
    as one bit per pixel, to save memory.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the label map.
    train_bits, test_bits : (ceil(rows * cols / 8),) uint8 arrays
        Masks of training and test pixels in row-major order, packed by `numpy.packbits`.
    left_out : tuple of int
        Classes that can't have both training and test pixels. They have no test pixels and are not scored.
    notes : tuple of str
        Remarks for the user.
    validate_bits : (ceil(rows * cols / 8),) uint8 array or None
        Mask of validation pixels, packed by `numpy.packbits`; None if the split has no validation pixels. Validation
        pixels are neither training nor test pixels.
    """

    shape: tuple[int, int]
    train_bits: NDArray[np.uint8]
    test_bits: NDArray[np.uint8]
    left_out: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    validate_bits: NDArray[np.uint8] | None = None

    @classmethod
    def from_masks(
        cls,
        train: NDArray[np.bool_],
        test: NDArray[np.bool_],
        left_out: tuple[int, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Make a `SplitDraw` from masks of training and test pixels.

        Parameters
        ----------
        train, test : (rows, cols) bool arrays
            Masks of training and test pixels.
        left_out : tuple of int
            Classes that can't have both training and test pixels.
        notes : tuple of str
            Remarks for the user.

        Returns
        -------
        SplitDraw
            The draw, on the grid of the masks.
        """
        return cls((train.shape[0], train.shape[1]), np.packbits(train), np.packbits(test), left_out, notes)

    def with_train(self, train: NDArray[np.bool_], *notes: str) -> Self:
        """Return a copy of the draw with other training pixels and additional notes.

        `train` is the (rows, cols) bool mask of the new training pixels.
        """
        return replace(self, train_bits=np.packbits(train), notes=(*self.notes, *notes))

    @property
    def train(self) -> NDArray[np.bool_]:
        """The (rows, cols) bool mask of training pixels. Each access creates a new array."""
        return self._mask(self.train_bits)

    @property
    def test(self) -> NDArray[np.bool_]:
        """The (rows, cols) bool mask of test pixels. Each access creates a new array."""
        return self._mask(self.test_bits)

    @property
    def validate(self) -> NDArray[np.bool_] | None:
        """The (rows, cols) bool mask of validation pixels, or None. Each access creates a new array."""
        return None if self.validate_bits is None else self._mask(self.validate_bits)

    def _mask(self, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.unpackbits(bits, count=self.shape[0] * self.shape[1]).view(np.bool_).reshape(self.shape)


class Split(Protocol):
    """A rule that divides labelled pixels into training and test pixels."""

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        ...

    @property
    def kind(self) -> SplitKind:
        """Kind of the split: ``random``, ``disjoint`` or ``fixed``.

        Random: test pixels lie among training pixels. Disjoint: test pixels lie in other blocks or scenes. Fixed: maps
        define the training and test pixels.
        """
        ...

    @property
    def question(self) -> SplitQuestion | None:
        """What a score on this split measures, see `parse_split_question`; None for a split ``mask:TRAIN[,TEST]``."""
        ...

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Draw training and test pixels. The same seed, an integer from 0, gives the same draw."""
        ...


def check_seed(seed: object) -> None:
    """Raise `SplitError` unless a seed is an integer from 0 of Python or NumPy. With None, NumPy would draw other numbers each time."""
    number = as_int(seed)
    if number is None or number < 0:
        raise SplitError(f"the seed of a split is an integer from 0; found {seed!r:.60}")


def fraction_text(fraction: float) -> str:
    """Format a fraction for the text of a split: the shortest decimal number of the same value, without an exponent.

    >>> fraction_text(0.1), fraction_text(0.00001)
    ('0.1', '0.00001')
    """
    return np.format_float_positional(fraction, trim="-")


def make_draw(
    labels: Labels, train: NDArray[np.bool_], test: NDArray[np.bool_], notes: tuple[str, ...] = ()
) -> SplitDraw:
    """Make a `SplitDraw` from a mask of training pixels and a mask of test pixels.

    Classes that lack training pixels or test pixels are left out.

    Parameters
    ----------
    labels : Labels
        The label map that is divided.
    train, test : (rows, cols) bool arrays
        Masks of training and test pixels.
    notes : tuple of str
        Remarks for the user.

    Returns
    -------
    SplitDraw
        The draw, without the pixels of classes that are left out.

    Raises
    ------
    SplitError
        If fewer than two classes have both training and test pixels.
    """
    train_classes, test_classes = (set(count_values(np.where(side, labels.classes, 0))) for side in (train, test))
    common = (train_classes & test_classes) - {0}
    if len(common) < 2:
        raise SplitError(
            f"only {len(common)} of {len(labels.counts)} classes have pixels on both sides, at least two are needed: label more "
            "pixels of each class, or use a split with other sizes (the fraction, pixels per class, blocks, buffer) or other maps"
        )
    inside = class_mask(labels, common)
    return SplitDraw.from_masks(train & inside, test & inside, tuple(sorted(set(labels.counts) - common)), notes)


def class_mask(labels: Labels, numbers: Collection[int]) -> NDArray[np.bool_]:
    """Return a (rows, cols) bool mask of the pixels whose class is in `numbers`."""
    mask = np.empty_like(labels.classes, np.bool_)
    for block in blocks(*labels.classes.shape):
        mask[block.slices] = np.isin(labels.classes[block.slices], list(numbers))
    return mask


def limit_training_pixels(draw: SplitDraw, labels: Labels, count: int, seed: int) -> SplitDraw:
    """Drop training pixels at random until `count` remain. Each class loses about the same share of its training pixels.

    Splits can then be compared at equal numbers of training pixels.

    Parameters
    ----------
    draw : SplitDraw
        The draw to reduce.
    labels : Labels
        The label map that the draw divides.
    count : int
        Number of training pixels to keep. Every class keeps at least one pixel.
    seed : int
        Seed of the random selection.

    Returns
    -------
    SplitDraw
        The reduced draw, with a note on the dropped pixels. If `draw` has at most `count` training pixels, `draw`
        itself is returned.
    """
    flat = np.flatnonzero(draw.train)
    if count >= len(flat):
        return draw
    rng = np.random.default_rng([seed, 1])
    # Relative rank of each pixel within its class, in random order: keeping the lowest ranks keeps the proportions.
    classes = labels.classes.flat[flat]
    rank = np.empty(len(flat))
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        rank[members] = rng.permutation(len(members)) / len(members)
    train = np.zeros(draw.shape, np.bool_)
    train.flat[flat[np.argsort(rank, kind="stable")[: max(count, len(np.unique(classes)))]]] = True
    note = f"{np.count_nonzero(train)} of {len(flat)} training pixels are kept, to match the other splits"
    return draw.with_train(train, note)
