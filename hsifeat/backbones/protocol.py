"""Protocols of backbones and of other sources of features: the members that the extraction uses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch


class FeatureSource(Protocol):
    """Protocol of a source of features: a `Backbone`, or the filters of ``context`` (see `hsifeat.context`)."""

    @property
    def name(self) -> str:
        """Name shown to users; it does not affect the key of a store."""
        ...

    @property
    def taps(self) -> list[Tap]:
        """All layers whose feature maps can be read, in the order of execution. Strides are in pixels of the input image."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values. The network is not built."""
        ...

    def to(self, device: str) -> None:
        """Select the device on which the features are computed. If there is a network, load it, and move it to this device."""
        ...


class Backbone(FeatureSource, Protocol):
    """A frozen denoiser that provides feature maps. It has a noise schedule and, if conditional, a fixed class label or prompt.

    `encode` turns an image into the denoiser's clean input ``x_0``. In pixel space, ``x_0`` is the image itself. In
    latent space, ``x_0`` is the latents of the image. The caller adds noise to ``x_0`` and runs the denoiser with
    `forward_to` or `predict`.

    If threads share a backbone, hsifeat calls `to`, `encode`, `forward_to` and `predict` in one thread at a time, see
    `exclusive_use`. At the same time, other threads may read the properties and call `identity`.

    Examples
    --------
    >>> import hsifeat, torch
    >>> backbone = hsifeat.open_backbone("backbone")
    >>> backbone.to("cpu")
    >>> clean = backbone.encode(torch.zeros(1, 3, 16, 16))
    >>> noisy = backbone.schedule.add_noise(clean, torch.ones_like(clean), 300)
    >>> backbone.forward_to(noisy, 300, ["mid_block"])["mid_block"].shape
    torch.Size([1, 16, 4, 4])
    """

    @property
    def channels(self) -> int:
        """Number of channels of the images that the model takes."""
        ...

    @property
    def denoiser_channels(self) -> int:
        """Number of channels of the denoiser's input. The input is the image, or the latents of the image."""
        ...

    @property
    def cell_px(self) -> Fraction:
        """Side of one cell of the denoiser's input, in pixels of the image; 1 in pixel space."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """Noise schedule that the denoiser was trained with."""
        ...

    @property
    def projection_file(self) -> Path | None:
        """File with the projection that the denoiser was trained with, or None. A projection maps bands to channels."""
        ...

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as the denoiser's clean input ``x_0``.

        Parameters
        ----------
        images : (n, channels, height, width) float32 tensor
            Images with the channels of the model.

        Returns
        -------
        (n, denoiser channels, cell rows, cell cols) float32 tensor
            Clean input ``x_0``. A cell is one pixel in pixel space, and one latent position in latent space.
        """
        ...

    def forward_to(self, noisy: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run the denoiser until it has computed all `layers`, and return the feature maps of `layers`.

        Parameters
        ----------
        noisy : (n, denoiser channels, cell rows, cell cols) float32 tensor
            Noised input ``x_t``.
        t : int
            Training timestep.
        layers : sequence of str
            Names of layers, as in `taps`.

        Returns
        -------
        dict of str to (n, layer channels, layer rows, layer cols) floating-point tensor
            Maps the name of each layer to its feature map.
        """
        ...

    def predict(self, noisy: torch.Tensor, t: int) -> torch.Tensor:
        """Run the whole denoiser on noised input, and return its prediction.

        Parameters
        ----------
        noisy : (n, denoiser channels, cell rows, cell cols) float32 tensor
            Noised input ``x_t``.
        t : int
            Training timestep.

        Returns
        -------
        (n, denoiser channels, cell rows, cell cols) float32 tensor
            Predicted noise, clean input or velocity: see `NoiseSchedule.prediction`.
        """
        ...
