"""Networks that the benchmarks of extraction measure, and the preparation of an extraction with such a network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

BANDS, REPEATS = 100, 3


@dataclass(frozen=True)
class Subject:
    """A network to measure: its layers, timesteps and constructor arguments, and the sides of the tiles and scenes in pixels."""

    layers: tuple[str, ...]
    tile: int
    side: int
    timesteps: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    quick_side: int = 128
    repeats: int = REPEATS


def unet(
    widths: tuple[int, ...], attention: tuple[int, ...], *, blocks: int, head: int | None, **more: Any
) -> dict[str, Any]:
    """Return constructor arguments of the class ``UNet2DModel``.

    `attention` has the indices of the levels with attention; level 0 is the finest.
    """
    kinds = ["AttnDownBlock2D" if level in attention else "DownBlock2D" for level in range(len(widths))]
    return {
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": blocks,
        "block_out_channels": widths,
        "down_block_types": kinds,
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(kinds)],
        "attention_head_dim": head,
        **more,
    }


GUIDED = {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 32}
TWO_LEVELS = ("up_blocks.1", "up_blocks.2")
CIFAR = unet(
    (128, 256, 256, 256),
    (1,),
    blocks=2,
    head=None,
    norm_eps=1e-6,
    downsample_padding=0,
    flip_sin_to_cos=False,
    freq_shift=1,
)
MTMSD = unet((128, 256, 256), (), blocks=2, head=64) | {"in_channels": 25, "out_channels": 25}
ADM_64 = unet(
    (192, 384, 576, 768), (1, 2, 3), blocks=3, head=64, downsample_type="resnet", upsample_type="resnet", **GUIDED
)
SUBJECTS = {
    "ddpm": Subject(TWO_LEVELS, 64, 512, (0, 50, 100, 200, 400), CIFAR),
    "mtmsd": Subject(("up_blocks.0", "up_blocks.1"), 48, 192, (50, 200), MTMSD, quick_side=96),
    "natural32": Subject(("up_blocks.0", "up_blocks.1"), 128, 512, (50,), quick_side=256),
    "adm64": Subject(TWO_LEVELS, 64, 128, (50,), ADM_64, quick_side=64, repeats=1),
}
# ADM-256 with a quarter of its channels. Its levels and blocks, and so the names of the layers, are those of ADM-256.
NARROW_ADM = Subject(
    tuple(f"output_blocks.{i}" for i in (5, 6, 7, 8, 12)),
    64,
    320,
    (50, 150, 250),
    unet((64, 64, 128, 128, 256, 256), (3, 4, 5), blocks=2, head=64, **GUIDED),
)


def network_as_published(subject: Subject) -> Any:
    """Return the network as diffusers runs it, with random weights."""
    import torch
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    return UNet2DModel(**subject.arguments).eval().requires_grad_(requires_grad=False)


def open_subject(name: str, subject: Subject) -> tuple[Any, Any]:
    """Return a subject as a backbone, and its network as diffusers runs it."""
    import torch

    import hsifeat
    from hsifeat.runtime.allocator import keep_freed_memory

    keep_freed_memory()
    if not subject.arguments:
        backbone = hsifeat.open_backbone(name)
        return backbone, backbone.load().eval()
    schedule = hsifeat.NoiseSchedule.from_betas(torch.linspace(1e-4, 0.02, 1000))
    network = network_as_published(subject)
    channels = subject.arguments["in_channels"]
    return hsifeat.ModuleBackbone(network, schedule, channels, name=name, config=subject.arguments), network


def prepare(backbone: Any, subject: Subject, side: int, **options: Any) -> Any:
    """Prepare the extraction of a square scene of random spectra into a temporary store. `side` is the side of the scene in pixels."""
    import hsifeat
    from hsifeat.backbones.unet2d import output_blocks

    random = np.random.default_rng(0)
    scene = hsifeat.Scene(
        "random", random.random((side, side, 32), np.float32) @ random.random((32, BANDS), np.float32)
    )
    names = {alias: name for name, alias in output_blocks(backbone.network).items()}
    values = {
        "backbone": backbone,
        "timesteps": list(subject.timesteps),
        "layers": [names.get(layer, layer) for layer in subject.layers],
        "tile": subject.tile,
        "halo": 0,
        "projection": f"pca:{backbone.channels}",
        **options,
    }
    config = hsifeat.ExtractionConfig.from_options(values)
    return hsifeat.prepare(scene, config, out=Path(tempfile.mkdtemp()) / "store.zarr", device="cpu")


def stored_bytes(store: Any) -> int:
    """Return the size in bytes of all files of the planes of a store."""
    return sum(file.stat().st_size for file in (Path(str(store.location)) / "planes").rglob("*") if file.is_file())
