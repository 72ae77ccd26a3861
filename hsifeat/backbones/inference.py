"""Faster layers for inference: they compute what the layers of a network compute, up to rounding in float32."""

from __future__ import annotations

import sys

import torch

from hsifeat.backbones.winograd import WinogradConv2d


def speed_up(network: torch.nn.Module) -> None:
    """Replace layers of a network by faster ones, with the same names, parameters and feature maps.

    Wide 3 x 3 convolutions become `WinogradConv2d`. The residual blocks of diffusers work in place. The attention layers of
    diffusers multiply contiguous matrices. Weights are stored in the order of ``channels_last``, which the results then have
    too. `benchmarks/extraction.py` measures the gain.

    Parameters
    ----------
    network : torch.nn.Module
        The network, on the CPU and in evaluation mode.
    """
    network.to(memory_format=torch.channels_last)
    for layer in network.modules():
        if WinogradConv2d.suits(layer):
            layer.__class__ = WinogradConv2d
    # A network with layers of diffusers has imported this module.
    if "diffusers.models.resnet" in sys.modules:
        from hsifeat.backbones.diffusers_layers import ContiguousAttnProcessor, InPlaceResnetBlock2D

        for layer in network.modules():
            if InPlaceResnetBlock2D.suits(layer):
                layer.__class__ = InPlaceResnetBlock2D
            if ContiguousAttnProcessor.suits(layer):
                layer.set_processor(ContiguousAttnProcessor())  # type: ignore[operator]  # an Attention of diffusers
