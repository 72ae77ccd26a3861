"""Specifications of the trainable networks, in the sizes ``small`` (for two CPU cores) and ``paper`` (as published)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from hsifeat.backbones.networks import network_type
from hsifeat.errors import PretrainingError, allowed_names, suggest_names
from hsifeat.pretraining.timestep_sampling import TIMESTEPS, TimestepSampling

if TYPE_CHECKING:
    from hsifeat.pretraining.objectives import Objective


# Normalisation of a U-Net: over groups of channels of a whole map, or over the channels of each pixel.
Norm = Literal["group", "pixel-rms"]


@dataclass(frozen=True)
class ImageOptions:
    """Settings of a network that learns from natural images.

    Attributes
    ----------
    max_held_out : int
        Largest number of held-out images. At least one image and at most one image in fifty is held out.
    sample_count : int
        Number of generated images in the model card. It is 0 for a network that has not learned high noise levels.
    crops_px : tuple of int
        Sides of the patches; see `hsifeat.pretraining.image_sampler.ImageSampler`.
    mixes_channels : bool
        Whether the channels of half of the images are mixtures of the colours.
    """

    max_held_out: int
    sample_count: int
    crops_px: tuple[int, ...] = ()
    mixes_channels: bool = False


@dataclass(frozen=True)
class NetworkSpec:
    """A network architecture and its training settings.

    Attributes
    ----------
    class_name : str
        Name of the network class, one of `hsifeat.backbones.networks.NETWORKS`.
    arguments : callable
        Function that returns the constructor arguments of the class for a number of channels.
    components : int
        Number of channels of the network: principal components of scenes, or the three channels of an image.
    patch_px : int
        Side of a training patch, in pixels.
    batch : int
        Number of patches per optimizer step.
    learning_rate : float
        Learning rate of AdamW.
    ema_decay : float
        Decay of the exponential moving average of the weights. The average is saved at the end.
    steps : int
        Number of optimizer steps, if the user sets neither steps nor minutes.
    evaluation_steps : int
        Number of optimizer steps between two evaluations on held-out data.
    objective : str
        Name of a class in `hsifeat.pretraining.objectives`.
    timesteps : TimestepSampling
        Distribution of the timesteps of a batch.
    images : ImageOptions or None
        Settings of a network that learns from images; None for a network that learns from scenes.
    """

    class_name: str
    arguments: Callable[[int], dict[str, Any]]
    components: int
    patch_px: int
    batch: int
    learning_rate: float
    ema_decay: float
    steps: int
    evaluation_steps: int
    objective: str = "NoisePrediction"
    timesteps: TimestepSampling = field(default_factory=TimestepSampling)
    images: ImageOptions | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that determine the weights, as plain JSON values, for the training record and the model card."""
        augmentation = "mirrored at random" if self.images else "mirrored and rotated at random"
        boundaries = ", ".join(map(str, self.timesteps.boundaries))
        sides = " or ".join(map(str, self.images.crops_px)) if self.images and self.images.crops_px else self.patch_px
        mixing = self.images is not None and self.images.mixes_channels
        low, high = self.timesteps.sigmas or (None, None)
        return {
            "class": self.class_name,
            "objective": self.objective,
            "patch": f"{sides} px, {augmentation}",
            **({"channels": "half of the images: random mixtures of red, green and blue"} if mixing else {}),
            "batch": self.batch,
            "schedule": f"cosine, T = {TIMESTEPS}",
            **({"noise levels": f"log-normal, sigma {low} to {high} within one standard deviation"} if low else {}),
            **({"timesteps of a batch": f"in one interval between {boundaries}"} if boundaries else {}),
            "optimizer": f"AdamW, learning rate {self.learning_rate}, gradient norm clipped at 1",
            "moving average": self.ema_decay,
        }

    def with_norm(self, norm: Norm) -> NetworkSpec:
        """Return the specification with the normalisation `norm`; raise `PretrainingError` if the network is not a U-Net."""
        if norm == "group":
            return self
        if self.class_name != "UNet2DModel":
            raise PretrainingError(
                f"a {self.class_name} has no norm {norm!r}: leave out --norm, or train mtmsd or natural32"
            )
        return replace(self, class_name="RMSNormUNet2DModel", arguments=partial(_without_attention, self.arguments))

    def build(self, channels: int) -> Any:
        """Build the network. Initial weights are drawn from torch's global random generator."""
        return network_type(self.class_name)(**self.arguments(channels))

    def build_objective(self, network: Any) -> Objective:
        """Build the objective of a network. Initial parameters are drawn from torch's global random generator."""
        from hsifeat.pretraining import objectives

        objective: Objective = getattr(objectives, self.objective)(network)
        return objective


