"""Faster layers for inference, which replace layers of diffusers."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.resnet import ResnetBlock2D
from torch.nn import functional


class InPlaceResnetBlock2D(ResnetBlock2D):  # type: ignore[misc]  # diffusers has no types
    """A residual block that computes in place. If the output scale is 1, the division by this scale is skipped."""

    @staticmethod
    def suits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is a residual block of diffusers that this class can replace."""
        return (
            type(layer) is ResnetBlock2D
            and isinstance(layer.nonlinearity, torch.nn.SiLU)
            and layer.time_embedding_norm in {"default", "scale_shift"}
        )

    def forward(self, input_tensor: torch.Tensor, temb: Any) -> Any:
        """Compute the output of the block from float32 maps (n, channels, rows, cols) and the embedding of a timestep."""
        maps = functional.silu(self.norm1(input_tensor), inplace=True)
        for resample in (self.upsample, self.downsample):
            if resample is not None:
                input_tensor, maps = resample(input_tensor), resample(maps)
        maps = self.conv1(maps)
        if temb is not None and self.time_emb_proj is not None:
            temb = self.time_emb_proj(temb if self.skip_time_act else functional.silu(temb))[:, :, None, None]
        if self.time_embedding_norm == "scale_shift":
            scale, shift = torch.chunk(temb, 2, dim=1)
            maps = self.norm2(maps).mul_(1 + scale).add_(shift)
        else:
            maps = self.norm2(maps if temb is None else maps.add_(temb))
        maps = self.conv2(self.dropout(functional.silu(maps, inplace=True)))
        if self.conv_shortcut is not None:
            input_tensor = self.conv_shortcut(input_tensor)
        maps.add_(input_tensor)
        return maps if self.output_scale_factor == 1 else maps.div_(self.output_scale_factor)


class ContiguousAttnProcessor(AttnProcessor2_0):  # type: ignore[misc]
    """Self-attention over the cells of a feature map. The multiplied matrices are contiguous in memory, which saves time."""

    @staticmethod
    def suits(layer: torch.nn.Module) -> bool:
        """Return whether a layer is a self-attention layer of a ``UNet2DModel``."""
        return (
            type(layer) is Attention
            and type(layer.processor) is AttnProcessor2_0
            and layer.group_norm is not None
            and all(getattr(layer, name) is None for name in ("spatial_norm", "norm_q", "norm_k"))
        )

    def __call__(self, attn: Any, hidden_states: torch.Tensor, *args: Any, temb: Any = None, **kwargs: Any) -> Any:
        """Return the output of an attention layer for maps (n, channels, rows, cols)."""
        if hidden_states.ndim != 4 or any(value is not None for value in (*args, *kwargs.values())):
            return super().__call__(attn, hidden_states, *args, temb=temb, **kwargs)
        count, channels, rows, cols = hidden_states.shape
        cells = attn.group_norm(hidden_states).permute(0, 2, 3, 1).reshape(-1, channels)
        query, key, value = (
            layer(cells).view(count, rows * cols, attn.heads, -1).transpose(1, 2)
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        cells = attn.to_out[1](attn.to_out[0](attended.transpose(1, 2).reshape(len(cells), -1)))
        maps = cells.view(count, rows, cols, channels).permute(0, 3, 1, 2)
        if attn.residual_connection:
            maps.add_(hidden_states)
        return maps if attn.rescale_output_factor == 1 else maps.div_(attn.rescale_output_factor)
