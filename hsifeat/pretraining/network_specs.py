"""The trainable networks, in the sizes ``small`` (for two CPU cores) and ``paper`` (as published)."""

from __future__ import annotations

from functools import partial
from typing import Any

from hsifeat.errors import PretrainingError, allowed_names, suggest_names
from hsifeat.pretraining.network_arguments import (
    diffcrn_arguments,
    multistage_arguments,
    spectral_arguments,
    unet_arguments,
)
from hsifeat.pretraining.network_spec import ImageOptions, NetworkSpec
from hsifeat.pretraining.timestep_sampling import TimestepSampling

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

# SpectralDiff (Chen et al. 2023, arXiv 2304.05961): 64-px patches of all bands, batches of 20, a linear schedule with T = 500,
# the absolute error, learning rate 1e-4, and more than 30,000 epochs, as in the published code. The published optimiser is Adam
# without weight decay, and no moving average is published. "small" takes 24 of the bands.
_SPECTRALDIFF_COMMON: dict[str, Any] = {
    "objective": "AbsoluteNoisePrediction",
    "timesteps": TimestepSampling(count=500),
    "projection": "bands",
    "beta_schedule": "linear",
}
_SPECTRALDIFF = {
    "small": NetworkSpec(
        "SpectralUNet",
        partial(spectral_arguments, widths=(4, 8, 8)),
        components=24,
        patch_px=16,
        learning_rate=2e-3,
        **{**_SMALL, "batch": 8, "steps": 600},
        **_SPECTRALDIFF_COMMON,
    ),
    "paper": NetworkSpec(
        "SpectralUNet",
        partial(spectral_arguments, widths=(16, 32, 64, 128)),
        components=None,
        patch_px=64,
        batch=20,
        **_PAPER,
        **_SPECTRALDIFF_COMMON,
    ),
}

# Multi-stage framework (Zhang et al. 2024, arXiv 2312.09181): encoder of 128 channels, decoders of 192, 128 and 16 channels,
# multipliers 1, 2, 2, 2, eight residual blocks and attention at half the resolution, as in the published configuration for
# images of 32 px. The published number of channels is three. The number of components and the training settings are ours.
_MULTISTAGE = {
    "small": NetworkSpec(
        "MultistageUNet",
        partial(
            multistage_arguments,
            encoder_width=32,
            decoder_widths=(48, 32, 8),
            multipliers=(1, 2, 2),
            blocks=1,
            head_channels=16,
            norm_groups=8,
        ),
        components=8,
        patch_px=32,
        learning_rate=2e-3,
        decoders=3,
        **{**_SMALL, "batch": 8, "steps": 600},
    ),
    "paper": NetworkSpec(
        "MultistageUNet",
        partial(
            multistage_arguments,
            encoder_width=128,
            decoder_widths=(192, 128, 16),
            multipliers=(1, 2, 2, 2),
            blocks=8,
            attention=(1,),
            head_channels=256,
            norm_groups=16,
        ),
        components=25,
        patch_px=32,
        batch=128,
        decoders=3,
        **_PAPER,
    ),
}

NETWORK_SPECS: dict[str, dict[str, NetworkSpec]] = {
    "mtmsd": _MTMSD,
    "diffcrn": _DIFFCRN,
    "spectraldiff": _SPECTRALDIFF,
    "multistage": _MULTISTAGE,
    "natural32": _NATURAL32,
}


def find_spec(network: str, size: str) -> NetworkSpec:
    """Return the specification of a network in a size. Raise `PretrainingError` if the network or size is unknown."""
    if network not in NETWORK_SPECS:
        raise PretrainingError(f"unknown network {network!r}; {suggest_names(network, NETWORK_SPECS)}")
    if size not in NETWORK_SPECS[network]:
        raise PretrainingError(f"the network {network} has no size {size!r}; {allowed_names(NETWORK_SPECS[network])}")
    return NETWORK_SPECS[network][size]
