"""Extractions and rankings that share one backbone, whose class does not protect itself, with other threads."""

from fractions import Fraction

import numpy as np
import pytest

import hsifeat
from hsifeat import NoiseSchedule, Scene
from hsifeat.types import Tap
from tests.helpers.extraction import prepare
from tests.helpers.small import small_cube
from tests.helpers.two_threads import Meeting, in_use, run_together


class Careless:
    """A backbone of another package. A forward pass keeps its input in an attribute, where that of another thread overwrites it."""

    name, channels, denoiser_channels, cell_px, projection_file = "careless", 3, 3, Fraction(1), None
    taps = (Tap("copy", "", 3, 1, 0.5),)
    schedule = NoiseSchedule.from_betas(np.linspace(1e-4, 0.02, 1000))

    def __init__(self):
        self.meeting, self._input, self.calls = Meeting(), None, set()

    def identity(self):
        return {"weights": "none"}

    def to(self, device):
        self._note("to")

    def encode(self, images):
        self._note("encode")
        return self._keep(images)

    def forward_to(self, noisy, t, layers):
        self._note("forward_to")
        return dict.fromkeys(layers, self._keep(noisy) + t)

    def predict(self, noisy, t):
        self._note("predict")
        return self._keep(noisy) / (t + 2)

    def _note(self, call):
        self.calls.add((call, in_use(self)))

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


@pytest.mark.parametrize(("noise", "run"), [("field", "forward_to"), ("inversion:2", "predict")])
def test_other_threads_wait_during_every_call_of_an_extraction(noise, run, tmp_path):
    backbone = Careless()
    options = {"noise": noise, "timesteps": [500], "tile": 16, "halo": 0, "projection": "pca:3", "out": tmp_path / "f"}
    work = prepare(SCENES[0], backbone=backbone, **options).remaining(None)
    assert work.extractor.describe(work.plan)  # runs the network to measure its time
    hsifeat.extract(SCENES[0], backbone=backbone, **options)
    assert backbone.calls == {(call, True) for call in ("to", "encode", "forward_to", run)}


def test_other_threads_wait_during_every_call_of_a_ranking():
    backbone = Careless()
    hsifeat.rank_timesteps(SCENES[0], backbone=backbone, budget=1, timesteps=[0, 500], projection="pca:3")
    assert backbone.calls == {("to", True), ("encode", True), ("predict", True)}
