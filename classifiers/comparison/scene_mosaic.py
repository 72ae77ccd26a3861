"""Arrangement of the maps of several scenes in one image, for the page of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.types import Window

# Width in pixels of the empty border between two scenes.
_BORDER_PX = 4


@dataclass(frozen=True)
class SceneMosaic:
    """Compact arrangement of several scenes in one image.

    On the grid of a benchmark, the scenes are stacked vertically with wide gaps. The image has no wide gaps.

    Attributes
    ----------
    sources : tuple of Window
        Window of each scene on the grid of the benchmark.
    places : tuple of Window
        Window of each scene in the image.

    Examples
    --------
    >>> mosaic = SceneMosaic.arrange([Window(0, 0, 2, 2), Window(100, 0, 2, 3)])
    >>> mosaic.places[1], mosaic.shape
    (Window(row=0, col=6, rows=2, cols=3), (2, 9))
    """

    sources: tuple[Window, ...]
    places: tuple[Window, ...]

    @classmethod
    def arrange(cls, sources: Sequence[Window]) -> SceneMosaic:
        """Place scenes from left to right in rows, so that the image is about as wide as high."""
        area = sum((one.rows + _BORDER_PX) * (one.cols + _BORDER_PX) for one in sources)
        width = max(*(one.cols for one in sources), int(np.ceil(area**0.5)), 1) + _BORDER_PX
        places: list[Window] = []
        row = col = height = 0
        for one in sources:
            if col and col + one.cols > width:
                row, col, height = row + height + _BORDER_PX, 0, 0
            places.append(Window(row, col, one.rows, one.cols))
            col, height = col + one.cols + _BORDER_PX, max(height, one.rows)
        return cls(tuple(sources), tuple(places))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return (
            max(place.row + place.rows for place in self.places),
            max(place.col + place.cols for place in self.places),
        )

    def assemble(self, grid: NDArray[Any]) -> NDArray[Any]:
        """Move each scene of a map from its window in `sources` to its window in `places`.

        `grid` is a map on the grid of the benchmark, a (rows, cols) or (rows, cols, k) array. The result has the dtype
        of `grid`. Pixels between scenes are 0. If there is only one scene, `grid` is returned unchanged.
        """
        if len(self.sources) == 1:
            return grid
        return self.join([grid[source.slices] for source in self.sources])

    def join(self, maps: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return one map that contains the map of each scene at its window in `places`.

        `maps` are (rows, cols) or (rows, cols, k) arrays, one for each scene. The result has their common dtype. Pixels between
        scenes are 0.
        """
        image = np.zeros((*self.shape, *maps[0].shape[2:]), np.result_type(*maps))
        for place, values in zip(self.places, maps, strict=True):
            image[place.slices] = values
        return image
