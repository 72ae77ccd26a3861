"""Windows: one around each pixel of a list, and what is kept of what the model saw there.

This is how MTMSD extracts (its public code, `feature_extract.py`): each layer's map is brought to the window's size by
bilinear interpolation; the value at the centre and the mean over the window are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError
from hsifeat.extraction.tiling.pixel_list import Pixels
from hsifeat.store.layout import UNIT_PIXELS, PixelListLayout, PlaneSpec
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PixelWindows:
    """A window around each pixel of a list.

    Attributes
    ----------
    pixels : Pixels
        Which; row i of a plane is pixel i.
    side : int
        Of a window in pixels; its pixel lies at (side // 2, side // 2) of it.
    """

    pixels: Pixels
    side: int
    blends: ClassVar = False

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of what the model sees at once."""
        return self.side, self.side

    @property
    def layout(self) -> PixelListLayout:
        """Shape and units of the planes of a new store."""
        return PixelListLayout(len(self.pixels.rows), self.side, UNIT_PIXELS)

    def seen(self, part: Window, valid: NDArray[np.bool_]) -> list[Window]:  # noqa: ARG002  # all pixels of a list are valid
        """List the windows of the pixels in a part of the list; they may reach beyond the scene."""
        some, half = slice(part.row, part.row + part.rows), self.side // 2
        corners = zip(self.pixels.rows[some] - half, self.pixels.cols[some] - half, strict=True)
        return [Window(int(row), int(col), self.side, self.side) for row, col in corners]

    def count(self, part: Window, valid: NDArray[np.bool_]) -> int:  # noqa: ARG002  # see `seen`
        """Count what `seen` lists."""
        return part.rows


def around(pixels: Pixels, *, tile_px: int, multiple: int) -> PixelWindows:
    """Lay a window around each pixel; `HsifeatError` unless its side is a multiple of the coarsest stride."""
    if tile_px < 1 or tile_px % multiple:
        raise HsifeatError(
            f"a window of {tile_px} px must be a multiple of {multiple}, the coarsest stride of this backbone"
        )
    return PixelWindows(pixels, tile_px)


class WindowRows:
    """A unit's rows of a plane, being made: the value at each pixel, and the mean over its window."""

    def __init__(self, plane: PlaneSpec, windows: PixelWindows, part: Window) -> None:
        self._side = windows.side
        self._values = np.empty((part.rows, 2, plane.channels), plane.dtype)
        self._filled = 0

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Lay in the next windows' taps (n, channels, cell rows, cell cols)."""
        end = self._filled + len(tiles)
        with np.errstate(over="ignore"):  # Overflow is looked for, and refused, once the unit is whole.
            self._values[self._filled : end] = centre_and_mean(maps.float(), self._side).cpu().numpy()
        self._filled = end

    def finish(self) -> NDArray[np.generic]:
        """Return the rows (pixels, 2, channels)."""
        return self._values


def centre_and_mean(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Interpolate maps to windows; keep the value at the centre pixel, and the mean over all pixels.

    Both are sums of cells with fixed weights, so no map of full size is built.

    Parameters
    ----------
    maps : (n, channels, cell rows, cell cols) float32 tensor
        A tap.
    side : int
        Of a window in pixels.

    Returns
    -------
    (n, 2, channels) float32 tensor
        What ``interpolate(maps, (side, side), mode="bilinear", align_corners=False)`` is at (side // 2, side // 2), and
        its mean.
    """
    import torch

    down, across = (_weights(cells, side).to(maps.device) for cells in maps.shape[2:])
    return torch.einsum("ncyx,ky,kx->nkc", maps, down, across)


@cache
def _weights(cells: int, side: int) -> torch.Tensor:
    """Return what each of an axis' cells weighs in the pixel at side // 2, and in the mean over all: (2, cells) float32."""
    import torch
    from torch.nn.functional import interpolate

    weights = interpolate(torch.eye(cells, dtype=torch.float64)[None], size=side, mode="linear", align_corners=False)[0]
    return torch.stack([weights[:, side // 2], weights.mean(dim=1)]).float()
