"""DiffCRN's denoiser (Zhu & Xu 2025, arXiv 2502.19699): staged, without a U-Net; attention over pixels, then over bands.

From the paper's readable text: two spatial self-attention denoising modules (SSAD), then two spectral-group ones (SGSAD);
each is told the timestep through an MLP and is made of self-attention, depth-wise (DWConv) and point-wise (PWConv)
convolutions. In SSAD the tokens are the pixels of a patch of P x P. In SGSAD the C bands are N_g groups of C_g, a token is
the whole patch of one band, and attention stays within a group.

Our construction, since no formula of it could be read: where norms, residuals and convolutions stand in a module; that the
bands are the C channels of a point-wise input projection; several heads in SSAD; no position embedding but what the zeros
around a DWConv tell; all sizes (`hsifeat.backbones.networks.sizes`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from hsifeat.backbones.networks.patch_split import cut, join
from hsifeat.errors import BackboneError

_FREQUENCIES = 64


class DiffCRN(ModelMixin, ConfigMixin):
    """The noise in an image, seen patch by patch.

    A patch is all that the network sees at once: an image is cut into patches from its upper left corner, and what they
    give does not depend on their neighbours. A side that is no multiple of P is continued by zeros before each module and
    cut off after it. Every layer keeps the image's resolution.

    Parameters
    ----------
    in_channels : int
        Components of the image.
    width : int
        C, the feature maps' bands: a multiple of `heads` and of `groups`.
    heads : int
        Heads of the spatial attention.
    groups : int
        N_g, groups of the spectral attention.
    patch_px : int
        P.

    Raises
    ------
    BackboneError
        Sizes that do not go together.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, in_channels: int, width: int, heads: int, groups: int, patch_px: int) -> None:
        super().__init__()
        if min(in_channels, width, heads, groups, patch_px) < 1 or width % heads or width % groups:
            raise BackboneError(
                "a DiffCRN's sizes are whole numbers from 1, and its width is a multiple of heads and of groups; found "
                f"{in_channels} channels, width {width}, {heads} heads, {groups} groups, patches of {patch_px} px"
            )
        self.time_frequencies = Timesteps(_FREQUENCIES, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(_FREQUENCIES, width)
        self.input_projection = nn.Conv2d(in_channels, width, 1)
        self.spatial = nn.ModuleList(SSAD(width, heads, patch_px) for _ in range(2))
        self.spectral = nn.ModuleList(SGSAD(width, groups, patch_px) for _ in range(2))
        self.output_projection = nn.Conv2d(width, in_channels, 1)
        # An image of several patches, so that what works on one of them is told from what gives a map of the whole.
        self.probe_side = 2 * patch_px

    def encode(self, noised: torch.Tensor, t: torch.Tensor | int) -> torch.Tensor:
        """Return the last feature map, from which the output projection takes the noise.

        Parameters
        ----------
        noised : (n, in_channels, rows, cols) float32 tensor
            ``x_t``.
        t : (n,) tensor or int
            Training timesteps.

        Returns
        -------
        (n, C, rows, cols) float32 tensor
        """
        timesteps = torch.as_tensor(t, device=noised.device).expand(len(noised))
        embedding = self.time_embedding(self.time_frequencies(timesteps).to(noised.dtype))  # (n, C)
        maps: torch.Tensor = self.input_projection(noised)  # (n, C, rows, cols)
        for module in (*self.spatial, *self.spectral):
            maps = module(maps, embedding)
        return maps

    def forward(
        self,
        noised: torch.Tensor,
        t: torch.Tensor | int,
        return_dict: bool = False,  # noqa: ARG002  # as diffusers' networks are called
    ) -> tuple[torch.Tensor]:
        """Return the predicted noise (n, in_channels, rows, cols), in a tuple; see `encode`."""
        return (self.output_projection(self.encode(noised, t)),)


class _DenoisingModule(nn.Module, ABC):
    """What SSAD and SGSAD share, on each patch: ``x + W e``, then attention and feed-forward, each with its residual.

    Parameters
    ----------
    width : int
        C.
    parts : int
        Into how many equal parts, heads or groups, the channels are divided for attention.
    patch_px : int
        P.
    mix : int
        Groups of the PWConv to queries, keys and values: 1 where each may be of all channels.
    """

    def __init__(self, width: int, parts: int, patch_px: int, mix: int) -> None:
        super().__init__()
        self.parts, self.patch_px = parts, patch_px
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(width, width))
        self.attention_norm = nn.GroupNorm(1, width)
        self.queries_keys_values = nn.Sequential(
            nn.Conv2d(width, 3 * width, 1, groups=mix),  # PWConv
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
        """Turn maps (n, C, rows, cols) and embeddings of the timestep (n, C) into maps of the same shape."""
        embedded = maps + self.time(embedding)[:, :, None, None]
        patches = cut(embedded, self.patch_px)  # (m, C, P, P)
        patches = patches + self._attend(self.attention_norm(patches))
        patches = patches + self.feed_forward(patches)
        return join(patches, *maps.shape[2:])

    def _attend(self, patches: torch.Tensor) -> torch.Tensor:
        shape = patches.shape  # (m, C, P, P)
        mixed = self.queries_keys_values(patches)  # (m, 3 C, P, P)
        divided = mixed.reshape(shape[0], self.parts, 3, shape[1] // self.parts, -1)  # (m, parts, 3, C / parts, P * P)
        attended = self.attention(*divided.unbind(2))  # (m, parts, C / parts, P * P)
        projected: torch.Tensor = self.attention_projection(attended.reshape(shape))
        return projected

    @abstractmethod
    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Attend within each part: from and to (m, parts, C / parts, P * P)."""


class SSAD(_DenoisingModule):
    """Spatial self-attention: a token is a pixel, and sees all pixels of its patch."""

    def __init__(self, width: int, heads: int, patch_px: int) -> None:
        super().__init__(width, heads, patch_px, mix=1)

    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``softmax(Q K^T / sqrt(d)) V`` (Vaswani et al. 2017, eq. 1) over P * P tokens of d = C / heads."""
        q, k, v = (
            part.transpose(2, 3).contiguous() for part in (queries, keys, values)
        )  # (m, heads, P * P, C / heads)
        return scaled_dot_product_attention(q, k, v).transpose(2, 3)


class SGSAD(_DenoisingModule):
    """Spectral-group self-attention: a token is the whole patch of one band, and sees the bands of its group."""

    def __init__(self, width: int, groups: int, patch_px: int) -> None:
        super().__init__(width, groups, patch_px, mix=groups)

    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``softmax(Q K^T / sqrt(d)) V`` (Vaswani et al. 2017, eq. 1) over C_g tokens of d = P * P."""
        return scaled_dot_product_attention(queries.contiguous(), keys.contiguous(), values.contiguous())
