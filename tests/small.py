"""Small things that tests make: a cube, labels, a real U-Net with random weights."""

import numpy as np


def small_cube(rows=75, cols=53, bands=12, seed=0):
    """Smooth fields, so that neighbouring pixels and bands resemble each other as in a scene."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(rows, cols, bands))
    return (gaussian_filter(noise, (4, 4, 2)) * 4000 + 2000).clip(1).astype(np.uint16)


def small_labels(rows=75, cols=53, classes=4, field=9):
    """Square fields of one class each, with unlabelled lanes between them."""
    row, col = np.indices((rows, cols))
    number = (row // field * 7 + col // field * 3) % classes + 1
    return np.where((row % field < field - 2) & (col % field < field - 2), number, 0).astype(np.uint8)


def save_unet(folder, *, channels=3, seed=0, **options):
    """Write a small U-Net with random weights as diffusers itself writes a pipeline's folder."""
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet2DModel(
            **{
                "sample_size": 16,
                "in_channels": channels,
                "out_channels": channels,
                "layers_per_block": 1,
                "block_out_channels": (8, 16, 16),
                "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
                "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
                "attention_head_dim": 8,
                "norm_num_groups": 4,
                **options,
            }
        )
    network.save_pretrained(folder / "unet")
    DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2").save_pretrained(folder / "scheduler")
    return network.eval()
