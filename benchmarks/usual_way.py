"""The usual way to extract features of a denoiser, as papers describe it: the reference of ``benchmarks/extraction.py``.

One tile and one timestep at a time, the whole forward pass by torch and diffusers, every layer upsampled to the resolution
of the scene, float32, and all features of the scene in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate


def extract(
    network: Any, schedule: Any, image: np.ndarray, layers: list[str], timesteps: list[int], tile_px: int
) -> np.ndarray:
    """Return the features of an image (channels, rows, cols), a (features, rows, cols) float32 array.

    The sides of the image are multiples of `tile_px`.
    """
    maps: dict[str, torch.Tensor] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda _m, _i, output, name=name: maps.update({name: output}))
        for name in layers
    ]
    random = torch.Generator().manual_seed(0)
    rows, cols = (side // tile_px for side in image.shape[1:])
    lines = []
    with torch.inference_mode():
        for row in range(rows):
            line = []
            for col in range(cols):
                window = (slice(row * tile_px, (row + 1) * tile_px), slice(col * tile_px, (col + 1) * tile_px))
                clean = torch.tensor(image[:, *window])[None]
                noise = torch.randn(clean.shape, generator=random)
                stack = []
                for t in timesteps:
                    network(schedule.add_noise(clean, noise, t), t)
                    stack += [interpolate(maps[name], size=(tile_px, tile_px), mode="bilinear")[0] for name in layers]
                line.append(torch.cat(stack).numpy())
            lines.append(np.concatenate(line, axis=2))
    for hook in hooks:
        hook.remove()
    return np.concatenate(lines, axis=1)
