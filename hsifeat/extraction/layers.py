"""The layers that are asked for, and how their cells lie over the scene."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.taps import is_block, select_taps
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.noise.policy import NoisePolicy
from hsifeat.extraction.tiling.pixel_windows import PixelWindows
from hsifeat.extraction.tiling.tiles import Tiling
from hsifeat.types import Tap


def strides_of(backbone: Backbone, layers: Sequence[str] | None, factor: int) -> dict[Tap, int]:
    """Return the taps asked for with their planes' strides in pixels of the scene.

    A tap's stride counts pixels of the image that the model is shown. Where that is finer than the scene by a factor, the
    stride is a multiple of it, or divides it: such a layer is averaged over each of the scene's pixels.
    """
    taps = _default_taps(backbone.taps) if layers is None else select_taps(backbone.taps, layers)
    grids = {tap: max(tap.stride // factor, 1) for tap in taps if tap.stride % factor == 0 or factor % tap.stride == 0}
    lost = [tap for tap in taps if tap not in grids]
    if lost and (layers is not None or not grids):
        raise BackboneError(
            f"the layer {lost[0].name} has a cell every {lost[0].stride} pixels of the companion image, of which {factor} make "
            "one of the scene's: one of both numbers must divide the other; hsifeat layers BACKBONE lists others"
        )
    return grids


def check_tiles(tiling: Tiling, strides: Mapping[Tap, int], backbone: Backbone, factor: int) -> None:
    """Raise `HsifeatError` unless tiles begin where cells of all planes, and of what is noised, begin."""
    for tap, stride in strides.items():
        if any(corner % stride for corner in tiling.first):
            nearest = ",".join(str(-(-corner // stride) * stride) for corner in tiling.first)
            raise HsifeatError(
                f"tiles that begin at {','.join(map(str, tiling.first))} cut cells of {tap.name} in two, which has one every "
                f"{stride} px: give multiples of that, such as {nearest}"
            )
    if any((factor * n / backbone.cell_px).denominator != 1 for n in (*tiling.first, *tiling.step, *tiling.tile)):
        raise HsifeatError(
            f"tiles must begin at multiples of {backbone.cell_px} px, where {backbone.name} has a cell of what it noises"
        )


def check_windows(windows: PixelWindows, noise: NoisePolicy, backbone: Backbone, factor: int) -> None:
    """Raise `HsifeatError` unless windows hold whole cells of what is noised, and begin with one where noise is a field."""
    if (factor * windows.side / backbone.cell_px).denominator != 1:
        raise HsifeatError(f"a window of {windows.side} px must be a multiple of {backbone.cell_px} px")
    if noise.aligned and (factor / backbone.cell_px).denominator != 1:
        raise HsifeatError(
            f"{backbone.name} noises cells of {backbone.cell_px} px, and windows begin at any pixel, so they can't share a "
            "field of noise: take --noise shared or none"
        )


def _default_taps(taps: Sequence[Tap]) -> list[Tap]:
    """Return the middle block and every decoder block; in a network without such names its numbered blocks, or all."""
    blocks = [t for t in taps if is_block(t.name)]
    decoder = [t for t in blocks if t.name == "mid_block" or re.fullmatch(r"up_blocks\.[0-9]+", t.name)]
    return decoder or [t for t in blocks if re.fullmatch(r".*\.[0-9]+", t.name)] or blocks
