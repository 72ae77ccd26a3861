"""Constructor arguments of the trainable networks, for a given number of channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def unet_arguments(
    channels: int,
    *,
    side_px: int,
    widths: tuple[int, ...],
    blocks: int,
    head_channels: int,
    norm_groups: int,
    attention: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Return the constructor arguments of a U-Net, the class ``UNet2DModel`` of diffusers.

    Parameters
    ----------
    channels : int
        Number of channels of the image.
    side_px : int
        Side of a training patch, in pixels.
    widths : tuple of int
        Number of channels of each level, from the finest to the coarsest.
    blocks : int
        Number of residual blocks per level.
    head_channels, norm_groups : int
        Number of channels per attention head, and number of groups of each group normalisation.
    attention : tuple of int
        Levels with self-attention. Level 0 is the finest. The middle block always has self-attention.

    Returns
    -------
    dict of str to JSON value
        Keyword arguments of the constructor.
    """
    has_attention = [level in attention for level in range(len(widths))]
    return {
        "sample_size": side_px,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": blocks,
        "block_out_channels": list(widths),
        "down_block_types": ["AttnDownBlock2D" if attends else "DownBlock2D" for attends in has_attention],
        "up_block_types": ["AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(has_attention)],
        "attention_head_dim": head_channels,
        "norm_num_groups": norm_groups,
    }


def without_attention(arguments: Callable[[int], dict[str, Any]], channels: int) -> dict[str, Any]:
    """Return the constructor arguments of a U-Net without attention layers.

    ``arguments(channels)`` returns the constructor arguments of the same U-Net with attention layers, for images of
    `channels` channels.
    """
    with_attention = arguments(channels)
    levels = len(with_attention["block_out_channels"])
    return {
        **with_attention,
        "down_block_types": ["DownBlock2D"] * levels,
        "up_block_types": ["UpBlock2D"] * levels,
        "add_attention": False,
    }


def diffcrn_arguments(channels: int, *, width: int, heads: int, groups: int) -> dict[str, Any]:
    """Return the constructor arguments of a `DiffCRN` with patches of 16 px.

    Parameters
    ----------
    channels : int
        Number of channels of the image.
    width : int
        Number of channels of the feature maps.
    heads, groups : int
        Number of heads of the spatial attention, and number of groups of the spectral attention.

    Returns
    -------
    dict of str to JSON value
        Keyword arguments of the constructor.
    """
    return {"in_channels": channels, "width": width, "heads": heads, "groups": groups, "patch_px": 16}


def spectral_arguments(channels: int, *, widths: tuple[int, ...]) -> dict[str, Any]:
    """Return the constructor arguments of a `SpectralUNet` for `channels` bands. Level i has ``widths[i]`` channels."""
    return {"in_channels": channels, "widths": list(widths)}


def multistage_arguments(
    channels: int,
    *,
    encoder_width: int,
    decoder_widths: tuple[int, ...],
    multipliers: tuple[int, ...],
    blocks: int,
    head_channels: int,
    norm_groups: int,
    attention: tuple[int, ...] = (),
    boundaries: Sequence[int] = (442, 631),
) -> dict[str, Any]:
    """Return the constructor arguments of a `MultistageUNet`.

    Parameters
    ----------
    channels : int
        Number of channels of the image.
    encoder_width, decoder_widths, multipliers, blocks, head_channels, norm_groups, attention
        Arguments of `hsifeat.backbones.networks.multistage_unet.MultistageUNet` with the same names.
    boundaries : sequence of int
        First timestep of each decoder except the first decoder. [default: the boundaries of Zhang et al. (2024) for CIFAR-10]

    Returns
    -------
    dict of str to JSON value
        Keyword arguments of the constructor.
    """
    return {
        "in_channels": channels,
        "encoder_width": encoder_width,
        "decoder_widths": list(decoder_widths),
        "boundaries": list(boundaries),
        "multipliers": list(multipliers),
        "blocks": blocks,
        "attention": list(attention),
        "head_channels": head_channels,
        "norm_groups": norm_groups,
    }
