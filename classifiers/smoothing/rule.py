"""Base class of smoothing rules, and the tiles of class probabilities that they smooth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.runtime.events import Listener, silent


@dataclass(frozen=True, eq=False)
class ProbabilityTile:
    """Class probabilities of a rectangle of a scene.

    Attributes
    ----------
    probabilities : (rows, cols, C) float64 array
        Probability of each class, 0 at invalid pixels. The probabilities of a valid pixel sum to 1.
    valid : (rows, cols) bool array
        True at the pixels that have probabilities.
    guide : (rows, cols, K) float64 array or None
        Image that guides the smoothing, 0 at invalid pixels, see `SceneGuide`; None for rules without a guide.
    row, col : int
        Row and column, in the scene, of the upper left pixel of the tile.
    listen : callable
        Receives notes on the smoothing.
    """

    probabilities: NDArray[np.float64]
    valid: NDArray[np.bool_]
    guide: NDArray[np.float64] | None = None
    row: int = 0
    col: int = 0
    listen: Listener = silent

    @property
    def image(self) -> NDArray[np.float64]:
        """The attribute `guide`, a (rows, cols, K) float64 array. Only rules that use a guide may read this property.

        Raises
        ------
        ValueError
            If the tile has no guide.
        """
        if self.guide is None:
            raise ValueError("this rule needs a guide")
        return self.guide


@dataclass(frozen=True)
class SmoothingRule(ABC):
    """Base class of rules that smooth class probabilities over a scene.

    A rule is registered as an entry point of the group ``hsifeat.smoothing``. The name of the entry point is used in
    ``--smooth NAME:ARGUMENT``. Invalid pixels do not affect other pixels. Smoothed values at invalid pixels are arbitrary.
    """

    name: ClassVar[str]
    """Name of the entry point."""
    form: ClassVar[str]
    """Form of the value of ``--smooth`` in help texts and messages, such as ``gaussian:SIGMA``."""
    guided: ClassVar[bool] = False
    """Whether the rule needs an image of the scene as a guide."""

    @classmethod
    @abstractmethod
    def parse(cls, argument: str) -> Self:
        """Return the rule for the argument after the colon in ``--smooth NAME:ARGUMENT``.

        Raises
        ------
        HsifeatError
            If ``NAME:ARGUMENT`` does not have the form in the class attribute `form`. If `argument` is out of range.
        """

    @property
    @abstractmethod
    def text(self) -> str:
        """Value of ``--smooth`` that selects this rule."""

    @property
    @abstractmethod
    def reach_px(self) -> int | None:
        """Largest distance in pixels at which one pixel affects another; None if there is no limit.

        The distance is the larger of the distances along rows and along columns.
        """

    @abstractmethod
    def smooth(self, tile: ProbabilityTile) -> NDArray[np.float64]:
        """Smooth the class probabilities of a tile.

        Parameters
        ----------
        tile : ProbabilityTile
            Class probabilities. Tiles can overlap. If a pixel and all scene pixels within `reach_px` of it lie in two
            tiles, the results at this pixel must be bit-identical for both tiles.

        Returns
        -------
        (rows, cols, C) float64 array
            Smoothed probabilities, which sum to 1 at valid pixels. Values at invalid pixels are arbitrary.
        """

    def working_bytes(self, pixels: int, classes: int) -> int:
        """Return the memory, in bytes, that `smooth` needs for a tile of `pixels` pixels and `classes` classes."""
        return 32 * pixels * classes

    @classmethod
    def _number(cls, text: str, low: float, high: float) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (isfinite(value) and low <= value <= high):
            raise HsifeatError(f"smoothing {cls.form} takes numbers from {low:g} to {high:g}; found {text!r}")
        return value

    @classmethod
    def _whole(cls, text: str, low: int, high: int) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise HsifeatError(f"smoothing {cls.form} takes whole numbers from {low} to {high}; found {text!r}")
        return int(text)


def normalise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale the values of each pixel to a sum of 1. A pixel whose values are all 0 stays unchanged.

    `values` is a (rows, cols, C) float64 array of non-negative values.
    """
    total = values.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(values, total, out=np.zeros_like(values), where=total > 0), np.float64)
