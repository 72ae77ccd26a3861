"""Select the layers of an extraction and compute the strides of their feature maps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
        Names or aliases of layers. None selects the blocks of `default_taps` whose stride is a divisor or a multiple of
        `factor`.
    factor : int
        Side of a scene pixel in pixels of the model input.

    Returns
    -------
    dict of Tap to int
        Stride of each selected tap in scene pixels.

    Raises
    ------
    BackboneError
        If one of `layers` is unknown, or has a stride that is neither a divisor nor a multiple of `factor`. If `layers` is
        None, and no default block has a suitable stride.
    """
    layers = layers or getattr(backbone, "default_layers", None)  # only encoders have some
    taps = default_taps(backbone.taps) if layers is None else select_taps(backbone.taps, layers)
    strides = {tap: max(tap.stride // factor, 1) for tap in taps if not (tap.stride % factor and factor % tap.stride)}
    misfits = [tap for tap in taps if tap not in strides]
    if misfits and (layers is not None or not strides):
        raise BackboneError(
            f"the layer {misfits[0].name} has a stride of {misfits[0].stride} px of the companion image, but a scene pixel is "
            f"{factor} px wide: choose a layer whose stride is a divisor or a multiple of {factor} (hsifeat layers BACKBONE "
            "lists the layers)"
        )
    return strides


def computed_taps(taps: Sequence[Tap], timesteps: Sequence[int]) -> tuple[list[Tap], str]:
    """Omit the layers that the network computes at none of the timesteps.

    Parameters
    ----------
    taps : sequence of Tap
        Layers that are selected if the user names none.
    timesteps : sequence of int
        Timesteps of the extraction.

    Returns
    -------
    taps : list of Tap
        Layers that the network computes at one or more of the timesteps. If there is no such layer, all layers.
    note : str
        Text that lists each omitted layer, and the timesteps at which the network computes this layer; empty if no
        layer is omitted.
    """
    computed = [tap for tap in taps if any(map(tap.runs_at, timesteps))]
    omitted = [tap for tap in taps if tap not in computed]
    if not computed or not omitted:
        return list(taps), ""
    intervals = ", ".join(f"{tap.name} ({_interval_text(tap)})" for tap in omitted)
    found = ", ".join(map(str, timesteps))
    return computed, (
        f"{len(omitted)} of {len(taps)} layers are left out, because the network computes them at other timesteps than {found}: "
        f"{intervals}"
    )


def check_computed(taps: Iterable[Tap], timesteps: Sequence[int]) -> None:
    """Check that each layer is computed at one or more timesteps, and that one or more layers are computed at each timestep.

    Raises
    ------
    BackboneError
        If the network computes a layer at none of the timesteps. If the network computes none of the layers at a timestep.
    """
    taps = list(taps)
    for tap in taps:
        if not any(map(tap.runs_at, timesteps)):
            found = ", ".join(map(str, timesteps))
            raise BackboneError(
                f"the network computes the layer {tap.name} at the timesteps {_interval_text(tap)} only; found {found}: extract this layer at "
                "another timestep, or leave it out"
            )
    for t in timesteps:
        if not any(tap.runs_at(t) for tap in taps):
            names = ", ".join(tap.name for tap in taps)
            raise BackboneError(
                f"the network computes none of the layers {names} at timestep {t}: name a layer that it computes there, or leave "
                "the timestep out (hsifeat layers BACKBONE lists the timesteps of the layers)"
            )


def _interval_text(tap: Tap) -> str:
    return " and ".join(f"{first} to {stop - 1}" for first, stop in tap.intervals)


def has_standard_names(taps: Sequence[Tap]) -> bool:
    """Return whether a network has a block named ``mid_block``, ``up_blocks.N`` or ``decoders.M.up_blocks.N``.

    diffusers uses the first two names. A network with several decoders uses the third name, for block N of decoder M.
    """
    return any(map(_is_standard, taps))


def default_taps(taps: Sequence[Tap]) -> list[Tap]:
    """Return the middle block and all decoder blocks of a network.

    If no block has a name that `has_standard_names` accepts, these rules apply:

    - The middle block is the last block with the coarsest stride, if blocks with finer strides run both before it and after
      it. Otherwise, the network has no middle block.
    - The candidates are the middle block and all blocks after it, or all blocks of a network without a middle block.
    - If some candidates have numbered names, such as ``blocks.3``, candidates with other names are omitted.
    - Otherwise, a candidate that contains all other candidates is omitted. Of the rest, candidates inside other candidates
      are omitted.
    - The middle block is returned even if a rule omits it.

    Parameters
    ----------
    taps : sequence of Tap
        All layers, in the order of execution.
    """
    if has_standard_names(taps):
        return [tap for tap in taps if _is_standard(tap)]
    blocks = [tap for tap in taps if is_block(tap.name)]
    coarsest = max((tap.stride for tap in blocks), default=1)
    middle = max((index for index, tap in enumerate(blocks) if tap.stride == coarsest), default=0)
    if middle < len(blocks) - 1 and any(tap.stride < coarsest for tap in blocks[:middle]):
        blocks = blocks[middle:]
        return list(dict.fromkeys([blocks[0], *(_numbered(blocks) or _outermost(blocks))]))
    return _numbered(blocks) or _outermost(blocks)


def _is_standard(tap: Tap) -> bool:
    return tap.name == "mid_block" or re.fullmatch(r"(decoders\.[0-9]+\.)?up_blocks\.[0-9]+", tap.name) is not None


def _numbered(blocks: Sequence[Tap]) -> list[Tap]:
    return [tap for tap in blocks if re.fullmatch(r".*\.[0-9]+", tap.name)]


def _outermost(blocks: Sequence[Tap]) -> list[Tap]:
    """Return the blocks that are in no other block.

    If one block contains all other blocks, return the blocks directly inside it instead.
    """

    def members(tap: Tap) -> int:
        return sum(other.name.startswith(f"{tap.name}.") for other in blocks)

    parts = [tap for tap in blocks if len(blocks) == 1 or members(tap) < len(blocks) - 1]
    return [tap for tap in parts if not any(tap.name.startswith(f"{other.name}.") for other in parts)]
