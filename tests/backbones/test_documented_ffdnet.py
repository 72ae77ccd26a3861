"""FFDNet as the documentation shows it, with its published weights: it denoises a photograph, and its features are read."""

import numpy as np
import pytest
import torch
from scipy.io import loadmat

import hsifeat
from hsifeat.scenes import Scene
from tests.helpers.backbone_kinds import documented_code


@pytest.fixture(scope="module")
def backbone(data_folder):
    code = next(block for block in documented_code() if "class FFDNet" in block)
    namespace = {}
    exec(code, namespace)  # noqa: S102  # the code that the page tells people to run
    return namespace["open_ffdnet"](data_folder / "ffdnet" / "ffdnet_color.pth")


@pytest.fixture(scope="module")
def photograph(data_folder):
    pixels = loadmat(data_folder / "houston2018_subset" / "houston_dataset.mat")["rgbImg"][200:328, 200:328]
    return pixels.astype(np.float32) * np.float32(2 / 255) - 1


def test_it_removes_most_of_the_noise_of_a_photograph(backbone, photograph):
    clean = torch.from_numpy(photograph.transpose(2, 0, 1)[None].copy())
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    abar = float(backbone.schedule.alphas_cumprod[50])
    noisy = abar**0.5 * clean + (1 - abar) ** 0.5 * noise
    before = float((noisy / abar**0.5 - clean).square().mean())
    after = float((backbone.predict(noisy, 50) - clean).square().mean())
    assert after < 0.4 * before


def test_its_planes_are_stored(backbone, photograph, tmp_path):
    store = hsifeat.extract(
        Scene("photograph", photograph),
        backbone=backbone,
        layers=["model.2", "model.20"],
        timesteps=[50],
        projection="bands:0,1,2",
        tile=96,
        halo=16,
        out=tmp_path / "s.zarr",
    )
    assert [(plane.stride, plane.channels) for plane in store.planes] == [(2, 96), (2, 96)]
    assert np.isfinite(store.plane(store.planes[1].id)[:]).all()
