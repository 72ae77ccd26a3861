"""Spatially disjoint splits by whole blocks: ``blocks:PX+BUFFER:F``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.distances import drop_near
from classifiers.splits.split_draw import (
    CARRY_OVER,
    SplitDraw,
    SplitKind,
    SplitQuestion,
    check_seed,
    class_mask,
    fraction_text,
    make_draw,
)
from hsifeat.scenes import Labels

# A draw in which a class has no training pixels outside the buffer is repeated, up to this number of draws.
_MAX_TRIES = 30


@dataclass(frozen=True)
class BlocksSplit:
    """``blocks:PX+BUFFER:F``: train on whole square blocks that hold the fraction F of the labelled pixels.

    A class that occurs in at least two blocks has at least one training block and one test block. Training pixels
    within the buffer of a test pixel (Euclidean distance) are dropped. Roberts et al. (Ecography 2017) discuss splits
    by spatial blocks.

    Attributes
    ----------
    block_px : int
        Side PX of a block in pixels.
    buffer_px : int
        Width BUFFER, in pixels, of the buffer around each test pixel.
    fraction : float
        Fraction F of the labelled pixels to draw for training, before the buffer is applied.

    Examples
    --------
    >>> BlocksSplit(12, 4, 0.1).text
    'blocks:12+4:0.1'
    """

    block_px: int
    buffer_px: int
    fraction: float
    kind: ClassVar[SplitKind] = "disjoint"
    question: ClassVar[SplitQuestion] = CARRY_OVER

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        return f"blocks:{self.block_px}+{self.buffer_px}:{fraction_text(self.fraction)}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Draw training and test blocks at random.

        A class that occurs in a single block is always lost. Any other class is lost if all its training pixels lie
        within the buffer of test pixels. The draw is repeated, up to 30 times, until no other class is lost. The result
        is the draw that loses the fewest classes.
        """
        return draw_blocks(labels, self.block_px, self.buffer_px, self.fraction, seed)[1]


def draw_blocks(
    labels: Labels, block_px: int, buffer_px: int, fraction: float, seed: int
) -> tuple[NDArray[np.bool_], SplitDraw]:
    """Draw training and test blocks at random. `BlocksSplit.draw` describes how draws are repeated.

    Parameters
    ----------
    labels : Labels
        Classes of the pixels.
    block_px : int
        Side of a block in pixels.
    buffer_px : int
        Width of the buffer around test pixels, in pixels.
    fraction : float
        Fraction of the labelled pixels to draw for training, before the buffer is applied.
    seed : int
        Seed of the draw.

    Returns
    -------
    training : (rows, cols) bool array
        Mask of all pixels of the training blocks, including unlabelled pixels.
    draw : SplitDraw
        The labelled pixels of training and test blocks. Training pixels within the buffer are dropped.
    """
    check_seed(seed)
    rng = np.random.default_rng(seed)
    blocks = _BlockGrid.from_labels(labels, block_px, buffer_px)
    single_block_classes = len(blocks.members) - len(blocks.divisible)
    best: tuple[_BlockSelection, SplitDraw] | None = None
    for _ in range(_MAX_TRIES):
        selection = _BlockSelection(blocks)
        candidate = selection.draw(fraction, rng)
        if best is None or len(candidate.left_out) < len(best[1].left_out):
            best = selection, candidate
        if len(best[1].left_out) == single_block_classes:
            break
    assert best is not None  # noqa: S101  # the loop runs at least once
    return best[0].pixels, best[1]


