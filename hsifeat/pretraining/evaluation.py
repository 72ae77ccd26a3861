"""How good a denoiser is, without any other network: its loss on held-out images by timestep, and samples to look at."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.backbones.network import deterministic_inference
from hsifeat.pretraining.batches import TIMESTEPS, TimestepRule, generator

if TYPE_CHECKING:
    import torch
    from diffusers import DDPMScheduler

BANDS = 10
_BATCH = 128
_SAMPLING_STEPS = 50


def held_out_losses(
    network: torch.nn.Module, clean: NDArray[np.float32], scheduler: DDPMScheduler, rule: TimestepRule
) -> list[float]:
    """Return the mean squared error of the predicted noise in each tenth of the timesteps, from the least noised on.

    Every image is seen once in each band, at timesteps spread evenly over it, with the same noise on every call; in float32.

    Parameters
    ----------
    network : torch.nn.Module
        Predicts the noise; on any device.
    clean : (n, channels, rows, cols) float32 array
        Images that were not trained on.
    scheduler : DDPMScheduler
        Noises them.
    rule : TimestepRule
        Its intervals are kept: the timesteps of a forward pass lie in one.
    """
    import torch

    device = next(network.parameters()).device
    width, count = TIMESTEPS // BANDS, len(clean)
    losses = []
    for band in range(BANDS):
        noise = generator(0, 2, band).standard_normal(clean.shape, dtype=np.float32)
        timesteps = band * width + np.arange(count) * width // count
        squares = 0.0
        for part in _forwards(timesteps, rule):
            x, eps, t = (torch.from_numpy(a[part]).to(device) for a in (clean, noise, timesteps))
            with deterministic_inference(device.type):
                predicted = network(scheduler.add_noise(x, eps, t), t, return_dict=False)[0]
                squares += float(((predicted - eps) ** 2).double().sum())
        losses.append(squares / clean.size)
    return losses


def _forwards(timesteps: NDArray[np.int64], rule: TimestepRule) -> Iterator[slice]:
    """Cut ascending timesteps into batches that each lie in one interval."""
    edges = [0, *np.searchsorted(timesteps, rule.boundaries), len(timesteps)]
    for first, last in pairwise(edges):
        for start in range(first, last, _BATCH):
            yield slice(start, min(start + _BATCH, last))


def samples_picture(network: Any, scheduler: DDPMScheduler, count: int) -> bytes:
    """Draw images by deterministic DDIM (Song et al. 2021, eq. 12 with sigma = 0) from fixed noise; PNG bytes.

    Parameters
    ----------
    network : UNet2DModel
        Of three channels.
    scheduler : DDPMScheduler
        The schedule that it was trained with.
    count : int
        How many; a square number fills the picture.
    """
    import torch
    from PIL import Image

    load_diffusers()
    from diffusers import DDIMScheduler

    # Close to pure noise the estimate of the image is unbounded; that images lie between -1 and 1 is known.
    ddim = DDIMScheduler.from_config(scheduler.config, clip_sample=True)
    ddim.set_timesteps(_SAMPLING_STEPS)
    device, side = next(network.parameters()).device, int(network.config.sample_size)
    noise = generator(0, 4).standard_normal((count, 3, side, side), dtype=np.float32)
    with deterministic_inference(device.type):
        x = torch.from_numpy(noise).to(device)
        for t in ddim.timesteps:
            x = ddim.step(network(x, t, return_dict=False)[0], t, x, eta=0.0, return_dict=False)[0]
    drawn = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    across = int(np.ceil(np.sqrt(count)))
    grid = np.zeros((-(-count // across) * side, across * side, 3), np.uint8)
    for i, image in enumerate(drawn):
        row, col = i // across * side, i % across * side
        grid[row : row + side, col : col + side] = image
    picture = BytesIO()
    Image.fromarray(grid).resize((grid.shape[1] * 3, grid.shape[0] * 3), Image.Resampling.NEAREST).save(picture, "png")
    return picture.getvalue()
