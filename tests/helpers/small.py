"""Small inputs for tests: a cube, labels, and networks with random weights."""

import numpy as np


def small_cube(rows=75, cols=53, bands=12, seed=0):
    """Return a random (rows, cols, bands) uint16 cube in which neighbouring pixels and bands are similar, as in a scene."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(rows, cols, bands))
    return (gaussian_filter(noise, (4, 4, 2)) * 4000 + 2000).clip(1).astype(np.uint16)


def small_labels(rows=75, cols=53, classes=4, field=9):
    """Return a (rows, cols) uint8 label map of square fields. Each field has one class, and unlabelled lanes separate the fields."""
    row, col = np.indices((rows, cols))
    number = (row // field * 7 + col // field * 3) % classes + 1
    return np.where((row % field < field - 2) & (col % field < field - 2), number, 0).astype(np.uint8)


def save_unet(folder, *, channels=3, seed=0, **options):
    """Write a small U-Net with random weights in the layout of a diffusers pipeline, and return the network."""
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


def save_latent(folder, *, seed=0, unet=None, vae=None, scheduler=None):
    """Write a small Stable Diffusion pipeline with random weights in the layout of diffusers, and return the pipeline."""
    import json
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "in", "in</w>", "<|startoftext|>", "<|endoftext|>"]
    with TemporaryDirectory() as location:
        for name, text in (
            ("vocab.json", json.dumps({word: i for i, word in enumerate(words)})),
            ("merges.txt", "#version: 0.2\ni n\ni n</w>\n"),
        ):
            Path(location, name).write_text(text)
        tokenizer = CLIPTokenizer.from_pretrained(location, model_max_length=12)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionPipeline(
            unet=UNet2DConditionModel(
                **{
                    "sample_size": 8,
                    "layers_per_block": 1,
                    "block_out_channels": (8, 16, 16),
                    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
                    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                    "cross_attention_dim": 16,
                    "attention_head_dim": 2,
                    "norm_num_groups": 4,
                    **(unet or {}),
                }
            ),
            vae=AutoencoderKL(
                **{
                    "block_out_channels": (8, 8, 8, 8),
                    "down_block_types": ("DownEncoderBlock2D",) * 4,
                    "up_block_types": ("UpDecoderBlock2D",) * 4,
                    "norm_num_groups": 4,
                    **(vae or {}),
                }
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(words),
                    hidden_size=16,
                    intermediate_size=16,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    max_position_embeddings=12,
                    bos_token_id=len(words) - 2,
                    eos_token_id=len(words) - 1,
                )
            ),
            tokenizer=tokenizer,
            scheduler=PNDMScheduler(
                **{
                    "beta_schedule": "scaled_linear",
                    "beta_start": 0.00085,
                    "beta_end": 0.012,
                    "skip_prk_steps": True,
                    "steps_offset": 1,
                    **(scheduler or {}),
                }
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder)
    for network in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        network.eval()
    return pipeline
