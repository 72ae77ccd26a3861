"""Evaluation of a denoiser without other networks: its loss on held-out images by timestep, and a grid of samples."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.backbones.network import deterministic_inference
from hsifeat.pretraining.batches import TIMESTEPS, Stream, TimestepSampling, make_generator

if TYPE_CHECKING:
    import torch
    from diffusers import DDPMScheduler

# Intervals of timesteps in which the loss is reported.
BANDS = 10
_BATCH = 128
_SAMPLING_STEPS = 50


def held_out_losses(
    network: torch.nn.Module, clean: NDArray[np.float32], scheduler: DDPMScheduler, sampling: TimestepSampling
) -> list[float]:
    """Return the mean squared error of the predicted noise in each tenth of the timesteps, from the least noisy one on.

    Each image is evaluated once in each tenth, at timesteps spread evenly over it, in float32 and with fixed noise.

    Parameters
    ----------
    network : torch.nn.Module
        Predicts the noise, on any device.
    clean : (n, channels, rows, cols) float32 array
        The held-out images.
    scheduler : DDPMScheduler
        Adds the noise.
    sampling : TimestepSampling
        All timesteps of a forward pass lie in one of its intervals.

    Returns
    -------
    list of float
    """
    import torch

    device = next(network.parameters()).device
    width, count = TIMESTEPS // BANDS, len(clean)
    losses = []
    for band in range(BANDS):
        noise = make_generator(0, Stream.EVALUATION_NOISE, band).standard_normal(clean.shape, dtype=np.float32)
        timesteps = band * width + np.arange(count) * width // count
        squares = 0.0
        for part in _split_by_interval(timesteps, sampling):
            x, eps, t = (torch.from_numpy(a[part]).to(device) for a in (clean, noise, timesteps))
            with deterministic_inference(device.type):
                predicted = network(scheduler.add_noise(x, eps, t), t, return_dict=False)[0]
                squares += float(((predicted - eps) ** 2).double().sum())
        losses.append(squares / clean.size)
    return losses


def _split_by_interval(timesteps: NDArray[np.int64], sampling: TimestepSampling) -> Iterator[slice]:
    """Split ascending timesteps into batches that each lie in one interval."""
    edges = [0, *np.searchsorted(timesteps, sampling.boundaries), len(timesteps)]
    for first, last in pairwise(edges):
        for start in range(first, last, _BATCH):
            yield slice(start, min(start + _BATCH, last))


def draw_samples(network: Any, scheduler: DDPMScheduler, count: int) -> bytes:
    """Return a PNG with a grid of images sampled by deterministic DDIM (Song et al. 2021, eq. 12 with sigma = 0).

    Parameters
    ----------
    network : UNet2DModel
        A network of three channels.
    scheduler : DDPMScheduler
        The schedule that the network was trained with.
    count : int
        Number of images, which start from fixed noise.

    Returns
    -------
    bytes
        The PNG file.
    """
    import torch
    from PIL import Image

    load_diffusers()
    from diffusers import DDIMScheduler

    # Near pure noise the estimate of the image is unbounded, while images lie within -1 and 1.
    ddim = DDIMScheduler.from_config(scheduler.config, clip_sample=True)
    ddim.set_timesteps(_SAMPLING_STEPS)
    device, side = next(network.parameters()).device, int(network.config.sample_size)
    noise = make_generator(0, Stream.SAMPLE_NOISE).standard_normal((count, 3, side, side), dtype=np.float32)
    with deterministic_inference(device.type):
        x = torch.from_numpy(noise).to(device)
        for t in ddim.timesteps:
            x = ddim.step(network(x, t, return_dict=False)[0], t, x, eta=0.0, return_dict=False)[0]
    samples = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    grid_cols = int(np.ceil(np.sqrt(count)))
    grid = np.zeros((-(-count // grid_cols) * side, grid_cols * side, 3), np.uint8)
    for i, image in enumerate(samples):
        row, col = i // grid_cols * side, i % grid_cols * side
        grid[row : row + side, col : col + side] = image
    png = BytesIO()
    Image.fromarray(grid).resize((grid.shape[1] * 3, grid.shape[0] * 3), Image.Resampling.NEAREST).save(png, "png")
    return png.getvalue()
