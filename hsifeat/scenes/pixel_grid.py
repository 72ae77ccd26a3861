"""Interface of objects that have a grid of pixels: scenes and label maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from hsifeat.scenes.georeference import Georeference


@runtime_checkable
class PixelGrid(Protocol):
    """A named grid of pixels, with its position on the ground if known."""

    @property
    def name(self) -> str:
        """Name of the scene or label map in messages."""
        ...

    @property
    def rows(self) -> int:
        """Number of rows of pixels."""
        ...

    @property
    def cols(self) -> int:
        """Number of columns of pixels."""
        ...

    @property
    def georeference(self) -> Georeference | None:
        """Position of the grid, or None if unknown."""
        ...


PIXELS = Georeference(None, (1.0, 0.0, -0.5, 0.0, 1.0, -0.5))
"""Georeference of a scene in its own pixel coordinates, where the centre of the first pixel is (0, 0)."""


@dataclass(frozen=True)
class PlacedGrid:
    """A grid of pixels at a position.

    Attributes
    ----------
    name, rows, cols, georeference
        See `PixelGrid`.
    """

    name: str
    rows: int
    cols: int
    georeference: Georeference | None

    @classmethod
    def in_pixels(cls, grid: PixelGrid, georeference: Georeference = PIXELS) -> Self:
        """Return the grid of a scene in its own pixels, or at another position in pixels."""
        return cls(grid.name, grid.rows, grid.cols, georeference)
