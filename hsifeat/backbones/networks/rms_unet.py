"""diffusers' ``UNet2DModel`` with per-pixel normalisation. A feature depends only on pixels in its receptive field."""

from __future__ import annotations

from contextlib import nullcontext
from functools import wraps
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import nn

from hsifeat.errors import BackboneError


class PixelRMSNorm(nn.Module):
    """Root-mean-square normalisation over the channels of each pixel (Zhang & Sennrich 2019, eq. 4), with scale and offset.

    Unlike group normalisation, this normalisation computes no statistics over the whole map. Each output pixel depends only
    on the input pixel at the same position.

    Parameters
    ----------
    channels : int
        Number of channels of the maps.
    eps : float
        Constant added to the mean square.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return ``weight * x / sqrt(mean_c x^2 + eps) + bias``.

        ``x`` is `maps`, of shape (n, channels, rows, cols) and any floating dtype. ``mean_c`` is the mean over the
        channels.
        """
        scale = maps.square().mean(1, keepdim=True).add(self.eps).rsqrt()
        return maps * scale * self.weight[:, None, None] + self.bias[:, None, None]


class RMSNormUNet2DModel(UNet2DModel):
    """diffusers' ``UNet2DModel`` with `PixelRMSNorm` instead of group normalisation, and without attention.

    The constructor has the parameters of ``UNet2DModel``. A feature depends only on pixels in its receptive field.
    Tiles whose halo covers the receptive field therefore give the same features as the whole image, up to rounding.

    Raises
    ------
    BackboneError
        If the arguments specify attention layers, whose output depends on the whole image.
    """

    @wraps(UNet2DModel.__init__)  # type: ignore[misc]  # mypy has no decorated constructors
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if any(hasattr(module, "to_q") for module in self.modules()):
            raise BackboneError(
                "RMSNormUNet2DModel has no attention: set add_attention to false, and use DownBlock2D and UpBlock2D"
            )
        for module in list(self.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.GroupNorm):
                    setattr(module, name, PixelRMSNorm(child.num_channels, child.eps))

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor | float, *args: Any, **kwargs: Any) -> Any:
        """Run the network like ``UNet2DModel.forward``. A single timestep is embedded once for all images.

        The features therefore do not depend on the number of images in a batch. With one embedding per image, a matrix
        product would have more rows and would be rounded differently.

        Parameters
        ----------
        sample : (n, channels, rows, cols) float32 tensor
            Noised images ``x_t``.
        timestep : tensor, int or float
            One training timestep for all images, or an (n,) tensor with one timestep per image.
        *args, **kwargs
            Further arguments of ``UNet2DModel.forward``.

        Returns
        -------
        object
            Output of ``UNet2DModel.forward``, which contains the predicted noise as a tensor of the shape of `sample`.
        """
        is_single = not torch.is_tensor(timestep) or timestep.ndim == 0
        with self.time_embedding.register_forward_pre_hook(_first_row) if is_single else nullcontext():
            return super().forward(sample, timestep, *args, **kwargs)


def _first_row(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0][:1], *inputs[1:])
