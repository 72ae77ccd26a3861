"""Splits that draw single pixels at random: ``random:F`` and ``per-class:N``.

Both splits leak: the features of most test pixels depend on nearby training pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from classifiers.splits.split_draw import (
    FILL_IN,
    SplitDraw,
    SplitKind,
    SplitQuestion,
    check_seed,
    fraction_text,
    make_draw,
)
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
        return f"random:{fraction_text(self.fraction)}"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Draw training pixels of each class at random; all other labelled pixels are test pixels."""
        return _draw_by_class(labels, seed, lambda count: max(_MIN_PIXELS, round(self.fraction * count)))


@dataclass(frozen=True)
class PerClassSplit:
    """``per-class:N``: train on N pixels of each class, but at most on half of a class.

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
        """Draw training pixels of each class at random; all other labelled pixels are test pixels.

        If a class has fewer than 2 N pixels (N as in ``per-class:N``), half of them are training pixels, and a note
        names the class. A class with a single pixel is left out.

        Raises
        ------
        SplitError
            If fewer than two classes have at least two pixels.
        """
        draw = _draw_by_class(labels, seed, lambda count: min(self.pixels, count // 2))
        return replace(draw, notes=(*draw.notes, *self._notes(labels)))

    def _notes(self, labels: Labels) -> list[str]:
        small = [
            f"{labels.class_names[number]} on {count // 2}"
            for number, count in labels.counts.items()
            if 2 <= count < 2 * self.pixels
        ]
        return [f"at most half of a class trains: {', '.join(small)} instead of {self.pixels} pixels"] if small else []


def _draw_by_class(labels: Labels, seed: int, train_count: Callable[[int], int]) -> SplitDraw:
    """Draw training pixels of each class at random.

    `train_count` takes the number of pixels of a class and returns the number of training pixels.
    """
    check_seed(seed)
    rng = np.random.default_rng(seed)
    train = np.zeros(labels.classes.shape, dtype=bool)
    for number, count in labels.counts.items():
        pixels = np.flatnonzero(labels.classes == number)
        train.flat[rng.permutation(pixels)[: train_count(count)]] = True
    return make_draw(labels, train, (labels.classes != 0) & ~train)