def unet_arguments(
    channels: int,
    *,
    side_px: int,
    widths: tuple[int, ...],
    blocks: int,
    head_channels: int,
    norm_groups: int,
    attention: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Return the constructor arguments of a U-Net, the class ``UNet2DModel`` of diffusers.

    Parameters
    ----------
    channels : int
        Number of channels of the image.
    side_px : int
        Side of a training patch, in pixels.
    widths : tuple of int
        Number of channels of each level, from the finest to the coarsest.
    blocks : int
        Number of residual blocks per level.
    head_channels, norm_groups : int
        Number of channels per attention head, and number of groups of each group normalisation.
    attention : tuple of int
        Levels with self-attention. Level 0 is the finest. The middle block always has self-attention.

    Returns
    -------
    dict of str to JSON value
        Keyword arguments of the constructor.
    """
    has_attention = [level in attention for level in range(len(widths))]
    return {
        "sample_size": side_px,
        "in_channels": channels,
        "out_channels": channels,
        "layers_per_block": blocks,
        "block_out_channels": list(widths),
        "down_block_types": ["AttnDownBlock2D" if attends else "DownBlock2D" for attends in has_attention],
        "up_block_types": ["AttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(has_attention)],
        "attention_head_dim": head_channels,
        "norm_num_groups": norm_groups,
    }


def _without_attention(arguments: Callable[[int], dict[str, Any]], channels: int) -> dict[str, Any]:
    """Return the constructor arguments of a U-Net without attention layers.

    The function `arguments` returns the constructor arguments of the U-Net with attention layers.
    An attention layer makes each feature depend on the whole image.
    """
    with_attention = arguments(channels)
    levels = len(with_attention["block_out_channels"])
    return {
        **with_attention,
        "down_block_types": ["DownBlock2D"] * levels,
        "up_block_types": ["UpBlock2D"] * levels,
        "add_attention": False,
    }


def diffcrn_arguments(channels: int, *, width: int, heads: int, groups: int) -> dict[str, Any]:
    """Return the constructor arguments of a `DiffCRN` with patches of 16 px.

    Parameters
    ----------
    channels : int
        Number of channels of the image.
    width : int
        Number of channels of the feature maps.
    heads, groups : int
        Number of heads of the spatial attention, and number of groups of the spectral attention.

    Returns
    -------
    dict of str to JSON value
        Keyword arguments of the constructor.
    """
    return {"in_channels": channels, "width": width, "heads": heads, "groups": groups, "patch_px": 16}


# Common training settings of the networks for scenes, in the sizes "small" and "paper".
_SMALL: dict[str, Any] = {"batch": 16, "ema_decay": 0.99, "steps": 900, "evaluation_steps": 150}
_PAPER: dict[str, Any] = {"learning_rate": 1e-4, "ema_decay": 0.9999, "steps": 40_000, "evaluation_steps": 2500}

# MTMSD (Zhou et al. 2024): 48-px patches, 128 base channels with multipliers 1, 2, 2, two residual blocks, 40,000 steps;
# 24.6 M parameters and 12.9 GMAC per forward pass. Batch size, learning rate and EMA decay were not published; the values
# are our choice. The published network also predicts a variance. This network predicts only the noise, so its last
# convolution has half the channels.
_MTMSD = {
    "small": NetworkSpec(
        "UNet2DModel",
        partial(unet_arguments, side_px=32, widths=(32, 64, 64), blocks=1, head_channels=16, norm_groups=8),
        components=8,
        patch_px=32,
        learning_rate=2e-3,
        **_SMALL,
    ),
    "paper": NetworkSpec(
        "UNet2DModel",
        partial(unet_arguments, side_px=48, widths=(128, 256, 256), blocks=2, head_channels=64, norm_groups=32),
        components=25,
        patch_px=48,
        batch=64,
        **_PAPER,
    ),
}

# DiffCRN (Zhu & Xu 2025, arXiv 2502.19699): the sizes and training settings were not available; the values are our choice.
_DIFFCRN = {
    "small": NetworkSpec(
        "DiffCRN",
        partial(diffcrn_arguments, width=40, heads=2, groups=4),
        components=8,
        patch_px=16,
        learning_rate=1e-3,
        objective="LogAbsoluteContrastive",
        **_SMALL,
    ),
    "paper": NetworkSpec(
        "DiffCRN",
        partial(diffcrn_arguments, width=192, heads=6, groups=8),
        components=25,
        patch_px=16,
        batch=128,
        objective="LogAbsoluteContrastive",
        **_PAPER,
    ),
}

# Our own networks, modelled on DDPM's network for 32-px images (Ho et al. 2020). "small" has 4.1 M parameters (8 MB in
# float16) and is trained on CPU cores. It learns the low noise levels at which features are read. About half of its batches
# have patches of 16 px, which need a quarter of the computation of 32 px. "paper" has 6.1 M parameters, learns all noise
# levels, and can generate images.
_NATURAL32 = {
    "small": NetworkSpec(
        "UNet2DModel",
        partial(unet_arguments, side_px=32, widths=(32, 64, 128, 128), blocks=1, head_channels=32, norm_groups=8),
        components=3,
        patch_px=32,
        batch=32,
        learning_rate=1e-3,
        ema_decay=0.99,
        steps=350,
        evaluation_steps=175,
        timesteps=TimestepSampling(sigmas=(0.1, 0.3)),
        images=ImageOptions(max_held_out=64, sample_count=0, crops_px=(16, 32), mixes_channels=True),
    ),
    "paper": NetworkSpec(
        "UNet2DModel",
        partial(
            unet_arguments,
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
        evaluation_steps=2500,
        images=ImageOptions(max_held_out=1000, sample_count=64),
    ),
}

NETWORK_SPECS: dict[str, dict[str, NetworkSpec]] = {"mtmsd": _MTMSD, "diffcrn": _DIFFCRN, "natural32": _NATURAL32}


def find_spec(network: str, size: str) -> NetworkSpec:
    """Return the specification of a network in a size; raise `PretrainingError` if the network or size is unknown."""
    if network not in NETWORK_SPECS:
        raise PretrainingError(f"unknown network {network!r}; {suggest_names(network, NETWORK_SPECS)}")
    if size not in NETWORK_SPECS[network]:
        raise PretrainingError(f"the network {network} has no size {size!r}; {allowed_names(NETWORK_SPECS[network])}")
    return NETWORK_SPECS[network][size]
