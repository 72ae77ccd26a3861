"""The protocol of a backbone: the members that extraction uses. Any object that has them can be extracted from."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch


class Backbone(Protocol):
    """A frozen denoiser: weights, noise schedule, conditioning, and layers that can be tapped.

    `encode` turns an image of the scene into the denoiser's clean input ``x_0``: the image itself in pixel space, its latents
    in latent space. The caller adds noise to it and runs the denoiser by `forward_to` or `predict`.

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
    def name(self) -> str:
        """Name for people; it does not enter any key."""
        ...

    @property
    def channels(self) -> int:
        """Channels of the image."""
        ...

    @property
    def denoiser_channels(self) -> int:
        """Channels of the denoiser's input: those of the image, or of its latents."""
        ...

    @property
    def cell_px(self) -> Fraction:
        """Side of one cell of the denoiser's input, in scene pixels: 1 in pixel space."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """Noise schedule that the denoiser was trained with."""
        ...

    @property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution; their strides count scene pixels."""
        ...

    @property
    def projection_file(self) -> Path | None:
        """File of the projection that the denoiser was trained behind, or None."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the taps' values, as plain JSON values, without building the network."""
        ...

    def to(self, device: str) -> None:
        """Load the weights if they are not loaded yet, and move the network to a device."""
        ...

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images as the denoiser's clean input ``x_0``.

        Parameters
        ----------
        images : (n, channels, height, width) float32 tensor
            Tiles, projected to the model's channels.

        Returns
        -------
        (n, denoiser channels, cell rows, cell cols) float32 tensor
            ``x_0``; a cell is one pixel in pixel space, and one latent in latent space.
        """
        ...

    def forward_to(self, noisy: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run the denoiser on ``x_t`` up to the last of `layers`.

        Parameters
        ----------
        noisy : (n, denoiser channels, cell rows, cell cols) float32 tensor
            ``x_t``.
        t : int
            Timestep.
        layers : sequence of str
            Names of layers, as in the keys of `taps`.

        Returns
        -------
        dict of str to (n, layer channels, layer rows, layer cols) floating-point tensor
            Output of each layer, by name.
        """
        ...

    def predict(self, noisy: torch.Tensor, t: int) -> torch.Tensor:
        """Run the whole denoiser on ``x_t``.

        Parameters
        ----------
        noisy : (n, denoiser channels, cell rows, cell cols) float32 tensor
            ``x_t``.
        t : int
            Timestep.

        Returns
        -------
        (n, denoiser channels, cell rows, cell cols) float32 tensor
            Predicted noise, clean input or velocity: see `NoiseSchedule.prediction`.
        """
        ...
