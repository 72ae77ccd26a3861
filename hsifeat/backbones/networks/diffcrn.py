"""DiffCRN's denoiser (Zhu & Xu 2025, arXiv 2502.19699): attention over the pixels, then over the bands of a patch.

From the text of the paper: two spatial self-attention denoising modules (SSAD) are followed by two spectral-group ones (SGSAD).
Each receives the timestep through an MLP and consists of self-attention, depth-wise (DWConv) and point-wise (PWConv)
convolutions. In SSAD the tokens are the pixels of a patch of P x P. In SGSAD the C bands form N_g groups of C_g, a token is the
whole patch of one band, and attention stays within a group.

The paper's formulas could not be read, so the following is our construction: the positions of norms, residuals and
convolutions in a module; the bands being the C channels of a point-wise input projection; several heads in SSAD; no position
embedding beyond the zero padding of the DWConv; and all sizes (`hsifeat.pretraining.network_specs`).
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
    """DiffCRN's network, which predicts the noise in an image patch by patch.

    An image is split into patches from its upper left corner, and the output of a patch does not depend on its neighbours. A
    side that is not a multiple of P is padded with zeros before each module and cropped after it. Every layer keeps the
    image's resolution.

    Parameters
    ----------
    in_channels : int
        Components of the image.
    width : int
        C, the number of feature bands: a multiple of `heads` and of `groups`.
    heads : int
        Heads of the spatial attention.
    groups : int
        N_g, groups of the spectral attention.
    patch_px : int
        P, the side of a patch.

    Raises
    ------
    BackboneError
        The sizes are inconsistent.
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
        # Layers are listed with an image of several patches, which tells maps of one patch from maps of the image.
        self.probe_side = 2 * patch_px

    def encode(self, noisy: torch.Tensor, t: torch.Tensor | int) -> torch.Tensor:
        """Return the last feature map, the input of the output projection.

        Parameters
        ----------
        noisy : (n, in_channels, rows, cols) float32 tensor
            ``x_t``.
        t : (n,) tensor or int
            Training timesteps.

        Returns
        -------
        (n, C, rows, cols) float32 tensor
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
        return_dict: bool = False,  # noqa: ARG002  # as diffusers' networks are called
    ) -> tuple[torch.Tensor]:
        """Predict the noise, called as diffusers' networks are.

        Parameters
        ----------
        noisy : (n, in_channels, rows, cols) float32 tensor
            ``x_t``.
        t : (n,) int64 tensor or int
            Timesteps; see `encode`.
        return_dict : bool
            Ignored.

        Returns
        -------
        tuple of one (n, in_channels, rows, cols) float32 tensor
            The predicted noise.
        """
        return (self.output_projection(self.encode(noisy, t)),)


class _DenoisingModule(nn.Module, ABC):
    """Base class of SSAD and SGSAD: on each patch ``x + W e``, then attention and feed-forward, each with a residual.

    Parameters
    ----------
    width : int
        C.
    parts : int
        Number of equal parts, heads or groups, that the channels are divided into for attention.
    patch_px : int
        P.
    convolution_groups : int
        Groups of the PWConv to queries, keys and values: 1 lets each depend on all channels.
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
        """Transform maps (n, C, rows, cols) float32, with embeddings of the timestep (n, C), into maps of the same shape."""
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
        """Attend within each part: all tensors are (m, parts, C / parts, P * P)."""


class SSAD(_DenoisingModule):
    """Spatial self-attention denoising module: tokens are pixels, which attend to all pixels of their patch."""

    def __init__(self, width: int, heads: int, patch_px: int) -> None:
        super().__init__(width, heads, patch_px, convolution_groups=1)

    def attention(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """``softmax(Q K^T / sqrt(d)) V`` (Vaswani et al. 2017, eq. 1) over P * P tokens of d = C / heads.

        Parameters
        ----------
        queries, keys, values : (m, heads, C / heads, P * P) float32 tensors
            ``Q``, ``K`` and ``V``, of m patches.

        Returns
        -------
        (m, heads, C / heads, P * P) float32 tensor
            The attended values.
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
        """``softmax(Q K^T / sqrt(d)) V`` (Vaswani et al. 2017, eq. 1) over C_g tokens of d = P * P.

        Parameters
        ----------
        queries, keys, values : (m, groups, C / groups, P * P) float32 tensors
            ``Q``, ``K`` and ``V``, of m patches.

        Returns
        -------
        (m, groups, C / groups, P * P) float32 tensor
            The attended values.
        """
        return scaled_dot_product_attention(queries.contiguous(), keys.contiguous(), values.contiguous())
