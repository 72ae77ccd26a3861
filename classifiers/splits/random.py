"""Splits that draw single pixels at random: ``random:F`` and ``per-class:N``.

Both splits leak, since most test pixels have training pixels in their surroundings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from classifiers.splits.split_draw import FILL_IN, SplitDraw, SplitKind, SplitQuestion, make_draw
from hsifeat.scenes import Labels

_MIN_PIXELS = 3


@dataclass(frozen=True)
class RandomSplit:
    """``random:F``: train on the fraction F of each class, but at least on 3 pixels of the class.

    Examples
    --------
    >>> RandomSplit(0.1).text
    'random:0.1'
    """

    fraction: float
    kind: ClassVar[SplitKind] = "random"
    question: ClassVar[SplitQuestion] = FILL_IN

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        return f"random:{np.format_float_positional(self.fraction, trim='-')}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Draw training pixels of each class at random; all other labelled pixels are test pixels."""
        return _draw_by_class(labels, seed, lambda count: max(_MIN_PIXELS, round(self.fraction * count)))


@dataclass(frozen=True)
class PerClassSplit:
    """``per-class:N``: train on N pixels of each class.

    Examples
    --------
    >>> PerClassSplit(20).text
    'per-class:20'
    """

    pixels: int
    kind: ClassVar[SplitKind] = "random"
    question: ClassVar[SplitQuestion] = FILL_IN

    @property
    def text(self) -> str:
        """The split in the grammar of `parse_split`."""
        return f"per-class:{self.pixels}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Draw training pixels of each class at random; all other labelled pixels are test pixels."""
        return _draw_by_class(labels, seed, lambda _count: self.pixels)


def _draw_by_class(labels: Labels, seed: int, train_count: Callable[[int], int]) -> SplitDraw:
    """Draw training pixels of each class at random; `train_count` returns their number for a class size."""
    rng = np.random.default_rng(seed)
    train = np.zeros(labels.classes.shape, dtype=bool)
    for number, count in labels.counts.items():
        pixels = np.flatnonzero(labels.classes == number)
        train.flat[rng.permutation(pixels)[: train_count(count)]] = True
    return make_draw(labels, train, (labels.classes != 0) & ~train)
