"""Splits of single pixels drawn at random: ``random:F`` and ``per-class:N``. Both leak through context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from classifiers.splits.split_draw import SplitDraw, SplitKind, divide
from hsifeat.scenes import Labels

_LEAST_PIXELS = 3


@dataclass(frozen=True)
class RandomSplit:
    """``random:F``: that fraction of each class, at least 3 pixels."""

    fraction: float
    kind: ClassVar[SplitKind] = "random"

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"random:{np.format_float_positional(self.fraction, trim='-')}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Divide the labelled pixels."""
        return _by_class(labels, seed, lambda count: max(_LEAST_PIXELS, round(self.fraction * count)))


@dataclass(frozen=True)
class PerClassSplit:
    """``per-class:N``: that many pixels of each class."""

    pixels: int
    kind: ClassVar[SplitKind] = "random"

    @property
    def text(self) -> str:
        """The split in the grammar."""
        return f"per-class:{self.pixels}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Divide the labelled pixels."""
        return _by_class(labels, seed, lambda _count: self.pixels)


def _by_class(labels: Labels, seed: int, wanted: Callable[[int], int]) -> SplitDraw:
    random = np.random.default_rng(seed)
    train = np.zeros(labels.classes.shape, dtype=bool)
    for number, count in labels.counts.items():
        pixels = np.flatnonzero(labels.classes == number)
        train.flat[random.permutation(pixels)[: wanted(count)]] = True
    return divide(labels, train, (labels.classes != 0) & ~train)
