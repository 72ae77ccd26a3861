"""Replacement of the layers of a U-Net by faster layers with equal outputs, up to float32 rounding."""

from __future__ import annotations

import torch

from hsifeat.backbones.winograd import WinogradConv2d

# U-Nets of diffusers. Other networks may depend on the order of values in memory, and run as they are.
_NETWORKS = {"UNet2DModel", "UNet2DConditionModel"}


def speed_up(network: torch.nn.Module) -> None:
    """Replace layers of a U-Net of diffusers by faster layers with the same names, parameters and feature maps.

    Convolution kernels and feature maps get the memory format ``channels_last``. Wide 3 x 3 convolutions become
    `WinogradConv2d`. Residual blocks work in place, and attention layers multiply contiguous matrices.
    ``benchmarks/extraction.py`` measures the gain.

    Parameters
    ----------
    network : torch.nn.Module
        The network, on the CPU and in evaluation mode. If it is not a U-Net of diffusers, it does not change.
    """
    if not any(base.__name__ in _NETWORKS for base in type(network).__mro__):
        return
    from hsifeat.backbones.diffusers_layers import ContiguousAttnProcessor, InPlaceResnetBlock2D

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        if WinogradConv2d.suits(layer):
            layer.__class__ = WinogradConv2d
        elif InPlaceResnetBlock2D.suits(layer):
            layer.__class__ = InPlaceResnetBlock2D
        elif ContiguousAttnProcessor.suits(layer):
            layer.set_processor(ContiguousAttnProcessor())  # type: ignore[operator]  # an Attention of diffusers
