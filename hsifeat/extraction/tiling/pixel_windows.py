"""A window around each of a list of pixels: for planes that list pixels.

This is how MTMSD extracts (its public code, ``feature_extract.py``): each layer's map is brought to the window's size by
bilinear interpolation; the value at the centre and the mean over the window are kept.
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
from hsifeat.store.layout import UNIT_PIXELS, PixelListLayout, PlaneSpec
from hsifeat.types import Tap, Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PixelWindows:
    """A square window around each of a list of pixels.

    Attributes
    ----------
    pixels : PixelList
        The pixels; row i of a plane is pixel i.
    window_px : int
        Side of a window; its pixel lies at (window_px // 2, window_px // 2) of it.
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
        """Layout of the planes of a new store."""
        return PixelListLayout(len(self.pixels.rows), self.window_px, UNIT_PIXELS)

    def valid_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> list[Window]:  # noqa: ARG002  # listed pixels are valid
        """List the windows of the pixels in a part of the list; they may reach beyond the scene. See `Tiling.valid_tiles`."""
        part, half = slice(unit.row, unit.row + unit.rows), self.window_px // 2
        corners = zip(self.pixels.rows[part] - half, self.pixels.cols[part] - half, strict=True)
        return [Window(int(row), int(col), self.window_px, self.window_px) for row, col in corners]

    def count_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> int:  # noqa: ARG002  # listed pixels are valid
        """Return the length of `valid_tiles`. See `Tiling.count_tiles`."""
        return unit.rows

    def new_block(self, plane: PlaneSpec, unit: Window) -> CentreMeanBlock:
        """Begin to accumulate a unit of a plane."""
        return CentreMeanBlock(plane, unit, self.window_px)

    def check(
        self,
        strides: Mapping[Tap, int],  # noqa: ARG002  # windows may begin between two cells of a plane: maps are interpolated
        noise: NoisePolicy,
        backbone: Backbone,
        factor: int,
    ) -> None:
        """Check that windows hold whole cells, and begin with one where noise needs it; see `Tiling.check`."""
        cell_px = backbone.cell_px
        if (factor * self.window_px / cell_px).denominator != 1:
            raise HsifeatError(f"a window of {self.window_px} px must be a multiple of {cell_px} px")
        if noise.aligned and (factor / cell_px).denominator != 1:
            raise HsifeatError(
                f"the noise {noise.spec} belongs to positions on a grid of {cell_px} px, the cell size of {backbone.name}, but "
                "windows around pixels begin anywhere: take a noise without positions, such as --noise shared or none"
            )

    def skips_tiles(self, valid: NDArray[np.bool_]) -> bool:  # noqa: ARG002  # listed pixels are valid
        """Whether windows are skipped: never. See `Tiling.skips_tiles`."""
        return False


def windows_around(pixels: PixelList, *, tile_px: int, multiple: int) -> PixelWindows:
    """Lay a window around each pixel.

    Parameters
    ----------
    pixels : PixelList
        The pixels.
    tile_px : int
        Side of a window in pixels.
    multiple : int
        The coarsest stride of the backbone, of which `tile_px` must be a multiple.

    Raises
    ------
    HsifeatError
        The side is not a multiple.
    """
    if tile_px < 1 or tile_px % multiple:
        raise HsifeatError(
            f"a window of {tile_px} px must be a multiple of {multiple}, the coarsest stride of this backbone"
        )
    return PixelWindows(pixels, tile_px)


class CentreMeanBlock:
    """A unit of a plane that lists pixels: the value at each pixel and the mean over its window; see `PlaneBlock`.

    Parameters
    ----------
    plane : PlaneSpec
        The plane.
    unit : Window
        The unit, as a window of the list.
    window_px : int
        Side of the windows in pixels.
    """

    def __init__(self, plane: PlaneSpec, unit: Window, window_px: int) -> None:
        self._window_px = window_px
        self._values = np.empty((unit.rows, 2, plane.channels), plane.dtype)
        self._filled = 0

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Add the centre and the mean of the next windows' maps. See `PlaneBlock.add`."""
        end = self._filled + len(tiles)
        with np.errstate(over="ignore"):  # The runner checks a finished block for overflow.
            self._values[self._filled : end] = centre_and_mean(maps.float(), self._window_px).cpu().numpy()
        self._filled = end

    def finish(self) -> NDArray[np.generic]:
        """Return the block (pixels, 2, channels) in the plane's dtype."""
        return self._values


def centre_and_mean(maps: torch.Tensor, window_px: int) -> torch.Tensor:
    """Interpolate feature maps to their window; return the value at the centre pixel and the mean over all pixels.

    Both are sums over cells with fixed weights, so no map of full size is built.

    Parameters
    ----------
    maps : (n, channels, cell rows, cell cols) float32 tensor
        Taps of n windows.
    window_px : int
        Side of a window in pixels.

    Returns
    -------
    (n, 2, channels) float32 tensor
        ``interpolate(maps, (window_px, window_px), mode="bilinear", align_corners=False)`` at
        (window_px // 2, window_px // 2), and its mean.

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
    """Return the weights of an axis' cells in the pixel at window_px // 2 and in the mean: (2, cells) float32."""
    import torch
    from torch.nn.functional import interpolate

    identity = torch.eye(cells, dtype=torch.float64)[None]
    weights = interpolate(identity, size=window_px, mode="linear", align_corners=False)[0]
    return torch.stack([weights[:, window_px // 2], weights.mean(dim=1)]).float()
