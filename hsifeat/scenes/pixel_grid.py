"""Interface of objects that have a grid of pixels: scenes and label maps."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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
