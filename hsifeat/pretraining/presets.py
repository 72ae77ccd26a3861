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
class ImageTraining:
    """How training on images is judged.

    Attributes
    ----------
    held_out : int
        Most images that are kept apart for the held-out loss; never more than one in fifty, and at least one.
    judge_steps : int
        Steps from one held-out loss to the next.
    samples : int
        Images of the picture of samples.
    """

    held_out: int
    judge_steps: int
    samples: int


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained.

    Attributes
    ----------
    components : int
        Channels that the network sees: principal components of a scene, or an image's three.
    patch_px, batch : int
        Side of a training patch; patches in a step.
    channels : tuple of int
        Channels of each level of the U-Net, finest first.
    blocks : int
        Residual blocks a level.
    head_channels, norm_groups : int
        Channels of an attention head, groups of the group norms.
    learning_rate, ema_decay : float
        Of AdamW, and of the average of the weights that is kept.
    steps : int
        Optimizer steps when neither ``--steps`` nor ``--minutes`` is given.
    attention : tuple of int
        Levels with self-attention, counted from the finest; the middle block always has it.
    images : ImageTraining or None
        What only a network that learns from images has.
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
    attention: tuple[int, ...] = ()
    images: ImageTraining | None = None

    def unet_config(self, components: int) -> dict[str, Any]:
        """Return the arguments of diffusers' ``UNet2DModel``."""
        attends = [level in self.attention for level in range(len(self.channels))]
        return {
            "sample_size": self.patch_px,
            "in_channels": components,
            "out_channels": components,
            "layers_per_block": self.blocks,
            "block_out_channels": list(self.channels),
            "down_block_types": ["AttnDownBlock2D" if here else "DownBlock2D" for here in attends],
            "up_block_types": ["AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)],
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
    },
    # Ours: a small network in the manner of DDPM's for 32-px images (Ho et al. 2020), 6.1 M parameters, 12 MB in float16.
    # Its coarsest level, at an eighth of the resolution, is what segmentation by frozen denoisers profits from.
    "natural32": {
        "small": Preset(
            components=3,
            patch_px=32,
            batch=16,
            channels=(16, 32, 48),
            blocks=1,
            head_channels=16,
            norm_groups=8,
            learning_rate=2e-3,
            ema_decay=0.99,
            steps=900,
            images=ImageTraining(held_out=16, judge_steps=150, samples=9),
        ),
        "paper": Preset(
            components=3,
            patch_px=32,
            batch=128,
            channels=(64, 128, 128, 128),
            blocks=1,
            head_channels=32,
            norm_groups=32,
            learning_rate=4e-4,
            ema_decay=0.9995,
            steps=50_000,
            attention=(1,),
            images=ImageTraining(held_out=1000, judge_steps=2500, samples=64),
        ),
    },
}


def find_preset(network: str, size: str) -> Preset:
    """Return a preset by name and size; `PretrainingError` with the allowed names for any other."""
    if network not in PRESETS:
        raise PretrainingError(f"unknown network {network!r}; {nearest(network, PRESETS)}")
    if size not in PRESETS[network]:
        raise PretrainingError(f"unknown size {size!r} of {network}; allowed: {', '.join(PRESETS[network])}")
    return PRESETS[network][size]
