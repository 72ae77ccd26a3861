"""Splits by whole blocks, spatially disjoint: ``blocks:PX+BUFFER:F``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.draw import Draw, Kind, divide
from hsifeat.scenes import Labels

# Draws of blocks that are tried until every class keeps training pixels on its side of the buffer.
_TRIES = 30


@dataclass(frozen=True)
class BlocksSplit:
    """``blocks:PX+BUFFER:F``: whole square blocks train until a fraction of the labelled pixels does; spatially disjoint.

    Every class with at least two blocks gets one on either side; training pixels within the buffer of a test pixel
    (Euclidean distance) are dropped.
    """

    block_px: int
    buffer_px: int
    fraction: float
    kind: ClassVar[Kind] = "disjoint"

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"blocks:{self.block_px}+{self.buffer_px}:{np.format_float_positional(self.fraction, trim='-')}"

    def draw(self, labels: Labels, seed: int) -> Draw:
        """Divide the labelled pixels.

        A class whose only training blocks lie wholly within the buffer of test pixels would be lost; so blocks are drawn
        anew, up to 30 times, until no class is, and the draw that loses fewest is taken.
        """
        random = np.random.default_rng(seed)
        best: Draw | None = None
        for _ in range(_TRIES):
            drawn = self._try(labels, random)
            if best is None or len(drawn.left_out) < len(best.left_out):
                best = drawn
            if len(best.left_out) == len(self._single_block_classes(labels)):
                break
        assert best is not None  # noqa: S101  # the loop runs at least once
        return best

    def _blocks(self, labels: Labels) -> NDArray[np.intp]:
        rows, cols = labels.classes.shape
        across = -(-cols // self.block_px)
        return np.asarray((np.arange(rows) // self.block_px)[:, None] * across + np.arange(cols) // self.block_px)

    def _members(self, labels: Labels) -> dict[int, NDArray[np.intp]]:
        """Return the blocks in which each class occurs."""
        blocks = self._blocks(labels)
        return {number: np.unique(blocks[labels.classes == number]) for number in labels.counts}

    def _single_block_classes(self, labels: Labels) -> list[int]:
        return [number for number, blocks in self._members(labels).items() if len(blocks) < 2]

    def _try(self, labels: Labels, random: np.random.Generator) -> Draw:
        blocks, members = self._blocks(labels), self._members(labels)
        on_both = {number: set(of.tolist()) for number, of in members.items() if len(of) >= 2}
        pixels = np.bincount(blocks[labels.classes != 0], minlength=blocks.max() + 1)
        labelled = np.isin(labels.classes, list(on_both))
        chosen: set[int] = set()

        def may_train(block: int) -> bool:
            return block not in chosen and all(of - chosen - {block} for of in on_both.values() if block in of)

        def survives(number: int, block: int) -> bool:
            """Whether some pixel of a class in a block lies beyond the buffer of the test pixels around it."""
            top, left = np.argwhere(blocks == block)[0]
            reach = self.block_px + self.buffer_px
            near = (
                slice(max(top - self.buffer_px, 0), top + reach),
                slice(max(left - self.buffer_px, 0), left + reach),
            )
            train = labelled[near] & np.isin(blocks[near], [*chosen, block])
            clear = self._clear(train, labelled[near] & ~train)
            return bool((clear & (blocks[near] == block) & (labels.classes[near] == number)).any())

        # Rare classes choose first, a block of which something is left; then any block, until enough pixels train.
        for number in sorted(on_both, key=lambda n: len(on_both[n])):
            if any(survives(number, block) for block in on_both[number] & chosen):
                continue
            allowed = [b for b in random.permutation(members[number]).tolist() if may_train(b)]
            lasting = (b for b in allowed if survives(number, b))
            chosen |= set(allowed[:1]) if (first := next(lasting, None)) is None else {first}
        goal = self.fraction * pixels.sum()
        for block in random.permutation(np.flatnonzero(pixels)).tolist():
            if pixels[list(chosen)].sum() >= goal:
                break
            if may_train(block):
                chosen.add(block)
        train = np.isin(blocks, list(chosen)) & labelled
        test = labelled & ~train
        return divide(labels, self._clear(train, test), test)

    def _clear(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Drop the training pixels within the buffer of a test pixel."""
        from scipy.ndimage import distance_transform_edt

        if not self.buffer_px or not test.any():
            return train
        return np.asarray(train & (distance_transform_edt(~test) > self.buffer_px))
