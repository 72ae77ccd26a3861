"""What extraction asks of a backbone. A network of any kind that has these members can be put before the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.diffusion.schedule import NoiseSchedule
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch


class Backbone(Protocol):
    """A frozen denoiser: weights, noise schedule, conditioning, and the layers that can be tapped."""

    @property
    def name(self) -> str:
        """What people call it; never part of a key."""
        ...

    @property
    def channels(self) -> int:
        """Channels of the image that it takes."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """Noise schedule that it was trained with."""
        ...

    @property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution."""
        ...

    @property
    def projection_file(self) -> Path | None:
        """The projection that it was trained behind, if it brings one."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return all that decides its taps, as plain JSON values, without loading the weights into a network."""
        ...

    def forward_to(self, images: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run noised images (n, channels, height, width) at timestep `t` up to the last of `layers`; give their outputs."""
        ...

    def to(self, device: str) -> None:
        """Load the weights, if need be, and move the network to a device."""
        ...
