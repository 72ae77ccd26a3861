"""Extractions and rankings of several threads that share one backbone, whose class does not protect itself."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import hsifeat
from hsifeat import NoiseSchedule, Scene
from hsifeat.types import Tap
from tests.helpers.small import small_cube
from tests.helpers.two_threads import Meeting, run_together


class Careless:
    """A backbone of another package. A forward pass keeps its input in an attribute, where that of another thread overwrites it."""

    name, channels, denoiser_channels, cell_px, projection_file = "careless", 3, 3, Fraction(1), None
    taps = (Tap("copy", "", 3, 1, 0.5),)
    schedule = NoiseSchedule.from_betas(np.linspace(1e-4, 0.02, 1000))

    def __init__(self):
        self.meeting, self._input = Meeting(), None

    def identity(self):
        return {"weights": "none"}

    def to(self, device):
        self._keep(device)

    def encode(self, images):
        return self._keep(images)

    def forward_to(self, noisy, t, layers):
        return dict.fromkeys(layers, self._keep(noisy) + t)

    def predict(self, noisy, t):
        return self._keep(noisy) / (t + 2)

    def _keep(self, values):
        self._input = values
        self.meeting.wait()
        return self._input


SCENES = [Scene(f"s{seed}", small_cube(16, 16, 6, seed=seed)) for seed in (1, 2)]


@pytest.mark.parametrize("noise", ["field", "inversion:2"])
def test_extractions_of_two_threads(noise, tmp_path):
    def extract(scene, backbone, name):
        store = hsifeat.extract(
            scene, backbone=backbone, noise=noise, timesteps=[0, 500], tile=16, halo=0, projection="pca:3",
            out=tmp_path / f"{scene.name}-{name}", dtype="float32",
        )  # fmt: skip
        features = hsifeat.open_features(store)
        return [features.to_dask(plane.id).compute() for plane in features.planes]

    expected = [extract(scene, Careless(), "alone") for scene in SCENES]
    shared = Careless()
    found = run_together(*(lambda scene=scene: extract(scene, shared, "shared") for scene in SCENES))
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(*expected)


def test_estimates_of_two_threads_run_the_network_one_after_the_other():
    backbone = Careless()

    def check():
        hsifeat.rank_timesteps(SCENES[0], backbone=backbone, budget=1, timesteps=[0, 500], projection="pca:3")

    kept = backbone._keep
    backbone._keep = lambda values: values if kept(values) is values else pytest.fail("two threads at once")
    run_together(check, check)
    assert torch.is_tensor(backbone._input)
