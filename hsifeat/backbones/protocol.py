"""What extraction asks of a backbone. A network of any kind that has these members can be put before the cache."""

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
    """A frozen denoiser: weights, noise schedule, conditioning, and the layers that can be tapped.

    An image of the scene is encoded into what the denoiser was trained to noise, noised outside of the backbone, and run
    forward. In pixel space both are the same; in latent space an encoder lies between them.
    """

    @property
    def name(self) -> str:
        """What people call it; never part of a key."""
        ...

    @property
    def channels(self) -> int:
        """Channels of the image that it takes."""
        ...

    @property
    def denoiser_channels(self) -> int:
        """Channels of what is noised: those of the image, or of its latents."""
        ...

    @property
    def cell_px(self) -> Fraction:
        """Scene pixels along a cell of what is noised: 1 in pixel space."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """Noise schedule that it was trained with."""
        ...

    @property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution; their strides count scene pixels."""
        ...

    @property
    def projection_file(self) -> Path | None:
        """The projection that it was trained behind, if it brings one."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return all that decides its taps, as plain JSON values, without loading the weights into a network."""
        ...

    def to(self, device: str) -> None:
        """Load the weights, if need be, and move the network to a device."""
        ...

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Turn images (n, channels, height, width) into what is noised (n, noised channels, cell rows, cell cols)."""
        ...

    def forward_to(self, noised: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run what was noised at timestep `t` up to the last of `layers`; give their outputs."""
        ...

    def predict(self, noised: torch.Tensor, t: int) -> torch.Tensor:
        """Return the whole network's output for what was noised, as its schedule's `prediction` says."""
        ...
