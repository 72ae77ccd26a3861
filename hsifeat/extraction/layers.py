"""Select the layers of an extraction and compute the strides of their feature maps."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.taps import is_block, select_taps
from hsifeat.errors import BackboneError
from hsifeat.types import Tap


def plane_strides(backbone: Backbone, layers: Sequence[str] | None, factor: int) -> dict[Tap, int]:
    """Select taps (layers whose output is stored), and return the stride of each tap in scene pixels.

    `Tap.stride` is in pixels of the model input. If the model input is a companion image, these pixels are smaller than
    scene pixels. Feature maps that are finer than the scene are averaged over each scene pixel, so their stride is 1.

    Parameters
    ----------
    backbone : Backbone
        The diffusion model.
    layers : sequence of str or None
        Names or aliases of layers. None selects the middle block and all decoder blocks. Blocks whose stride is neither
        a divisor nor a multiple of `factor` are then left out.
    factor : int
        Side of a scene pixel in pixels of the model input.

    Returns
    -------
    dict of Tap to int
        Stride of each selected tap in scene pixels.

    Raises
    ------
    BackboneError
        If a layer is unknown. If the stride of a named layer is neither a divisor nor a multiple of `factor`.
    """
    taps = _default_taps(backbone.taps) if layers is None else select_taps(backbone.taps, layers)
    strides = {tap: max(tap.stride // factor, 1) for tap in taps if not (tap.stride % factor and factor % tap.stride)}
    misfits = [tap for tap in taps if tap not in strides]
    if misfits and (layers is not None or not strides):
        raise BackboneError(
            f"the layer {misfits[0].name} has a stride of {misfits[0].stride} px of the companion image, but a scene pixel is "
            f"{factor} px wide: choose a layer whose stride is a divisor or a multiple of {factor} (hsifeat layers BACKBONE "
            "lists the layers)"
        )
    return strides


def _default_taps(taps: Sequence[Tap]) -> list[Tap]:
    """Return the middle block and all decoder blocks of a network.

    If no block is named ``mid_block`` or ``up_blocks.N``, return all numbered blocks, or all blocks if none is numbered.
    """
    blocks = [tap for tap in taps if is_block(tap.name)]
    decoder = [tap for tap in blocks if tap.name == "mid_block" or re.fullmatch(r"up_blocks\.[0-9]+", tap.name)]
    return decoder or [tap for tap in blocks if re.fullmatch(r".*\.[0-9]+", tap.name)] or blocks
