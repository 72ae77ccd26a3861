"""Interface of tilings, which divide a scene into tiles and combine feature maps of tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.extraction.config import Stitch
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.extraction.tiling.pixel_windows import windows_around
from hsifeat.extraction.tiling.scene_tiling import tile_scene
from hsifeat.store.plane_layout import PixelListLayout, PlaneSpec, SceneLayout
from hsifeat.types import Tap, Window

if TYPE_CHECKING:
    import torch


class PlaneBlock(Protocol):
    """Accumulator that combines feature maps of tiles into one unit (one shard) of a plane.

    Cells that no tile covers are 0.
    """

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Add the feature maps of tiles.

        Parameters
        ----------
        tiles : sequence of n Window
            The next tiles of the unit, in row-major order.
        maps : (n, channels, cell rows, cell cols) float32 tensor
            Feature map of each tile.
        """
        ...

    def finish(self) -> NDArray[np.generic]:
        """Return the values of the unit, accumulated from its tiles.

        The array has the dtype of the plane, and the shape that the layout of the store gives to this unit.
        """
        ...


class Tiling(Protocol):
    """Division of a scene into tiles, each of which is an input of the model.

    Planes (the features of one layer at one timestep) are divided into units; a unit is one shard of each plane. For
    `SceneTiling`, the window of a unit is a part of the scene, in pixels. For `PixelWindows`, the window of a unit is a part
    of the list of pixels; its rows are positions in the list. Tiles are windows in scene pixels, and may reach beyond the
    scene.
    """

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile in pixels."""
        ...

    @property
    def blends(self) -> bool:
        """Whether overlapping tiles are averaged."""
        ...

    @property
    def pixels(self) -> PixelList | None:
        """Pixels at which features are extracted; None if planes cover the scene."""
        ...

    @property
    def layout(self) -> SceneLayout | PixelListLayout:
        """Shapes of the planes (one layer at one timestep each) of a new store, and their division into shards."""
        ...

    def valid_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> list[Window]:
        """Return the tiles that have to be computed for a unit (one shard of each plane), in row-major order.

        A tile has to be computed if the part that is kept contains a valid pixel. This part is the core of the tile, or
        the whole tile if tiles are averaged.

        Parameters
        ----------
        unit : Window
            Window of a unit, or the window that all units cover together.
        valid : (rows, cols) bool array
            Valid pixels of the whole scene.
        """
        ...

    def count_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> int:
        """Return the number of tiles that have to be computed for a unit (one shard of each plane). See `Tiling.valid_tiles`."""
        ...

    def new_block(self, plane: PlaneSpec, unit: Window) -> PlaneBlock:
        """Return an empty accumulator for one unit (one shard) of a plane.

        Parameters
        ----------
        plane : PlaneSpec
            The plane.
        unit : Window
            Window of the unit.
        """
        ...

    def check(self, strides: Mapping[Tap, int], noise: NoisePolicy, backbone: Backbone, factor: int) -> None:
        """Check that tiles are aligned with the cells of feature maps and of the denoiser's input.

        Parameters
        ----------
        strides : mapping of Tap to int
            Stride of each layer's feature map in scene pixels.
        noise : NoisePolicy
            Noise policy. It may require that each tile starts at the border of a cell of the denoiser's input.
        backbone : Backbone
            The diffusion model. `Backbone.cell_px` is the side of a cell of the denoiser's input.
        factor : int
            Side of a scene pixel in pixels of the model input.

        Raises
        ------
        HsifeatError
            If a tile is not aligned with the cells.
        """
        ...

    def skips_tiles(self, valid: NDArray[np.bool_]) -> bool:
        """Return whether some tiles have no valid pixel and are therefore not computed.

        Cells that only these tiles cover are 0.

        Parameters
        ----------
        valid : (rows, cols) bool array
            Valid pixels of the scene.
        """
        ...


def make_tiling(
    shape: tuple[int, int],
    pixels: PixelList | None,
    *,
    tile_px: int,
    halo_px: int,
    multiple: int,
    stitch: Stitch,
    origin: tuple[int, int] | None,
) -> Tiling:
    """Return a tiling of a whole scene, or of a list of pixels.

    Parameters
    ----------
    shape : tuple of 2 ints
        Number of rows and columns of the scene.
    pixels : PixelList or None
        Pixels at which to extract features; None covers the scene.
    tile_px : int
        Side of a tile, or of the window around each pixel, in pixels.
    halo_px : int
        Width of the halo in pixels; ignored if `pixels` is set.
    multiple : int
        Coarsest stride of the backbone in scene pixels.
    stitch : {"core", "mean", "hann", "whole"}
        How feature maps of tiles are combined, see `SceneTiling`; ignored if `pixels` is set.
    origin : tuple of 2 ints or None
        Upper left corner of the first tile, see `tile_scene`; ignored if `pixels` is set.

    Returns
    -------
    Tiling
        A `SceneTiling`, or `PixelWindows` if `pixels` is set.

    Raises
    ------
    HsifeatError
        If `tile_px` or `halo_px` is not a multiple of `multiple`. If the tiles do not cover the scene.
    """
    if pixels is not None:
        return windows_around(pixels, tile_px=tile_px, multiple=multiple)
    return tile_scene(shape, tile_px=tile_px, halo_px=halo_px, multiple=multiple, stitch=stitch, origin=origin)
