"""Multi-stage U-Net (Zhang et al., CVPR 2024, arXiv 2312.09181): one encoder, and one decoder for each interval of timesteps.

All timesteps share the encoder, which includes the middle block. Each decoder has its own base width, because predictions
at low noise need more parameters than at high noise. At each level, the base widths of the encoder and of all decoders
are multiplied by the same factor, as in the published code for CIFAR-10. In a decoder level with attention, the attention
layer is the last layer. Two parts of the published network are left out: the addition of the downsampled image to each
level, and the smoothing filter of the resampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, DownBlock2D, UNetMidBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from hsifeat.errors import BackboneError


class MultistageUNet(ModelMixin, ConfigMixin):
    """U-Net of Zhang et al. (CVPR 2024) with a shared encoder and a decoder for each interval of timesteps.

    All timesteps of a batch must lie in one interval.

    Parameters
    ----------
    in_channels : int
        Number of channels of the image.
    encoder_width : int
        Number of channels of the finest level of the encoder. The paper uses 128 for CIFAR-10.
    decoder_widths : sequence of int
        Number of channels of the finest level of each decoder, from the lowest noise to the highest. The paper uses
        192, 128 and 16.
    boundaries : sequence of int
        First timestep of each decoder except the first decoder, in ascending order.
    multipliers : sequence of int
        Factors by which encoder and decoder widths are multiplied at each level, from the finest level to the coarsest.
    blocks : int
        Number of residual blocks of each level of the encoder. Each level of a decoder has one block more.
    attention : sequence of int
        Levels with self-attention. Level 0 is the finest. The middle block always has self-attention.
    head_channels, norm_groups : int
        Number of channels per attention head, and maximum number of groups in a group normalisation.

    Raises
    ------
    BackboneError
        If the number of boundaries is not the number of decoders minus 1. If the boundaries are not positive and ascending.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int,
        encoder_width: int,
        decoder_widths: Sequence[int],
        boundaries: Sequence[int],
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int] = (),
        head_channels: int = 64,
        norm_groups: int = 16,
    ) -> None:
        super().__init__()
        starts = (0, *boundaries)
        if len(starts) != len(decoder_widths) or any(first >= second for first, second in pairwise(starts)):
            raise BackboneError(
                "a MultistageUNet has one boundary less than decoders, and its boundaries ascend from 1; found "
                f"{len(decoder_widths)} decoders and the boundaries {list(boundaries)}"
            )
        self.probe_timesteps = starts
        self.probe_side = 8 * 2 ** (len(multipliers) - 1)
        widths = [encoder_width * factor for factor in multipliers]
        self._time_channels = 4 * encoder_width
        self._head_channels, self._norm_groups = head_channels, norm_groups
        self.time_frequencies = Timesteps(encoder_width, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(encoder_width, self._time_channels)
        self.input_convolution = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        skips, levels = [widths[0]], range(len(widths))
        self.down_blocks = nn.ModuleList()
        for level, (before, width) in enumerate(zip([widths[0], *widths], widths, strict=False)):
            downsamples = level < levels[-1]
            settings: dict[str, Any] = {
                "in_channels": before,
                "out_channels": width,
                "temb_channels": self._time_channels,
                "num_layers": blocks,
                "resnet_groups": group_count(width, norm_groups),
            }
            if level in attention:
                kind = "conv" if downsamples else None
                block: nn.Module = AttnDownBlock2D(**settings, attention_head_dim=head_channels, downsample_type=kind)
            else:
                block = DownBlock2D(**settings, add_downsample=downsamples)
            self.down_blocks.append(block)
            skips += [width] * (blocks + downsamples)
        self.mid_block = UNetMidBlock2D(
            in_channels=widths[-1],
            temb_channels=self._time_channels,
            attention_head_dim=head_channels,
            resnet_groups=group_count(widths[-1], norm_groups),
        )
        self.decoders = nn.ModuleList(
            _Decoder(
                in_channels,
                widths[-1],
                [base * factor for factor in multipliers],
                skips,
                blocks + 1,
                attention,
                self._residual_block,
                self._attention_layer,
                norm_groups,
            )
            for base in decoder_widths
        )

    def _residual_block(self, channels_in: int, channels_out: int) -> nn.Module:
        block: nn.Module = ResnetBlock2D(
            in_channels=channels_in,
            out_channels=channels_out,
            temb_channels=self._time_channels,
            groups=group_count(channels_in, self._norm_groups),
            groups_out=group_count(channels_out, self._norm_groups),
        )
        return block

    def _attention_layer(self, width: int) -> nn.Module:
        dim = min(self._head_channels, width)
        layer: nn.Module = Attention(
            width,
            heads=max(width // dim, 1),
            dim_head=dim,
            norm_num_groups=group_count(width, self._norm_groups),
            residual_connection=True,
            bias=True,
            upcast_softmax=True,
            _from_deprecated_attn_block=True,
        )
        return layer

    def forward(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor | int,
        return_dict: bool = False,  # noqa: ARG002  # an argument of all diffusers networks
    ) -> tuple[torch.Tensor]:
        """Predict the noise. The signature is that of diffusers' networks.

        Parameters
        ----------
        noisy : (n, in_channels, rows, cols) float32 tensor
            Noised images ``x_t``.
        t : (n,) int64 tensor or int
            Training timesteps, all of one interval.
        return_dict : bool
            Ignored.

        Returns
        -------
        tuple of one (n, in_channels, rows, cols) float32 tensor
            The predicted noise.
        """
        first = t if isinstance(t, int) else int(t.flatten()[0])
        decoder = self.decoders[sum(first >= boundary for boundary in self.config.boundaries)]
        timesteps = torch.as_tensor(t, device=noisy.device).expand(len(noisy))
        embedding = self.time_embedding(self.time_frequencies(timesteps).to(noisy.dtype))
        x = self.input_convolution(noisy)
        skips = [x]
        for block in self.down_blocks:
            x, outputs = block(x, embedding)
            skips += outputs
        predicted: torch.Tensor = decoder(self.mid_block(x, embedding), embedding, skips)
        return (predicted,)


class _Decoder(nn.Module):
    """Decoder of one interval. The constructor receives functions that build a residual block and an attention layer."""

    def __init__(
        self,
        channels: int,
        width: int,
        widths: Sequence[int],
        skips: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        residual_block: Any,
        attention_layer: Any,
        norm_groups: int,
    ) -> None:
        super().__init__()
        self._blocks, remaining = blocks, list(skips)
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            residuals = nn.ModuleList()
            for _ in range(blocks):
                residuals.append(residual_block(width + remaining.pop(), widths[level]))
                width = widths[level]
            last = attention_layer(width) if level in attention else nn.Identity()
            self.up_blocks.append(
                _UpBlock(residuals, last, Upsample2D(width, use_conv=True) if level else nn.Identity())
            )
        self.output = nn.Sequential(
            nn.GroupNorm(group_count(width, norm_groups), width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)
        )

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        for block in self.up_blocks:
            x = block(x, embedding, [skips.pop() for _ in range(self._blocks)])
        predicted: torch.Tensor = self.output(x)
        return predicted


class _UpBlock(nn.Module):
    """Level of a decoder: residual blocks, each with a skip connection, followed by attention and upsampling."""

    def __init__(self, residuals: nn.ModuleList, attention: nn.Module, upsampling: nn.Module) -> None:
        super().__init__()
        self.residuals, self.attention, self.upsampling = residuals, attention, upsampling

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        for residual, skip in zip(self.residuals, skips, strict=True):
            x = residual(torch.cat([x, skip], dim=1), embedding)
        upsampled: torch.Tensor = self.upsampling(self.attention(x))
        return upsampled


def group_count(channels: int, largest: int) -> int:
    """Return the largest divisor of `channels` that is at most `largest` and at most ``channels / 4``; 1 if there is none.

    >>> group_count(288, 16), group_count(16, 16), group_count(3, 16)
    (16, 4, 1)
    """
    limit = max(min(channels // 4, largest), 1)
    return next(count for count in range(limit, 0, -1) if channels % count == 0)
