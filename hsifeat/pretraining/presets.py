"""Networks that can be trained, each in a size for two CPU cores and in the published one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hsifeat.diffusion.imports import load_diffusers
from hsifeat.errors import PretrainingError, nearest

if TYPE_CHECKING:
    from diffusers import UNet2DModel

TIMESTEPS = 1000


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained.

    Attributes
    ----------
    components : int
        Principal components that the network sees.
    patch_px, batch : int
        Side of a training patch; patches in a step.
    channels : tuple of int
        Channels of each level of the U-Net, finest first.
    blocks : int
        Residual blocks a level.
    head_channels, norm_groups : int
        Channels of an attention head (middle block only), groups of the group norms.
    learning_rate, ema_decay : float
        Of AdamW, and of the average of the weights that is kept.
    steps : int
        Optimizer steps when neither ``--steps`` nor ``--minutes`` is given.
    """

    components: int
    patch_px: int
    batch: int
    channels: tuple[int, ...]
    blocks: int
    head_channels: int
    norm_groups: int
    learning_rate: float
    ema_decay: float
    steps: int

    def unet_config(self, components: int) -> dict[str, Any]:
        """Return the arguments of diffusers' ``UNet2DModel``: attention in the middle block only, as MTMSD has it."""
        levels = len(self.channels)
        return {
            "sample_size": self.patch_px,
            "in_channels": components,
            "out_channels": components,
            "layers_per_block": self.blocks,
            "block_out_channels": list(self.channels),
            "down_block_types": ["DownBlock2D"] * levels,
            "up_block_types": ["UpBlock2D"] * levels,
            "attention_head_dim": self.head_channels,
            "norm_num_groups": self.norm_groups,
        }

    def network(self, components: int) -> UNet2DModel:
        """Build the network with fresh weights from torch's current seed."""
        load_diffusers()
        from diffusers import UNet2DModel

        return UNet2DModel(**self.unet_config(components))


# MTMSD (Zhou et al. 2024): 48-px patches, 128 base channels with multipliers 1, 2, 2, two residual blocks, 40,000 steps;
# 24.6 M parameters and 12.9 GMAC a forward. Batch, learning rate and EMA were not published: those are ours. The
# published network also predicts a variance; ours predicts the noise alone, so its last convolution is half as wide.
PRESETS: dict[str, dict[str, Preset]] = {
    "mtmsd": {
        "small": Preset(
            components=8,
            patch_px=32,
            batch=16,
            channels=(32, 64, 64),
            blocks=1,
            head_channels=16,
            norm_groups=8,
            learning_rate=2e-3,
            ema_decay=0.99,
            steps=900,
        ),
        "paper": Preset(
            components=25,
            patch_px=48,
            batch=64,
            channels=(128, 256, 256),
            blocks=2,
            head_channels=64,
            norm_groups=32,
            learning_rate=1e-4,
            ema_decay=0.9999,
            steps=40_000,
        ),
    }
}


def find_preset(network: str, size: str) -> Preset:
    """Return a preset by name and size; `PretrainingError` with the allowed names for any other."""
    if network not in PRESETS:
        raise PretrainingError(f"unknown network {network!r}; {nearest(network, PRESETS)}")
    if size not in PRESETS[network]:
        raise PretrainingError(f"unknown size {size!r} of {network}; allowed: {', '.join(PRESETS[network])}")
    return PRESETS[network][size]
