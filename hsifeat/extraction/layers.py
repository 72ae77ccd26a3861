"""The layers that are asked for, and how their cells lie over the scene."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.taps import is_block, select_taps
from hsifeat.errors import BackboneError
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


def _default_taps(taps: Sequence[Tap]) -> list[Tap]:
    """Return the middle block and every decoder block; in a network without such names its numbered blocks, or all."""
    blocks = [t for t in taps if is_block(t.name)]
    decoder = [t for t in blocks if t.name == "mid_block" or re.fullmatch(r"up_blocks\.[0-9]+", t.name)]
    return decoder or [t for t in blocks if re.fullmatch(r".*\.[0-9]+", t.name)] or blocks
