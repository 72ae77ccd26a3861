"""Networks that can be trained, each in a size for two CPU cores and in the published one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.networks import network_type
from hsifeat.backbones.networks.sizes import diffcrn_paper, diffcrn_small
from hsifeat.errors import PretrainingError, suggest_names
from hsifeat.pretraining.batches import TIMESTEPS, TimestepRule

if TYPE_CHECKING:
    from hsifeat.pretraining.objectives import Objective


@dataclass(frozen=True)
class ImageTraining:
    """What only a network that learns from natural images has.

    Attributes
    ----------
    held_out : int
        Most images that are kept apart for the held-out loss; never more than one in fifty, and at least one.
    samples : int
        Images of the picture of samples.
    """

    held_out: int
    samples: int


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained.

    Attributes
    ----------
    class_name : str
        Class of the network, see `hsifeat.backbones.networks`.
    config : callable
        Gives its arguments, from the number of channels.
    components : int
        Channels that the network sees: principal components of a scene, or an image's three.
    patch_px, batch : int
        Side of a training patch; patches in a step.
    learning_rate, ema_decay : float
        Of AdamW, and of the average of the weights that is kept.
    steps : int
        Optimizer steps when neither ``--steps`` nor ``--minutes`` is given.
    judge_steps : int
        Steps from one held-out loss to the next.
    objective : str
        Class of what a step minimises, in `hsifeat.pretraining.objectives`.
    timesteps : TimestepRule
        How the timesteps of a batch are drawn.
    images : ImageTraining or None
        What only a network that learns from images has.
    """

    class_name: str
    config: Callable[[int], dict[str, Any]]
    components: int
    patch_px: int
    batch: int
    learning_rate: float
    ema_decay: float
    steps: int
    judge_steps: int
    objective: str = "NoisePrediction"
    timesteps: TimestepRule = field(default_factory=TimestepRule)
    images: ImageTraining | None = None

    def settings(self) -> dict[str, Any]:
        """Return what the record and the card say of it, as plain JSON values."""
        changed = "mirrored at random" if self.images else "flipped and turned"
        parted = ", ".join(map(str, self.timesteps.boundaries))
        return {
            "class": self.class_name,
            "objective": self.objective,
            "patch": f"{self.patch_px} px, {changed}",
            "batch": self.batch,
            "schedule": f"cosine, T = {TIMESTEPS}",
            **({"timesteps of a batch": f"in one interval, parted at {parted}"} if parted else {}),
            "optimizer": f"AdamW, learning rate {self.learning_rate}, gradient norm clipped at 1",
            "moving average": self.ema_decay,
        }

    def build(self, channels: int) -> Any:
        """Build the network with fresh weights from torch's current seed."""
        return network_type(self.class_name)(**self.config(channels))

    def build_objective(self, network: Any) -> Objective:
        """Build what is minimised, with fresh parameters of its own from torch's current seed."""
        from hsifeat.pretraining import objectives

        made: Objective = getattr(objectives, self.objective)(network)
        return made


def unet_config(
    channels: int,
    *,
    side_px: int,
    widths: tuple[int, ...],
    blocks: int,
    head_channels: int,
    norm_groups: int,
    attention: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Return the arguments of diffusers' ``UNet2DModel``.

    Parameters
    ----------
    channels : int
        Channels of the image.
    side_px : int
        Side of a training patch.
    widths : tuple of int
        Channels of each level, finest first.
    blocks : int
        Residual blocks a level.
    head_channels, norm_groups : int
        Channels of an attention head, groups of the group norms.
    attention : tuple of int
        Levels with self-attention, counted from the finest; the middle block always has it.
    """
    attends = [level in attention for level in range(len(widths))]
    return {
        "sample_size": side_px,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": blocks,
        "block_out_channels": list(widths),
        "down_block_types": ["AttnDownBlock2D" if here else "DownBlock2D" for here in attends],
        "up_block_types": ["AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attends)],
        "attention_head_dim": head_channels,
        "norm_num_groups": norm_groups,
    }


# MTMSD (Zhou et al. 2024): 48-px patches, 128 base channels with multipliers 1, 2, 2, two residual blocks, 40,000 steps;
# 24.6 M parameters and 12.9 GMAC a forward. Batch, learning rate and EMA were not published: those are ours. The
# published network also predicts a variance; ours predicts the noise alone, so its last convolution is half as wide.
_MTMSD = {
    "small": Preset(
        "UNet2DModel",
        partial(unet_config, side_px=32, widths=(32, 64, 64), blocks=1, head_channels=16, norm_groups=8),
        components=8,
        patch_px=32,
        batch=16,
        learning_rate=2e-3,
        ema_decay=0.99,
        steps=900,
        judge_steps=150,
    ),
    "paper": Preset(
        "UNet2DModel",
        partial(unet_config, side_px=48, widths=(128, 256, 256), blocks=2, head_channels=64, norm_groups=32),
        components=25,
        patch_px=48,
        batch=64,
        learning_rate=1e-4,
        ema_decay=0.9999,
        steps=40_000,
        judge_steps=2500,
    ),
}

# DiffCRN (Zhu & Xu 2025) published no settings of its training that could be read: all numbers are ours.
_DIFFCRN = {
    "small": Preset(
        "DiffCRN",
        diffcrn_small,
        components=8,
        patch_px=16,
        batch=16,
        learning_rate=1e-3,
        ema_decay=0.99,
        steps=900,
        judge_steps=150,
        objective="LogAbsoluteContrastive",
    ),
    "paper": Preset(
        "DiffCRN",
        diffcrn_paper,
        components=25,
        patch_px=16,
        batch=128,
        learning_rate=1e-4,
        ema_decay=0.9999,
        steps=40_000,
        judge_steps=2500,
        objective="LogAbsoluteContrastive",
    ),
}

# Ours: a small network in the manner of DDPM's for 32-px images (Ho et al. 2020), 6.1 M parameters, 12 MB in float16.
# Its coarsest level, at an eighth of the resolution, is what segmentation by frozen denoisers profits from.
_NATURAL32 = {
    "small": Preset(
        "UNet2DModel",
        partial(unet_config, side_px=32, widths=(16, 32, 48), blocks=1, head_channels=16, norm_groups=8),
        components=3,
        patch_px=32,
        batch=16,
        learning_rate=2e-3,
        ema_decay=0.99,
        steps=900,
        judge_steps=150,
        images=ImageTraining(held_out=16, samples=9),
    ),
    "paper": Preset(
        "UNet2DModel",
        partial(
            unet_config,
            side_px=32,
            widths=(64, 128, 128, 128),
            blocks=1,
            head_channels=32,
            norm_groups=32,
            attention=(1,),
        ),
        components=3,
        patch_px=32,
        batch=128,
        learning_rate=4e-4,
        ema_decay=0.9995,
        steps=50_000,
        judge_steps=2500,
        images=ImageTraining(held_out=1000, samples=64),
    ),
}

PRESETS: dict[str, dict[str, Preset]] = {"mtmsd": _MTMSD, "diffcrn": _DIFFCRN, "natural32": _NATURAL32}


def find_preset(network: str, size: str) -> Preset:
    """Return a preset by name and size; `PretrainingError` with the allowed names for any other."""
    if network not in PRESETS:
        raise PretrainingError(f"unknown network {network!r}; {suggest_names(network, PRESETS)}")
    if size not in PRESETS[network]:
        raise PretrainingError(f"unknown size {size!r} of {network}; allowed: {', '.join(PRESETS[network])}")
    return PRESETS[network][size]
