"""Compare bytes on disk with the full-size float32 layout, in the configuration of ddpm-segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cache_bench import Bench, digits, file_bytes, parameters, save_network, smooth_cube
from numpy.typing import NDArray

if TYPE_CHECKING:
    from diffusers import UNet2DModel

    from hsifeat.scenes import Scene

SIDE_PX = 256
TIMESTEPS = (50, 150, 250)
# Baranchuk et al. 2022 (arXiv:2112.03126), for LSUN: blocks 5, 6, 7, 8, 12 of ADM's decoder.
BLOCKS = (5, 6, 7, 8, 12)
STRIDES = (8, 8, 8, 4, 2)
CHANNELS = (1024, 512, 512, 512, 256)


def measure(bench: Bench) -> dict[str, Any]:
    """Extract the layers of ddpm-segmentation from an image of 256 x 256 pixels, and compare file sizes and values.

    The reference values come from the same network, run by diffusers with forward hooks. The scheduler of diffusers adds
    the noise.
    """
    import torch

    from hsifeat.backbones.open_backbone import open_backbone
    from hsifeat.backbones.taps import select_taps
    from hsifeat.extraction.extract import extract
    from hsifeat.scenes import Scene
    from hsifeat.store.plane_layout import size_bytes

    base = 16 if bench.quick else 256
    scene = Scene("synthetic", smooth_cube(SIDE_PX, SIDE_PX, 3), np.array([640.0, 550.0, 460.0]))
    folder = bench.folder / "adm"
    network = _save_adm(folder, base)
    size = parameters(network)
    taps = select_taps(open_backbone(folder).taps, [f"output_blocks.{i}" for i in BLOCKS])
    if tuple(t.stride for t in taps) != STRIDES or tuple(t.channels * 256 // base for t in taps) != CHANNELS:
        raise AssertionError(f"not ddpm-segmentation's layers: {taps}")
    expected = {t: _forward(network, folder, scene, t, [tap.name for tap in taps]) for t in TIMESTEPS}
    del network

    path = bench.folder / "sizes.zarr"
    store = extract(
        scene,
        backbone=folder,
        timesteps=TIMESTEPS,
        layers=[t.alias for t in taps],
        tile=SIDE_PX,
        halo=0,
        batch=1,
        out=path,
    )
    equal = values = 0
    for plane in store.planes:
        stored = np.asarray(store.plane(plane.id)[:])
        wanted = expected[plane.id.t][plane.id.layer].astype(np.float16)
        equal += int((stored.view(np.uint16) == wanted.view(np.uint16)).sum())
        values += wanted.size
    on_disk = file_bytes(path / "planes", path / "progress")
    published = sum(t.channels for t in taps) * len(TIMESTEPS) * SIDE_PX**2 * 4
    return {
        "what": "ddpm-segmentation's LSUN configuration: ADM network of 256 px with random weights, one image",
        "parameters": size,
        "layers": [
            {"block": t.alias, "layer": t.name, "channels": t.channels, "side": SIDE_PX // t.stride} for t in taps
        ],
        "timesteps": list(TIMESTEPS),
        "published_bytes": published,
        "native_float16_bytes": sum(size_bytes(store.layout, p, store.layout.extent) for p in store.planes),
        "on_disk_bytes": on_disk,
        "planes_only_bytes": file_bytes(path / "planes"),
        "ratio": digits(published / on_disk, 5),
        "values": values,
        "values_equal_to_oracle": equal,
        "oracle": "diffusers' network and DDPMScheduler.add_noise called directly, its float32 taps rounded to float16",
        "torch_threads": torch.get_num_threads(),
    }


def _save_adm(folder: Path, base: int) -> UNet2DModel:
    """Write the unconditional 256-px network of guided-diffusion with random weights, and return the network."""
    return save_network(
        folder,
        sample_size=SIDE_PX,
        in_channels=3,
        out_channels=6,
        block_out_channels=tuple(base * m for m in (1, 1, 2, 2, 4, 4)),
        layers_per_block=2,
        down_block_types=("DownBlock2D",) * 3 + ("AttnDownBlock2D",) * 3,
        up_block_types=("AttnUpBlock2D",) * 3 + ("UpBlock2D",) * 3,
        downsample_type="resnet",
        upsample_type="resnet",
        resnet_time_scale_shift="scale_shift",
        attention_head_dim=min(base, 64),
        norm_num_groups=min(base, 32),
    )


def _forward(
    network: UNet2DModel, folder: Path, scene: Scene, t: int, layers: list[str]
) -> dict[str, NDArray[np.float32]]:
    """Apply the network to the noisy image, and return the output of each layer as (rows, cols, channels) float32."""
    import torch
    from diffusers import DDPMScheduler

    from hsifeat.extraction.noise.noise_field import noise_field
    from hsifeat.projection import fit_projection
    from hsifeat.types import Window

    clean = fit_projection("rgb", scene).apply(np.asarray(scene.cube)).transpose(2, 0, 1)
    noise = noise_field(Window(0, 0, SIDE_PX, SIDE_PX), 3, 0)
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    outputs = {}

    def keep(name: str) -> Any:
        return lambda _module, _inputs, output: outputs.update({name: output[0].permute(1, 2, 0).numpy().copy()})

    hooks = [network.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
    with torch.no_grad():
        images = torch.from_numpy(np.ascontiguousarray(clean))[None], torch.from_numpy(noise)[None]
        network(scheduler.add_noise(*images, torch.tensor([t])), t)
    for hook in hooks:
        hook.remove()
    return outputs
