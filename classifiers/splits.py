"""Splits of labelled pixels into training and test: one grammar, parsed once; see `interface.md`.

Features of neighbouring pixels share context, so under a random split most test pixels have been seen, nearly, in
training. Only splits by whole blocks with a buffer are spatially disjoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsifeat.errors import SplitError
from hsifeat.scenes import Labels, open_labels

GRAMMAR = "random:F, per-class:N, blocks:PX+BUFFER:F or mask:TRAIN[,TEST]"
_LEAST_PIXELS = 3
# Draws of blocks that are tried until every class keeps training pixels on its side of the buffer.
_TRIES = 30


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of a split.

    Attributes
    ----------
    train, test : (rows, cols) bool arrays
        Pixels of each side; they never overlap, and each class of `train` is in `test` and the other way round.
    left_out : tuple of int
        Classes that can't be on both sides; none of their pixels is on either.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    left_out: tuple[int, ...]


class Split(Protocol):
    """A rule that divides labelled pixels; drawn with a seed."""

    @property
    def text(self) -> str:
        """The split in the grammar."""
        ...

    @property
    def disjoint(self) -> bool:
        """Whether training and test pixels lie apart in space by construction."""
        ...

    def draw(self, labels: Labels, seed: int) -> Draw:
        """Divide the labelled pixels; the same seed gives the same draw."""
        ...


def parse_split(text: str) -> Split:
    """Read a split.

    >>> parse_split("blocks:12+4:0.1")
    BlocksSplit(block_px=12, buffer_px=4, fraction=0.1)

    Raises
    ------
    SplitError
        Not in the grammar, or a number out of range.
    """
    number = r"(\d+(?:\.\d+)?|\.\d+)"
    if match := re.fullmatch(rf"random:{number}", text):
        return RandomSplit(_fraction(match[1], text))
    if match := re.fullmatch(r"per-class:([1-9]\d*)", text):
        return PerClassSplit(int(match[1]))
    if match := re.fullmatch(rf"blocks:([1-9]\d*)\+(\d+):{number}", text):
        return BlocksSplit(int(match[1]), int(match[2]), _fraction(match[3], text))
    if match := re.fullmatch(r"mask:([^,]+)(?:,([^,]+))?", text):
        return MaskSplit(match[1], match[2])
    raise SplitError(f"unknown split {text!r}; allowed: {GRAMMAR}")


def separate(text: str) -> list[str]:
    """Separate splits by commas; the comma within ``mask:TRAIN,TEST`` belongs to the mask.

    >>> separate("random:0.1,mask:a.npy,b.npy,per-class:5")
    ['random:0.1', 'mask:a.npy,b.npy', 'per-class:5']
    """
    splits: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if splits and splits[-1].startswith("mask:") and "," not in splits[-1] and not re.match(r"[a-z-]+:", part):
            splits[-1] += f",{part}"
        else:
            splits.append(part)
    return splits


def _fraction(text: str, split: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise SplitError(f"{split}: the fraction that trains lies between 0 and 1; found {text}")
    return value


@dataclass(frozen=True)
class RandomSplit:
    """``random:F``: that fraction of each class, at least 3 pixels. Leaks through context."""

    fraction: float
    disjoint = False

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"random:{self.fraction:g}"

    def draw(self, labels: Labels, seed: int) -> Draw:
        """Divide the labelled pixels."""
        return _by_class(labels, seed, lambda count: max(_LEAST_PIXELS, round(self.fraction * count)))


@dataclass(frozen=True)
class PerClassSplit:
    """``per-class:N``: that many pixels of each class. Leaks through context."""

    pixels: int
    disjoint = False

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"per-class:{self.pixels}"

    def draw(self, labels: Labels, seed: int) -> Draw:
        """Divide the labelled pixels."""
        return _by_class(labels, seed, lambda _count: self.pixels)


def _by_class(labels: Labels, seed: int, wanted: Callable[[int], int]) -> Draw:
    random = np.random.default_rng(seed)
    train = np.zeros(labels.classes.shape, dtype=bool)
    for number, count in labels.counts.items():
        pixels = np.flatnonzero(labels.classes == number)
        train.flat[random.permutation(pixels)[: wanted(count)]] = True
    return _draw(labels, train, (labels.classes != 0) & ~train)


@dataclass(frozen=True)
class BlocksSplit:
    """``blocks:PX+BUFFER:F``: whole square blocks train until a fraction of the labelled pixels does; spatially disjoint.

    Every class with at least two blocks gets one on either side; training pixels within the buffer of a test pixel
    (Euclidean distance) are dropped.
    """

    block_px: int
    buffer_px: int
    fraction: float
    disjoint = True

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"blocks:{self.block_px}+{self.buffer_px}:{self.fraction:g}"

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
        return _draw(labels, self._clear(train, test), test)

    def _clear(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Drop the training pixels within the buffer of a test pixel."""
        from scipy.ndimage import distance_transform_edt

        if not self.buffer_px or not test.any():
            return train
        return np.asarray(train & (distance_transform_edt(~test) > self.buffer_px))


