"""The interface that the ways of tiling a scene share, and the choice between them."""

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
from hsifeat.store.layout import PixelListLayout, PlaneSpec, SceneLayout
from hsifeat.types import Tap, Window

if TYPE_CHECKING:
    import torch


class PlaneBlock(Protocol):
    """One unit of one plane, accumulated from the taps of its tiles. Cells that no tile covers hold 0."""

    def add(self, tiles: Sequence[Window], maps: torch.Tensor) -> None:
        """Add the feature maps of some tiles.

        Parameters
        ----------
        tiles : sequence of n Window
            Consecutive tiles of the unit.
        maps : (n, channels, cell rows, cell cols) float32 tensor
            Their taps.
        """
        ...

    def finish(self) -> NDArray[np.generic]:
        """Return the block in the plane's stored dtype, with the shape that the plane's layout gives to the unit."""
        ...


class Tiling(Protocol):
    """The windows of a scene that the model sees, and what is stored of their feature maps.

    A unit's window is a window of the extent of `layout`: of the scene for `SceneTiling`, of the list of pixels for
    `PixelWindows`. Tiles are always windows of the scene, in pixels; they may reach beyond it.
    """

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of a tile in pixels."""
        ...

    @property
    def blends(self) -> bool:
        """Whether a cell of a plane may be a mean over several tiles."""
        ...

    @property
    def pixels(self) -> PixelList | None:
        """The pixels that planes list; None where planes cover the scene."""
        ...

    @property
    def layout(self) -> SceneLayout | PixelListLayout:
        """Layout of the planes of a new store."""
        ...

    def valid_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> list[Window]:
        """List the tiles of a unit that contribute a valid pixel, in row-major order; the others are not computed.

        Parameters
        ----------
        unit : Window
            Window of a unit, or the extent of the layout.
        valid : (rows, cols) bool array
            Valid pixels of the whole scene.
        """
        ...

    def count_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> int:
        """Return the length of `valid_tiles`, whose parameters these are.

        See `Tiling.valid_tiles`.
        """
        ...

    def new_block(self, plane: PlaneSpec, unit: Window) -> PlaneBlock:
        """Begin to accumulate a unit of a plane."""
        ...

    def check(self, strides: Mapping[Tap, int], noise: NoisePolicy, backbone: Backbone, factor: int) -> None:
        """Check that tiles begin where cells of planes and of the denoiser's input begin.

        Parameters
        ----------
        strides : mapping of Tap to int
            Strides of the planes in scene pixels.
        noise : NoisePolicy
            Whether it binds noise to positions.
        backbone : Backbone
            Pixels along a cell of its denoiser's input.
        factor : int
            Pixels of the model's input along a scene pixel.

        Raises
        ------
        HsifeatError
            A tile begins between two cells.
        """
        ...

    def skips_tiles(self, valid: NDArray[np.bool_]) -> bool:
        """Whether tiles without a valid pixel are skipped, so that the cells that only they cover hold 0.

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
    """Tile a scene, or lay a window around each of some pixels.

    Parameters
    ----------
    shape : tuple of 2 ints
        Rows and columns of the scene.
    pixels : PixelList or None
        The pixels; None tiles the scene.
    tile_px, halo_px, stitch, origin
        See `tile_scene`; only the first matters to windows around pixels.
    multiple : int
        The coarsest stride of the backbone in scene pixels.

    Raises
    ------
    HsifeatError
        Sizes that are no multiples, or tiles that do not cover the scene.
    """
    if pixels is not None:
        return windows_around(pixels, tile_px=tile_px, multiple=multiple)
    return tile_scene(shape, tile_px=tile_px, halo_px=halo_px, multiple=multiple, stitch=stitch, origin=origin)
