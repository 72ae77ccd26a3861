"""Tiling of a list of pixels, with a window around each pixel.

The model processes each window separately. Feature maps are interpolated bilinearly to the size of the window. The store gets
the value at the centre pixel and the mean over the window. MTMSD uses the same procedure (``feature_extract.py`` in the public
code of MTMSD).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.store.plane_layout import UNIT_PIXELS, PixelListLayout, PlaneSpec
from hsifeat.types import Tap, Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PixelWindows:
    """Tiling with a square window around each pixel of a list.

    Attributes
    ----------
    pixels : PixelList
        The pixels. Row i of a plane (the features of one layer at one timestep) belongs to pixel i.
    window_px : int
        Side of a window in pixels. The pixel is at row and column ``window_px // 2`` of its window.
    """

    pixels: PixelList
    window_px: int

    blends = False

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a window in pixels."""
        return self.window_px, self.window_px

    @property
    def layout(self) -> PixelListLayout:
        """Shapes of the planes (one layer at one timestep each) of a new store, and their division into shards."""
        return PixelListLayout(len(self.pixels.rows), self.window_px, UNIT_PIXELS)

    def valid_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> list[Window]:  # noqa: ARG002  # listed pixels are valid
        """Return the windows around the listed pixels of a unit. See `Tiling.valid_tiles`."""
        part, half = slice(unit.row, unit.row + unit.rows), self.window_px // 2
        corners = zip(self.pixels.rows[part] - half, self.pixels.cols[part] - half, strict=True)
        return [Window(int(row), int(col), self.window_px, self.window_px) for row, col in corners]

    def count_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> int:  # noqa: ARG002  # listed pixels are valid
        """Return the number of listed pixels of a unit. See `Tiling.count_tiles`."""
        return unit.rows

    def new_block(self, plane: PlaneSpec, unit: Window) -> CentreMeanBlock:
        """Return an empty accumulator for one unit (one shard) of a plane. See `Tiling.new_block`."""
        return CentreMeanBlock(plane, unit, self.window_px)

    def check(
        self,
        strides: Mapping[Tap, int],  # noqa: ARG002  # interpolated maps need no alignment with the cells of a plane
        noise: NoisePolicy,
        backbone: Backbone,
        factor: int,
    ) -> None:
        """Check that the side of a window is a whole number of cells, and that the noise policy supports the windows.

        The cells are those of the denoiser's input. If a scene pixel is smaller than a cell, windows can start inside a
        cell. Some noise policies support only windows that start at the border of a cell. See `Tiling.check`.
        """
        cell_px = backbone.cell_px
        if (factor * self.window_px / cell_px).denominator != 1:
            raise HsifeatError(f"a window of {self.window_px} px must be a multiple of {cell_px} px")
        if noise.aligned and (factor / cell_px).denominator != 1:
            raise HsifeatError(
                f"the noise {noise.spec} depends on positions on a grid of {cell_px} px, the cell size of {backbone.name}, but "
                "windows around pixels are not aligned with this grid: use `noise='shared'` or `noise='none'`"
            )

    def skips_tiles(self, valid: NDArray[np.bool_]) -> bool:  # noqa: ARG002  # listed pixels are valid
        """Return False: every window has a valid pixel at its centre. See `Tiling.skips_tiles`."""
        return False


def windows_around(pixels: PixelList, *, tile_px: int, multiple: int) -> PixelWindows:
    """Return a tiling with a window around each listed pixel.

    Parameters
    ----------
    pixels : PixelList
        The pixels.
    tile_px : int
        Side of a window in pixels, a multiple of `multiple`.
    multiple : int
        Coarsest stride of the backbone in scene pixels.

    Raises
    ------
    HsifeatError
        If `tile_px` is not a positive multiple of `multiple`.
    """
    if tile_px < 1 or tile_px % multiple:
        raise HsifeatError(
            f"a window of {tile_px} px must be a multiple of {multiple}, the coarsest stride of this backbone"
        )
    return PixelWindows(pixels, tile_px)


class CentreMeanBlock:
    """Accumulator for the values of a plane at listed pixels, and means over the windows of these pixels. See `PlaneBlock`.

    Parameters
    ----------
    plane : PlaneSpec
        The plane.
    unit : Window
        Part of the list of pixels: `unit.row` is the index of its first pixel, and `unit.rows` its number of pixels.
    window_px : int
        Side of the windows in pixels.
    """

    def __init__(self, plane: PlaneSpec, unit: Window, window_px: int) -> None:
        self._window_px = window_px
        self._values = np.empty((unit.rows, 2, plane.channels), plane.dtype)
        self._filled = 0

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Add the feature maps of the next windows. See `PlaneBlock.add`."""
        end = self._filled + len(tiles)
        with np.errstate(over="ignore"):  # `check_finite` reports values that float16 can't hold.
            self._values[self._filled : end] = centre_and_mean(maps.float(), self._window_px).cpu().numpy()
        self._filled = end

    def finish(self) -> NDArray[np.generic]:
        """Return values and means as a (pixels, 2, channels) array of the plane's dtype."""
        return self._values


def centre_and_mean(maps: torch.Tensor, window_px: int) -> torch.Tensor:
    """Return the value at the centre pixel of each window, and the mean over the window.

    Both values refer to the feature map after interpolation to the size of the window. They are computed as weighted sums
    over the cells of the map, so the interpolated map is never built.

    Parameters
    ----------
    maps : (n, channels, cell rows, cell cols) float32 tensor
        Feature maps of n windows.
    window_px : int
        Side of a window in pixels.

    Returns
    -------
    (n, 2, channels) float32 tensor
        Let ``image = interpolate(maps, (window_px, window_px), mode="bilinear", align_corners=False)``. Index 0 of the
        second axis has the value of ``image`` at row and column ``window_px // 2``. Index 1 has the mean of ``image``.

    Examples
    --------
    >>> import torch
    >>> centre_and_mean(torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]]), 4)[0, :, 0].tolist()
    [3.0, 2.0]
    """
    import torch

    row_weights, col_weights = (_weights(cells, window_px).to(maps.device) for cells in maps.shape[2:])
    return torch.einsum("ncyx,ky,kx->nkc", maps, row_weights, col_weights)


@cache
def _weights(cells: int, window_px: int) -> torch.Tensor:
    """Return the weights of the cells of a window along one axis, as a (2, cells) float32 tensor.

    The weights in the first row give the value at the centre pixel, and those in the second row give the mean.
    """
    import torch
    from torch.nn.functional import interpolate

    identity = torch.eye(cells, dtype=torch.float64)[None]
    weights = interpolate(identity, size=window_px, mode="linear", align_corners=False)[0]
    return torch.stack([weights[:, window_px // 2], weights.mean(dim=1)]).float()
