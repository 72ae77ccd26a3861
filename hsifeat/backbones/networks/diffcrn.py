"""DiffCRN's denoiser (Zhu & Xu 2025, arXiv 2502.19699): attention over the pixels, then over the bands of a patch.

The text of the paper describes the modules. Two spatial self-attention denoising modules (SSAD) are followed by two
spectral-group self-attention denoising modules (SGSAD). Each module receives the timestep through an MLP. Each module
consists of self-attention, depth-wise convolutions (DWConv) and point-wise convolutions (PWConv). In SSAD, the tokens
are the pixels of a patch of P x P pixels. In SGSAD, the tokens are the bands of a patch. The C bands of the feature map
form N_g groups of C_g bands. A token attends only to the tokens of its group.

The formulas of the paper were not available. These parts are therefore choices of this implementation:

- the order of norms, residuals and convolutions in a module;
- the bands: they are the C channels of a point-wise projection of the input;
- several heads in SSAD;
- no position embedding: only the zero padding of the DWConv depends on the position;
- all sizes (`hsifeat.pretraining.network_specs`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from hsifeat.backbones.networks.patch_split import join_patches, split_into_patches
from hsifeat.errors import BackboneError

_FREQUENCIES = 64


class DiffCRN(ModelMixin, ConfigMixin):
    """DiffCRN's network. It predicts the noise in an image patch by patch.

    An image is split into patches of P x P pixels, beginning at its upper left corner. The output of a patch does not
    depend on other patches. An image side that is not a multiple of P is padded with zeros before each module and
    cropped afterwards. Every layer keeps the resolution of the image.

    Parameters
    ----------
    in_channels : int
        Number of channels of the image.
    width : int
        C, the number of feature bands; a multiple of `heads` and of `groups`.
    heads : int
        Number of heads of the spatial attention.
    groups : int
        N_g, the number of groups of the spectral attention.
    patch_px : int
        P, the side of a patch, in pixels.

    Raises
    ------
    BackboneError
        If a size is less than 1, or `width` is not a multiple of `heads` and of `groups`.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, in_channels: int, width: int, heads: int, groups: int, patch_px: int) -> None:
        super().__init__()
        if min(in_channels, width, heads, groups, patch_px) < 1 or width % heads or width % groups:
            raise BackboneError(
                "the sizes of a DiffCRN are whole numbers from 1, and its width is a multiple of heads and of groups; found "
                f"{in_channels} channels, width {width}, {heads} heads, {groups} groups, patches of {patch_px} px"
            )
        self.time_frequencies = Timesteps(_FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(_FREQUENCIES, width)
        self.input_projection = nn.Conv2d(in_channels, width, 1)
        self.spatial = nn.ModuleList(SSAD(width, heads, patch_px) for _ in range(2))
        self.spectral = nn.ModuleList(SGSAD(width, groups, patch_px) for _ in range(2))
        self.output_projection = nn.Conv2d(width, in_channels, 1)
        # The layers are listed with an image of several patches, so that maps of a patch are smaller than maps of the image.
        self.probe_side = 2 * patch_px

    def encode(self, noisy: torch.Tensor, t: torch.Tensor | int) -> torch.Tensor:
        """Return the feature maps that enter the output projection.

        Parameters
        ----------
        noisy : (n, in_channels, rows, cols) float32 tensor
            Noised images ``x_t``.
        t : (n,) int64 tensor or int
            Training timesteps.

        Returns
        -------
        (n, C, rows, cols) float32 tensor
            The feature maps. C is the `width` of the network.
        """
        timesteps = torch.as_tensor(t, device=noisy.device).expand(len(noisy))
        embedding = self.time_embedding(self.time_frequencies(timesteps).to(noisy.dtype))  # (n, C)
        maps: torch.Tensor = self.input_projection(noisy)  # (n, C, rows, cols)
        for module in (*self.spatial, *self.spectral):
            maps = module(maps, embedding)
        return maps

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
        return (self.output_projection(self.encode(noisy, t)),)


class _DenoisingModule(nn.Module, ABC):
    """Base class of SSAD and SGSAD: attention and a feed-forward layer on each patch, both with residual connections.

    A linear function of the timestep embedding is added to the input first.

    Parameters
    ----------
    width : int
        C, the number of feature bands.
    parts : int
        Number of equal parts into which attention divides the channels: heads in SSAD, groups in SGSAD.
    patch_px : int
        P, the side of a patch, in pixels.
    convolution_groups : int
        Number of groups of the point-wise convolution that computes queries, keys and values. With one group, each
        query, key and value depends on all channels.
    """

    def __init__(self, width: int, parts: int, patch_px: int, convolution_groups: int) -> None:
        super().__init__()
        self.parts, self.patch_px = parts, patch_px
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.attention_norm = nn.GroupNorm(1, width)
        self.queries_keys_values = nn.Sequential(
            nn.Conv2d(width, 3 * width, 1, groups=convolution_groups),  # PWConv
            nn.Conv2d(3 * width, 3 * width, 3, padding=1, groups=3 * width),  # DWConv
        )
        self.attention_projection = nn.Conv2d(width, width, 1)  # PWConv
        self.feed_forward = nn.Sequential(
            nn.GroupNorm(1, width),
            nn.Conv2d(width, 2 * width, 1),  # PWConv
            nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),  # DWConv
            nn.GELU(),
            nn.Conv2d(2 * width, width, 1),  # PWConv
        )

    def forward(self, maps: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Transform feature maps into feature maps of equal shape.

        Parameters
        ----------
        maps : (n, C, rows, cols) float32 tensor
            Feature maps with C bands.
        embedding : (n, C) float32 tensor
            Embeddings of the timesteps.

        Returns
        -------
        (n, C, rows, cols) float32 tensor
            The transformed maps.
        """
        embedded = maps + self.time(embedding)[:, :, None, None]
        patches = split_into_patches(embedded, self.patch_px)  # (m, C, P, P)
        patches = patches + self._attend(self.attention_norm(patches))
        patches = patches + self.feed_forward(patches)
        return join_patches(patches, *maps.shape[2:])

    def _attend(self, patches: torch.Tensor) -> torch.Tensor:
        shape = patches.shape  # (m, C, P, P)
        mixed = self.queries_keys_values(patches)  # (m, 3 C, P, P)
        divided = mixed.reshape(shape[0], self.parts, 3, shape[1] // self.parts, -1)  # (m, parts, 3, C / parts, P * P)
        attended = self.attention(*divided.unbind(2))  # (m, parts, C / parts, P * P)
        projected: torch.Tensor = self.attention_projection(attended.reshape(shape))
        return projected

    @abstractmethod
    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the output of the attention for m patches.

        All tensors have the shape (m, parts, C / parts, P * P). C is the number of channels, and a patch has P x P
        pixels. The parts of the channels are attention heads in `SSAD` and band groups in `SGSAD`.
        """


class SSAD(_DenoisingModule):
    """Spatial self-attention denoising module: tokens are pixels, which attend to all pixels of their patch."""

    def __init__(self, width: int, heads: int, patch_px: int) -> None:
        super().__init__(width, heads, patch_px, convolution_groups=1)

    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return ``softmax(Q K^T / sqrt(d)) V`` (Vaswani et al. 2017, eq. 1) for P * P tokens with d = C / heads values each.

        Parameters
        ----------
        queries, keys, values : (m, heads, C / heads, P * P) float32 tensors
            ``Q``, ``K`` and ``V`` of m patches of P x P pixels and C channels.

        Returns
        -------
        (m, heads, C / heads, P * P) float32 tensor
            The output of the attention.
        """
        q, k, v = (
            part.transpose(2, 3).contiguous() for part in (queries, keys, values)
        )  # (m, heads, P * P, C / heads)
        return scaled_dot_product_attention(q, k, v).transpose(2, 3)


class SGSAD(_DenoisingModule):
    """Spectral-group self-attention denoising module: tokens are bands, which attend to the bands of their group."""

    def __init__(self, width: int, groups: int, patch_px: int) -> None:
        super().__init__(width, groups, patch_px, convolution_groups=groups)

    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return ``softmax(Q K^T / sqrt(d)) V`` (Vaswani et al. 2017, eq. 1) for C / groups tokens with d = P * P values each.

        Parameters
        ----------
        queries, keys, values : (m, groups, C / groups, P * P) float32 tensors
            ``Q``, ``K`` and ``V`` of m patches of P x P pixels and C channels.

        Returns
        -------
        (m, groups, C / groups, P * P) float32 tensor
            The output of the attention.
        """
        return scaled_dot_product_attention(queries.contiguous(), keys.contiguous(), values.contiguous())
