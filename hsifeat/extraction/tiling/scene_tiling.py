"""Tiling of a whole scene by tiles on a regular grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.protocol import Backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.config import Stitch
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.extraction.tiling.stitching import BlendedBlock, CoreBlock
from hsifeat.store.plane_layout import BLENDED_UNIT_PX, UNIT_PX, PlaneSpec, SceneLayout
from hsifeat.types import Tap, Window


@dataclass(frozen=True)
class SceneTiling:
    """Tiling of a scene by a regular grid of tiles.

    Attributes
    ----------
    rows, cols : int
        Number of rows and columns of the scene.
    tile : tuple of 2 ints
        Height and width of a tile in pixels, including the halo.
    step : tuple of 2 ints
        Vertical and horizontal distance between neighbouring tiles in pixels.
    first : tuple of 2 ints
        Row and column of the upper left corner of the first tile. It may lie above and left of the scene.
    stitch : {"core", "mean", "hann", "whole"}
        How feature maps of tiles are combined. ``core`` keeps the core of each tile; cores do not overlap. ``mean`` and
        ``hann`` average overlapping tiles with equal or Hann weights. ``whole`` uses a single tile for the whole scene.
    stride : int
        Coarsest stride of the backbone in scene pixels.
    """

    rows: int
    cols: int
    tile: tuple[int, int]
    step: tuple[int, int]
    first: tuple[int, int]
    stitch: Stitch
    stride: int

    pixels = None

    @property
    def blends(self) -> bool:
        """Whether overlapping tiles are averaged."""
        return self.stitch in {"mean", "hann"}

    @property
    def halo_px(self) -> int:
        """Half of the overlap of two neighbouring tiles, in pixels."""
        return (self.tile[0] - self.step[0]) // 2

    @property
    def margin_px(self) -> int:
        """Width in pixels of the margin discarded on each side of a tile: the halo if `stitch` is ``core``, otherwise 0."""
        return self.halo_px if self.stitch == "core" else 0

    @property
    def layout(self) -> SceneLayout:
        """Shapes of the planes (one layer at one timestep each) of a new store, and their division into shards.

        The side of a unit (one shard) is the smallest multiple of `step` that is at least a minimum. This minimum is
        `BLENDED_UNIT_PX` if overlapping tiles are averaged, and `UNIT_PX` otherwise. If `stitch` is ``whole``, the
        only unit is the whole scene.
        """
        if self.stitch == "whole":
            return SceneLayout(self.rows, self.cols, max(self.tile))
        step, minimum_px = self.step[0], BLENDED_UNIT_PX if self.blends else UNIT_PX
        return SceneLayout(self.rows, self.cols, step * -(-minimum_px // step))

    def core(self, tile: Window) -> Window:
        """Return the core of a tile: the part that is kept. The core may reach beyond the scene.

        If `stitch` is ``core``, the core is the tile without its halo. For any other `stitch`, it is the whole tile.

        Parameters
        ----------
        tile : Window
            A tile of this tiling.
        """
        margin = self.margin_px
        return Window(tile.row + margin, tile.col + margin, tile.rows - 2 * margin, tile.cols - 2 * margin)

    def tiles(self, window: Window) -> Iterator[Window]:
        """Yield the tiles whose core overlaps a window of the scene, in row-major order."""
        for row in self._starts(window.row, window.rows, axis=0):
            for col in self._starts(window.col, window.cols, axis=1):
                yield Window(row, col, *self.tile)

    def _starts(self, start: int, count: int, axis: int) -> range:
        first, step, tile = self.first[axis], self.step[axis], self.tile[axis]
        core_start, core_side = first + self.margin_px, tile - 2 * self.margin_px
        total = max(-(-((self.rows, self.cols)[axis] - core_start - core_side) // step) + 1, 1)
        low = max((start - core_start - core_side) // step + 1, 0)
        high = min(-(-(start + count - core_start) // step), total)
        return range(first + low * step, first + high * step, step)

    def valid_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> list[Window]:
        """Return the tiles of `unit` that have a valid pixel in or near the core. See `Tiling.valid_tiles`.

        A pixel is near the core if it is at most half of the coarsest stride away. The features of the pixel can then be
        interpolated from cells of the core. If overlapping tiles are averaged, the valid pixel must lie in the core.
        """
        reach = 0 if self.blends and self.halo_px else -(-self.stride // 2)
        cores = ((tile, self.core(tile)) for tile in self.tiles(unit))
        near = (
            (tile, Window(core.row - reach, core.col - reach, core.rows + 2 * reach, core.cols + 2 * reach))
            for tile, core in cores
        )
        return [tile for tile, part in near if valid[part.clip(self.rows, self.cols).slices].any()]

    def count_tiles(self, unit: Window, valid: NDArray[np.bool_]) -> int:
        """Return the number of tiles that `valid_tiles` returns. See `Tiling.count_tiles`."""
        return len(self.valid_tiles(unit, valid))

    def new_block(self, plane: PlaneSpec, unit: Window) -> CoreBlock | BlendedBlock:
        """Return an empty accumulator for one unit (one shard) of a plane. See `Tiling.new_block`."""
        if self.stitch == "mean" or self.stitch == "hann":  # noqa: PLR1714  # mypy narrows the type by ==
            return BlendedBlock(plane, unit, self.stitch)
        return CoreBlock(plane, unit, self.margin_px)

    def check(
        self,
        strides: Mapping[Tap, int],
        noise: NoisePolicy,  # noqa: ARG002  # overlapping tiles must have the same cells under any policy
        backbone: Backbone,
        factor: int,
    ) -> None:
        """Check that tiles are aligned with the cells of planes and of the denoiser's input. See `Tiling.check`."""
        for tap, stride in strides.items():
            if any(corner % stride for corner in self.first):
                nearest = ",".join(str(-(-corner // stride) * stride) for corner in self.first)
                raise HsifeatError(
                    f"tiles that begin at {','.join(map(str, self.first))} are not aligned with the cells of {tap.name}, which "
                    f"are {stride} px wide: set `origin` to multiples of {stride}, such as {nearest}"
                )
        if any((factor * n / backbone.cell_px).denominator != 1 for n in (*self.first, *self.step, *self.tile)):
            raise HsifeatError(
                f"tiles must begin at multiples of {backbone.cell_px} px, the cell size of the denoiser's input in {backbone.name}"
            )

    def skips_tiles(self, valid: NDArray[np.bool_]) -> bool:
        """Return whether the tiling has tiles without a valid pixel. See `Tiling.skips_tiles`."""
        extent = Window(0, 0, self.rows, self.cols)
        return not valid.all() and self.count_tiles(extent, valid) < len(list(self.tiles(extent)))


def tile_scene(
    shape: tuple[int, int],
    *,
    tile_px: int,
    halo_px: int,
    multiple: int,
    stitch: Stitch = "core",
    origin: tuple[int, int] | None = None,
) -> SceneTiling:
    """Return a tiling of a scene by a regular grid of tiles.

    Parameters
    ----------
    shape : tuple of 2 ints
        Number of rows and columns of the scene.
    tile_px : int
        Side of a tile in pixels, including the halo. Ignored if `stitch` is ``whole``.
    halo_px : int
        Width of the halo on each side of a tile, in pixels. Ignored if `stitch` is ``whole``.
    multiple : int
        Coarsest stride of the backbone in scene pixels. `tile_px` and `halo_px` must be multiples of this stride. If
        `stitch` is ``whole``, the scene is padded to multiples of this stride.
    stitch : {"core", "mean", "hann", "whole"}
        How feature maps of tiles are combined; see `SceneTiling`.
    origin : tuple of 2 ints, optional
        Row and column of the upper left corner of the first tile. [default: one halo above and left of the scene, so that
        the core of the first tile starts at the first pixel]

    Returns
    -------
    SceneTiling
        The tiling, which lists the tiles of any part of the scene.

    Raises
    ------
    HsifeatError
        If `tile_px` or `halo_px` is not a multiple of `multiple`. If the halo leaves no core. If a grid that starts at
        `origin` does not cover the scene. If `origin` is set and `stitch` is ``whole``.

    Examples
    --------
    >>> tiling = tile_scene((100, 80), tile_px=64, halo_px=16, multiple=8)
    >>> [(tile.row, tile.col) for tile in tiling.tiles(Window(0, 0, 40, 40))]
    [(-16, -16), (-16, 16), (16, -16), (16, 16)]
    """
    rows, cols = shape
    if stitch == "whole":
        if origin is not None:
            raise HsifeatError("`origin` has no effect with `stitch='whole'`, which has a single tile: leave it out")
        side = (-(-rows // multiple) * multiple, -(-cols // multiple) * multiple)
        return SceneTiling(rows, cols, side, side, (0, 0), stitch, multiple)
    if tile_px < 1 or tile_px % multiple or halo_px % multiple or halo_px < 0:
        raise HsifeatError(
            f"tile {tile_px} px and halo {halo_px} px must be multiples of {multiple}, "
            "the coarsest stride of this backbone"
        )
    step = tile_px - 2 * halo_px
    if step < 1:
        raise HsifeatError(
            f"a tile of {tile_px} px with a halo of {halo_px} px on each side has no core left: "
            f"give a halo below {tile_px // 2}"
        )
    margin = halo_px if stitch == "core" else 0
    first = (-halo_px, -halo_px) if origin is None else origin
    if not all(-tile_px + margin < corner <= -margin for corner in first):
        raise HsifeatError(
            f"tiles from row {first[0]} and column {first[1]} on do not cover the first pixels of the scene, or the first "
            f"tile lies outside: with `stitch={stitch!r}`, give an origin between {margin - tile_px + 1} and {-margin}"
        )
    return SceneTiling(rows, cols, (tile_px, tile_px), (step, step), first, stitch, multiple)
