"""The noise policy ``inversion:N`` against diffusers' ``DDIMInverseScheduler``."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMInverseScheduler

import hsifeat
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.extraction.noise.inversion import invert_step
from hsifeat.extraction.noise.policy import parse_noise
from tests.helpers.extraction import plan, prepare

OPTIONS = {"tile": 32, "halo": 8, "layers": ["up_blocks.0"]}


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("count", [50, 7])
def test_steps_equal_those_of_diffusers(prediction, betas, count):
    inverse = DDIMInverseScheduler(beta_schedule=betas, prediction_type=prediction, clip_sample=False)
    inverse.set_timesteps(count)
    schedule = schedule_from_config({"beta_schedule": betas, "prediction_type": prediction, "_class_name": "x"})
    steps = parse_noise(f"inversion:{count}", schedule).steps
    assert list(steps) == inverse.timesteps.tolist()
    x, output = torch.randn(2, 1, 3, 8, 8, generator=torch.manual_seed(0))
    for t, after in pairwise(steps):
        expected = inverse.step(output, after, x).prev_sample
        torch.testing.assert_close(invert_step(schedule, output, x, t, after), expected, rtol=1e-4, atol=1e-4)


def test_features_along_an_inversion_equal_those_of_diffusers(extract_plane, reference):
    inverse = DDIMInverseScheduler.from_config(reference.scheduler.config, clip_sample=False)
    inverse.set_timesteps(5)
    x, expected = reference.clean, {}
    for t in (0, 200, 400, 600):
        expected[t], output = reference.features(x, t)
        x = inverse.step(output, t + 200, x).prev_sample
    for t in (0, 200, 600):
        np.testing.assert_allclose(extract_plane(t, noise="inversion:5"), expected[t], rtol=2e-3, atol=2e-4)


def test_planned_passes_are_those_that_run(scene, backbone_folder, tmp_path, monkeypatch):
    batches = []
    for name in ("forward_to", "predict"):
        method = getattr(UNet2DBackbone, name)

        def counting(self, x, t, *rest, method=method):
            batches.append(len(x))
            return method(self, x, t, *rest)

        monkeypatch.setattr(UNet2DBackbone, name, counting)
    options = {**OPTIONS, "backbone": backbone_folder, "noise": "inversion:10", "out": tmp_path / "i.zarr"}
    # 5 x 4 tiles; up to step 4 there are 4 predictions, and 2 forwards to the taps.
    job = prepare(scene, timesteps=[200, 400], **options)
    assert plan(job).passes == plan(job).total_passes == 20 * (4 + 2)
    hsifeat.extract(scene, timesteps=[200, 400], **options)
    assert sum(batches) == 120
    more = prepare(scene, timesteps=[200, 400, 500], **options)
    assert (plan(more).passes, plan(more).total_passes) == (20 * 6, 20 * (5 + 3))