@dataclass(frozen=True)
class MaskSplit:
    """``mask:TRAIN[,TEST]``: maps from files, where a pixel counts that is not 0; without TEST all others test.

    A map that holds class numbers must agree with the labels; a map of 0 and 1 is a plain mask. The seed plays no part.
    """

    train_file: str
    test_file: str | None
    disjoint = False

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"mask:{self.train_file}" + (f",{self.test_file}" if self.test_file else "")

    def draw(self, labels: Labels, seed: int) -> Draw:  # noqa: ARG002  # a mask is what it is
        """Divide the labelled pixels."""
        train = self._read(self.train_file, labels)
        test = (labels.classes != 0) & ~train if self.test_file is None else self._read(self.test_file, labels)
        both = int((train & test).sum())
        if both:
            raise SplitError(f"{self.text}: {both} pixels both train and test")
        return _draw(labels, train, test)

    @staticmethod
    def _read(file: str, labels: Labels) -> NDArray[np.bool_]:
        given = open_labels(Path(file)).classes
        if given.shape != labels.classes.shape:
            raise SplitError(f"{file} is {given.shape} pixels, but the labels are {labels.classes.shape}")
        wrong = int(((given != labels.classes) & (given != 0)).sum()) if given.max(initial=0) > 1 else 0
        if wrong:
            raise SplitError(
                f"{file} has class numbers, and {wrong} of its {np.count_nonzero(given)} pixels disagree with the labels "
                f"{labels.name!r}: use it as labels as well, or save a mask of 0 and 1"
            )
        return np.asarray((given != 0) & (labels.classes != 0))


def _draw(labels: Labels, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Draw:
    """Leave out the classes that are not on both sides."""
    trained, tested = set(np.unique(labels.classes[train]).tolist()), set(np.unique(labels.classes[test]).tolist())
    kept = (trained & tested) - {0}
    if len(kept) < 2:
        raise SplitError(
            f"only {len(kept)} of {len(labels.counts)} classes have pixels on both sides: draw larger sides"
        )
    inside = np.isin(labels.classes, list(kept))
    return Draw(train & inside, test & inside, tuple(sorted(set(labels.counts) - kept)))


def thin(draw: Draw, labels: Labels, count: int, seed: int) -> Draw:
    """Drop training pixels at random, class by class in proportion, until `count` are left; every class keeps one.

    So splits with different numbers of training pixels can be compared.
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
    return Draw(train, draw.test, draw.left_out)


@dataclass(frozen=True, eq=False)
class BoundSplit:
    """A split bound to the rows of a table, as scikit-learn's ``cv`` wants it: draw k has the seed ``seed + k``."""

    split_rule: Split
    labels: Labels
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    draws: int
    seed: int

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of draws."""
        return self.draws

    def split(
        self,
        X: ArrayLike | None = None,
        y: Any = None,  # noqa: ARG002
        groups: Any = None,  # noqa: ARG002
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield training and test rows of each draw; `SplitError` if `X` has other rows than the table."""
        if X is not None and len(np.asarray(X)) != len(self.rows):
            raise SplitError(f"this splitter belongs to a table of {len(self.rows)} rows; found {len(np.asarray(X))}")
        at = self.rows, self.cols
        # Only the table's rows are divided: a table may be the training side of another split already.
        mine = np.zeros_like(self.labels.classes)
        mine[at] = self.labels.classes[at]
        labels = replace(self.labels, classes=mine)
        for k in range(self.draws):
            drawn = self.split_rule.draw(labels, self.seed + k)
            yield np.flatnonzero(drawn.train[at]), np.flatnonzero(drawn.test[at])
