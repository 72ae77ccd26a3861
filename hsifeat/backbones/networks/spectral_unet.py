"""SpectralDiff's denoiser (Chen et al. 2023, arXiv 2304.05961): a 3-D U-Net that halves only the spectral axis.

The blocks and sizes follow the published code. If the number of bands can't be halved often enough without a remainder,
copies of the last band are appended, as in the published data. The sinusoidal timestep embedding is scaled as in
diffusers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import Timesteps
from torch import nn
from torch.nn.functional import relu

from hsifeat.errors import BackboneError

# Kernel, stride and padding of the convolutions that halve or double the spectral axis, for bands, rows and columns.
_RESAMPLING = {"kernel_size": (4, 5, 5), "stride": (2, 1, 1), "padding": (1, 2, 2)}


class SpectralUNet(ModelMixin, ConfigMixin):
    """SpectralDiff's network, which predicts the noise in an image. The feature maps have a spectral axis.

    All feature maps have the height and width of the image. An extraction stores a map with C channels and B bands as a plane
    with C * B channels.

    Parameters
    ----------
    in_channels : int
        Number of bands of the image.
    widths : sequence of int
        Number of channels at the full spectral resolution, and after each halving. The published code uses 16, 32, 64
        and 128.
    time_channels : int
        Number of channels of the timestep embedding. The published code uses 32.

    Raises
    ------
    BackboneError
        If a number is less than 1. If `widths` has fewer than two numbers. If `time_channels` is odd.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, in_channels: int, widths: Sequence[int], time_channels: int = 32) -> None:
        super().__init__()
        if min(in_channels, time_channels, *widths) < 1 or len(widths) < 2 or time_channels % 2:
            raise BackboneError(
                "the sizes of a SpectralUNet are whole numbers from 1, with two widths or more and an even time_channels; found "
                f"{in_channels} channels, widths {list(widths)}, time_channels {time_channels}"
            )
        self.time_frequencies = Timesteps(time_channels, flip_sin_to_cos=False, downscale_freq_shift=1)
        self.time_embedding = nn.Sequential(nn.Linear(time_channels, time_channels), nn.ReLU())
        self.input_convolution = nn.Conv3d(1, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(_Block(a, b, time_channels, up=False) for a, b in pairwise(widths))
        self.skips = nn.ModuleList(SkipConnection() for _ in widths[1:])
        self.up_blocks = nn.ModuleList(
            _Block(2 * b, a, time_channels, up=True) for a, b in reversed([*pairwise(widths)])
        )
        self.output_convolution = nn.Conv3d(widths[0], 1, 1)
        self.probe_side = 8

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
            Training timesteps.
        return_dict : bool
            Ignored.

        Returns
        -------
        tuple of one (n, in_channels, rows, cols) float32 tensor
            The predicted noise.
        """
        bands, halvings = noisy.shape[1], len(self.down_blocks)
        extra = -bands % 2**halvings
        padded = torch.cat([noisy, noisy[:, -1:].expand(-1, extra, -1, -1)], dim=1) if extra else noisy
        timesteps = torch.as_tensor(t, device=noisy.device).expand(len(noisy))
        embedding = self.time_embedding(self.time_frequencies(timesteps).to(noisy.dtype))  # (n, time_channels)
        x = self.input_convolution(padded[:, None])  # (n, widths[0], bands, rows, cols)
        skips = []
        for block in self.down_blocks:
            x = block(x, embedding)
            skips.append(x)
        for block, connection in zip(self.up_blocks, self.skips, strict=True):
            x = block(connection(x, skips.pop()), embedding)
        return (self.output_convolution(x)[:, 0, :bands],)


class SkipConnection(nn.Module):
    """Layer that concatenates decoder maps and encoder maps. SpectralDiff classifies the concatenated maps."""

    def forward(self, decoded: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        """Concatenate float32 maps of C1 and C2 channels to maps of shape (n, C1 + C2, bands, rows, cols)."""
        return torch.cat([decoded, encoded], dim=1)


class _Block(nn.Module):
    """Two convolutions with ReLU and batch norm, with the timestep embedding added in between, and a spectral resampling."""

    def __init__(self, channels_in: int, channels_out: int, time_channels: int, *, up: bool) -> None:
        super().__init__()
        self.time = nn.Linear(time_channels, channels_out)
        self.first = nn.Conv3d(channels_in, channels_out, 3, padding=1)
        self.second = nn.Conv3d(channels_out, channels_out, 3, padding=1)
        self.first_norm, self.second_norm = nn.BatchNorm3d(channels_out), nn.BatchNorm3d(channels_out)
        convolution = nn.ConvTranspose3d if up else nn.Conv3d
        self.resampling = convolution(channels_out, channels_out, **_RESAMPLING)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.first_norm(relu(self.first(x))) + relu(self.time(embedding))[:, :, None, None, None]
        resampled: torch.Tensor = self.resampling(self.second_norm(relu(self.second(h))))
        return resampled