@dataclass(frozen=True, eq=False)
class _BlockGrid:
    """A label map divided into square blocks, which are numbered in row-major order.

    Attributes
    ----------
    labels : Labels
        The label map.
    block_px, buffer_px : int
        Side of a block and width of the buffer in pixels.
    grid : (int, int)
        Number of blocks down and across.
    members : dict of int to (k,) intp array
        Numbers of the blocks in which each class occurs, ascending.
    divisible : dict of int to set
        As `members`, but only for the classes that occur in at least two blocks. Such a class can have training blocks
        and test blocks.
    pixels : (blocks,) intp array
        Number of labelled pixels of each block.
    """

    labels: Labels
    block_px: int
    buffer_px: int
    grid: tuple[int, int]
    members: dict[int, NDArray[np.intp]]
    divisible: dict[int, set[int]]
    pixels: NDArray[np.intp]

    @classmethod
    def from_labels(cls, labels: Labels, block_px: int, buffer_px: int) -> Self:
        """Divide a label map into blocks. Find the classes and count the labelled pixels of each block.

        The map is read one row of blocks at a time.
        """
        rows, cols = labels.classes.shape
        down, across = -(-rows // block_px), -(-cols // block_px)
        column = np.arange(cols) // block_px
        occurrences: dict[int, list[NDArray[np.intp]]] = {number: [] for number in labels.counts}
        pixels = np.zeros(down * across, np.intp)
        for row in range(down):
            band = labels.classes[row * block_px : (row + 1) * block_px]
            labelled = band != 0
            pixels[row * across : (row + 1) * across] = np.bincount(column, labelled.sum(axis=0), across)
            for number in np.unique(band[labelled]).tolist():
                occurrences[number].append(row * across + np.unique(column[(band == number).any(axis=0)]))
        members = {number: np.concatenate(blocks) for number, blocks in occurrences.items()}
        divisible = {number: set(blocks.tolist()) for number, blocks in members.items() if len(blocks) >= 2}
        return cls(labels, block_px, buffer_px, (down, across), members, divisible, pixels)

    def drop_buffer(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a (rows, cols) bool mask of the training pixels that are not within the buffer of any test pixel."""
        return drop_near(train, test, self.buffer_px) if self.buffer_px else train


class _BlockSelection:
    """A growing set of training blocks; all other blocks are test blocks."""

    def __init__(self, blocks: _BlockGrid) -> None:
        self.blocks = blocks
        self.training = np.zeros(blocks.grid, np.bool_)
        # Number of test blocks of each class, of which at least one must remain.
        self.remaining = {number: len(members) for number, members in blocks.divisible.items()}

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """Mask of the pixels of the training blocks: (rows, cols) bool."""
        rows, cols = (np.arange(length) // self.blocks.block_px for length in self.blocks.labels.classes.shape)
        return self.training[np.ix_(rows, cols)]

    def draw(self, fraction: float, rng: np.random.Generator) -> SplitDraw:
        """Select random training blocks and return the draw.

        The training blocks hold the fraction `fraction` of the labelled pixels.
        """
        members, pixels = self.blocks.members, self.blocks.pixels
        # First select for each class, rarest first, a block with pixels outside the buffer. Then add blocks up to the fraction.
        for number in sorted(self.remaining, key=lambda n: len(members[n])):
            if any(self._survives(number, block) for block in members[number].tolist() if self.training.flat[block]):
                continue
            allowed = [b for b in rng.permutation(members[number]).tolist() if self._may_train(b)]
            surviving = next((b for b in allowed if self._survives(number, b)), None)
            for block in allowed[:1] if surviving is None else [surviving]:
                self._select(block)
        goal, size = fraction * pixels.sum(), int(pixels[self.training.ravel()].sum())
        for block in rng.permutation(np.flatnonzero(pixels)).tolist():
            if size >= goal:
                break
            if self._may_train(block):
                self._select(block)
                size += int(pixels[block])
        return self._divide()

    def _may_train(self, block: int) -> bool:
        remaining = (self.remaining[number] for number, members in self.blocks.divisible.items() if block in members)
        return not self.training.flat[block] and all(count > 1 for count in remaining)

    def _select(self, block: int) -> None:
        self.training.flat[block] = True
        for number, members in self.blocks.divisible.items():
            self.remaining[number] -= block in members

    def _survives(self, number: int, block: int) -> bool:
        """Return whether training block `block` keeps a pixel of class `number` outside the buffer of test pixels."""
        side, buffer, classes = self.blocks.block_px, self.blocks.buffer_px, self.blocks.labels.classes
        row, col = divmod(block, self.blocks.grid[1])
        rows, cols = (
            np.arange(max(at * side - buffer, 0), min((at + 1) * side + buffer, length))
            for at, length in zip((row, col), classes.shape, strict=True)
        )
        near = classes[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        inside = (rows // side == row)[:, None] & (cols // side == col)
        labelled = np.isin(near, list(self.remaining))
        train = labelled & (inside | self.training[np.ix_(rows // side, cols // side)])
        return bool((self.blocks.drop_buffer(train, labelled & ~train) & inside & (near == number)).any())

    def _divide(self) -> SplitDraw:
        labels = self.blocks.labels
        test = class_mask(labels, self.remaining)
        train = test & self.pixels
        test &= ~train
        return make_draw(labels, self.blocks.drop_buffer(train, test), test)
