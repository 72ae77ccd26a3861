"""One tile, a real network with a hook and diffusers' own scheduler: what extractions under each noise policy equal."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

import hsifeat
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene
from hsifeat.types import PlaneId
from tests.helpers.small import small_cube

LAYER = "up_blocks.0"
# A single tile of 32 px around a scene of 16 px: the smallest possible unit.
OPTIONS = {"tile": 32, "halo": 8, "layers": [LAYER], "dtype": "float32"}


@pytest.fixture(scope="session")
def one_tile_scene():
    return Scene("one-tile", small_cube(16, 16), np.linspace(450, 900, 12))


@pytest.fixture(scope="session")
def reference(one_tile_scene, backbone_folder):
    """The clean tile, the scheduler, and ``features(x, t)``: the tapped core of the tile and the network's output."""
    network = UNet2DModel.from_pretrained(backbone_folder / "unet", low_cpu_mem_usage=False).eval()
    taps = {}
    network.get_submodule(LAYER).register_forward_hook(lambda _m, _i, out: taps.update(out=out))
    image = np.pad(
        fit_projection("rgb", one_tile_scene).apply(one_tile_scene.cube), ((8, 8), (8, 8), (0, 0)), mode="reflect"
    )
    clean = torch.tensor(image.transpose(2, 0, 1)[None].copy())

    def features(x, t):
        with torch.no_grad():
            output = network(x, t).sample
        return taps["out"][0].permute(1, 2, 0).numpy()[4:12, 4:12], output

    scheduler = DDPMScheduler.from_pretrained(backbone_folder / "scheduler")

    def mean_features(noises, t):
        noised = [scheduler.add_noise(clean, noise, torch.tensor([t])) for noise in noises]
        return np.mean([features(x, t)[0] for x in noised], axis=0)

    return SimpleNamespace(clean=clean, features=features, mean_features=mean_features, scheduler=scheduler)


@pytest.fixture
def extract_plane(one_tile_scene, backbone_folder, tmp_path):
    """Extract the plane of the one-tile scene at a timestep under a noise policy."""

    def extract(t, **options):
        out = tmp_path / f"{t}.zarr"
        store = hsifeat.extract(one_tile_scene, backbone=backbone_folder, timesteps=[t], out=out, **OPTIONS, **options)
        return np.asarray(store.plane(PlaneId(t, LAYER))[:])

    return extract
