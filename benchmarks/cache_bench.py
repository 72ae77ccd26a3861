"""Helpers for the sections of benchmarks/cache.py: interleaved timing, networks with random weights, synthetic scenes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scoring import about_run

if TYPE_CHECKING:
    import zarr
    from diffusers import UNet2DModel

    from hsifeat.scenes import Scene

ROOT = Path(__file__).parents[1]
PIPELINES = {"zarr": "zarr.core.codec_pipeline.BatchedCodecPipeline", "zarrs": "zarrs.ZarrsCodecPipeline"}
_PACKAGES = ("hsifeat", "zarr", "zarrs", "numcodecs", "pcodec", "dask", "numpy", "torch", "diffusers")


@dataclass(frozen=True)
class Bench:
    """Settings of a run of the benchmark.

    Attributes
    ----------
    folder : Path
        Temporary folder for stores.
    quick : bool
        Whether to use small networks and few repetitions, to check that everything runs.
    """

    folder: Path
    quick: bool

    def repetitions(self, usual: int) -> int:
        """Return the number of repetitions: `usual`, or 2 for a quick run."""
        return 2 if self.quick else usual


def interleaved(repetitions: int, ways: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Time alternatives in turn, so that other load on the machine affects all of them equally.

    Each alternative runs once untimed, then once per repetition. The order is reversed after each repetition.

    Returns
    -------
    dict of str to list of float
        Seconds of each repetition, by name of the alternative.
    """
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repetitions):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            start = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: Mapping[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Return, for each alternative, the median seconds and the median speed relative to the alternative `base`."""
    return {
        name: {
            "seconds": digits(median(durations)),
            "times_faster": digits(median(b / own for b, own in zip(seconds[base], durations, strict=True))),
        }
        for name, durations in seconds.items()
    }


def digits(value: float, count: int = 4) -> float:
    """Round a value to `count` significant digits."""
    return float(f"{value:.{count}g}")


def about_cache_run() -> dict[str, Any]:
    """Return the result of `about_run`, with the memory of the machine and the number of threads of torch."""
    import psutil
    import torch

    about = about_run(_PACKAGES)
    about["machine"] |= {
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "torch_threads": torch.get_num_threads(),
    }
    return about


def file_bytes(*folders: Path) -> int:
    """Return the total size of all files below some folders."""
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def fresh(folder: Path) -> Iterator[Path]:
    """Yield an endless sequence of new paths in a folder. Before each new path, the folder at the previous path is deleted."""
    last = None
    for number in count():
        if last is not None:
            shutil.rmtree(last, ignore_errors=True)
        last = folder / str(number)
        yield last


def smooth_cube(rows: int, cols: int, bands: int) -> NDArray[np.uint16]:
    """Return a random (rows, cols, bands) uint16 cube in which neighbouring pixels are similar, as in a scene."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=(rows, cols, bands))
    return (gaussian_filter(noise, (4, 4, 1)) * 8000 + 2000).clip(1).astype(np.uint16)


def indian_pines() -> Scene:
    """Open Indian Pines: 145 x 145 pixels, 200 bands, 10,249 labelled pixels."""
    from hsifeat.scenes import open_scene

    return open_scene("indian-pines")


def save_network(folder: Path, **options: object) -> UNet2DModel:
    """Write a U-Net with random weights and DDPM's linear schedule as a diffusers pipeline, and return the U-Net."""
    import torch
    from diffusers import DDPMScheduler, UNet2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet2DModel(**options)
    network.save_pretrained(folder / "unet")
    DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear").save_pretrained(folder / "scheduler")
    return network.eval()


def parameters(network: UNet2DModel) -> int:
    """Return the number of parameters of a network."""
    return sum(p.numel() for p in network.parameters())


def save_cifar(folder: Path, *, quick: bool = False) -> int:
    """Write the network of google/ddpm-cifar10-32 with random weights, and return its number of parameters."""
    network = save_network(
        folder,
        sample_size=32,
        in_channels=3,
        out_channels=3,
        block_out_channels=(32, 64, 64, 64) if quick else (128, 256, 256, 256),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )
    if not quick and round(parameters(network) / 1e6, 1) != 35.7:
        raise AssertionError(f"ddpm-cifar10-32 has 35.7 M parameters; found {parameters(network)}")
    return parameters(network)


@contextmanager
def pipeline(name: str) -> Iterator[None]:
    """Select one of `PIPELINES` for all arrays that are opened inside the ``with`` block."""
    import zarr

    with zarr.config.set({"codec_pipeline.path": PIPELINES[name]}):
        yield


def pipeline_of(array: zarr.Array[Any]) -> str:
    """Return the name of the pipeline in `PIPELINES` that decodes an array."""
    used = type(array.async_array.codec_pipeline).__name__
    return next(name for name, path in PIPELINES.items() if path.endswith(used))
