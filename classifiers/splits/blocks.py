"""Splits by whole blocks, spatially disjoint: ``blocks:PX+BUFFER:F``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import SplitDraw, SplitKind, divide, of_classes
from hsifeat.scenes import Labels

# Draws of blocks that are tried until every class keeps training pixels on its side of the buffer.
_TRIES = 30
# Distances are measured over about so many pixels at a time.
_PIXELS = 2**18


@dataclass(frozen=True)
class BlocksSplit:
    """``blocks:PX+BUFFER:F``: whole square blocks train until a fraction of the labelled pixels does; spatially disjoint.

    Every class with at least two blocks gets one on either side; training pixels within the buffer of a test pixel
    (Euclidean distance) are dropped.
    """

    block_px: int
    buffer_px: int
    fraction: float
    kind: ClassVar[SplitKind] = "disjoint"

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"blocks:{self.block_px}+{self.buffer_px}:{np.format_float_positional(self.fraction, trim='-')}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Divide the labelled pixels.

        A class whose only training blocks lie wholly within the buffer of test pixels would be lost; so blocks are drawn
        anew, up to 30 times, until no class is, and the draw that loses fewest is taken.
        """
        random = np.random.default_rng(seed)
        blocks = _Blocks.of(labels, self.block_px, self.buffer_px)
        single = len(blocks.members) - len(blocks.on_both)
        best: SplitDraw | None = None
        for _ in range(_TRIES):
            drawn = _Choice(blocks).draw(self.fraction, random)
            if best is None or len(drawn.left_out) < len(best.left_out):
                best = drawn
            if len(best.left_out) == single:
                break
        assert best is not None  # noqa: S101  # the loop runs at least once
        return best


@dataclass(frozen=True, eq=False)
class _Blocks:
    """A label map cut into blocks, numbered row by row.

    Attributes
    ----------
    members : dict of int to array
        The blocks in which each class occurs, ascending.
    on_both : dict of int to set
        Those of the classes that have at least two, and can stand on both sides.
    pixels : (blocks,) integer array
        Labelled pixels of each block.
    """

    labels: Labels
    block_px: int
    buffer_px: int
    grid: tuple[int, int]
    members: dict[int, NDArray[np.intp]]
    on_both: dict[int, set[int]]
    pixels: NDArray[np.intp]

    @classmethod
    def of(cls, labels: Labels, block_px: int, buffer_px: int) -> Self:
        """Count what lies in the blocks of a label map, a row of blocks at a time."""
        rows, cols = labels.classes.shape
        down, across = -(-rows // block_px), -(-cols // block_px)
        column = np.arange(cols) // block_px
        found: dict[int, list[NDArray[np.intp]]] = {number: [] for number in labels.counts}
        pixels = np.zeros(down * across, np.intp)
        for row in range(down):
            band = labels.classes[row * block_px : (row + 1) * block_px]
            labelled = band != 0
            pixels[row * across : (row + 1) * across] = np.bincount(column, labelled.sum(axis=0), across)
            for number in np.unique(band[labelled]).tolist():
                found[number].append(row * across + np.unique(column[(band == number).any(axis=0)]))
        members = {number: np.concatenate(blocks) for number, blocks in found.items()}
        on_both = {number: set(of.tolist()) for number, of in members.items() if len(of) >= 2}
        return cls(labels, block_px, buffer_px, (down, across), members, on_both, pixels)

    def clear(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Drop the training pixels within the buffer of a test pixel; some rows at a time, with as many around them."""
        from scipy.ndimage import distance_transform_edt

        if not self.buffer_px:
            return train
        clear = train.copy()
        height = max(_PIXELS // train.shape[1], self.buffer_px)
        for top in range(0, len(train), height):
            first = max(top - self.buffer_px, 0)
            near = test[first : top + height + self.buffer_px]
            if near.any():
                far = distance_transform_edt(~near) > self.buffer_px
                clear[top : top + height] &= far[top - first : top - first + height]
        return clear


class _Choice:
    """Blocks that train, chosen one after the other."""

    def __init__(self, blocks: _Blocks) -> None:
        self.blocks = blocks
        self.trains = np.zeros(blocks.grid, np.bool_)
        # How many blocks of each class do not train: one must be left to test.
        self.left = {number: len(of) for number, of in blocks.on_both.items()}

    def draw(self, fraction: float, random: np.random.Generator) -> SplitDraw:
        """Choose blocks at random until a fraction of the labelled pixels lies in them."""
        members, pixels = self.blocks.members, self.blocks.pixels
        # Rare classes choose first, a block of which something is left; then any block, until enough pixels train.
        for number in sorted(self.left, key=lambda n: len(members[n])):
            if any(self._survives(number, block) for block in members[number].tolist() if self.trains.flat[block]):
                continue
            allowed = [b for b in random.permutation(members[number]).tolist() if self._may_train(b)]
            lasting = next((b for b in allowed if self._survives(number, b)), None)
            for block in allowed[:1] if lasting is None else [lasting]:
                self._choose(block)
        goal, size = fraction * pixels.sum(), int(pixels[self.trains.ravel()].sum())
        for block in random.permutation(np.flatnonzero(pixels)).tolist():
            if size >= goal:
                break
            if self._may_train(block):
                self._choose(block)
                size += int(pixels[block])
        return self._divide()

    def _may_train(self, block: int) -> bool:
        left = (self.left[number] for number, of in self.blocks.on_both.items() if block in of)
        return not self.trains.flat[block] and all(count > 1 for count in left)

    def _choose(self, block: int) -> None:
        self.trains.flat[block] = True
        for number, of in self.blocks.on_both.items():
            self.left[number] -= block in of

    def _survives(self, number: int, block: int) -> bool:
        """Tell whether some pixel of a class in a block would lie beyond the buffer of the test pixels around it."""
        side, buffer, classes = self.blocks.block_px, self.blocks.buffer_px, self.blocks.labels.classes
        row, col = divmod(block, self.blocks.grid[1])
        rows, cols = (
            np.arange(max(at * side - buffer, 0), min((at + 1) * side + buffer, length))
            for at, length in zip((row, col), classes.shape, strict=True)
        )
        near = classes[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        mine = (rows // side == row)[:, None] & (cols // side == col)
        labelled = np.isin(near, list(self.left))
        train = labelled & (mine | self.trains[np.ix_(rows // side, cols // side)])
        return bool((self.blocks.clear(train, labelled & ~train) & mine & (near == number)).any())

    def _divide(self) -> SplitDraw:
        labels, side = self.blocks.labels, self.blocks.block_px
        test = of_classes(labels, self.left)
        train = np.zeros_like(test)
        column = np.arange(test.shape[1]) // side
        for row, trains in enumerate(self.trains):
            band = slice(row * side, (row + 1) * side)
            train[band] = test[band] & trains[column]
        test &= ~train
        return divide(labels, self.blocks.clear(train, test), test)
