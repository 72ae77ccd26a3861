"""Noise schedules against diffusers' scheduler, and refusals of invalid numbers."""

import re

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from hsifeat.backbones.schedule import NoiseSchedule, schedule_from_config
from hsifeat.errors import BackboneError


@pytest.mark.parametrize("count", [1, 4, 1000])
def test_schedule_from_betas_is_that_of_diffusers(count):
    betas = np.linspace(1e-4, 0.02, count)
    expected = DDPMScheduler(trained_betas=betas.tolist(), num_train_timesteps=count).alphas_cumprod.numpy()
    schedule = NoiseSchedule.from_betas(torch.from_numpy(betas), "v_prediction")
    assert schedule.alphas_cumprod.dtype == np.float32 and schedule.prediction == "v_prediction"
    np.testing.assert_allclose(schedule.alphas_cumprod, expected, rtol=1e-5)
    assert NoiseSchedule(schedule.alphas_cumprod.tolist(), "v_prediction").digest == schedule.digest


def test_a_schedule_keeps_its_digest_when_the_array_changes():
    given = np.array([0.9, 0.5], np.float32)
    schedule = NoiseSchedule(given)
    digest = schedule.digest
    given[:] = 0.1
    assert schedule.alphas_cumprod.tolist() == np.array([0.9, 0.5], np.float32).tolist()
    with pytest.raises(ValueError, match="read-only"):
        schedule.alphas_cumprod[:] = 0.1
    assert NoiseSchedule(schedule.alphas_cumprod).digest == digest


@pytest.mark.parametrize(
    "numbers", [[], [0.1, 0.2], [1.5, 0.5], [0.9, np.nan], [[0.9, 0.1]], [0.5, -0.1], "x", [[0.9], [1, 2]]], ids=str
)
def test_numbers_that_do_not_descend_within_0_and_1_are_refused(numbers):
    with pytest.raises(
        BackboneError, match=r"descend within \[0, 1\]; found an array of shape .*from_betas takes betas"
    ):
        NoiseSchedule(numbers)


@pytest.mark.parametrize(
    "betas", [[[0.1, 0.2]], 0.1, np.ma.masked_equal([0.1, 0.2], 0.2)], ids=["2-D", "number", "masked"]
)
def test_betas_are_a_row_of_numbers(betas):
    with pytest.raises(BackboneError, match="a 1D array without masked values"):
        NoiseSchedule.from_betas(betas)


def test_masked_products_are_refused():
    with pytest.raises(BackboneError, match="the cumulative products of alphas are a 1D array without masked values"):
        NoiseSchedule(np.ma.masked_equal([0.9, 0.5], 0.5))


@pytest.mark.parametrize("t", [-1, 2, 0.5])
def test_noise_of_a_timestep_that_the_schedule_lacks_is_refused(t):
    """Timestep -1 had the noise of the last one."""
    schedule, image = NoiseSchedule.from_betas([0.1, 0.2]), torch.ones(1, 1, 2, 2)
    for convert in (schedule.add_noise, schedule.separate):
        with pytest.raises(BackboneError, match=f"timestep {t} is out of range: .* 0 to 1"):
            convert(image, image, t)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(BackboneError, match="unknown prediction 'noise'; allowed: epsilon, sample, v_prediction"):
        NoiseSchedule([0.9, 0.5], "noise")


@pytest.mark.parametrize(
    ("scheduler", "options", "setting"),
    [
        ("CogVideoXDDIMScheduler", {}, "snr_shift_scale = 3.0"),
        ("CogVideoXDPMScheduler", {}, "snr_shift_scale = 3.0"),
        ("IPNDMScheduler", {}, "which has no betas"),
        ("EulerDiscreteScheduler", {"timestep_type": "continuous"}, "timestep_type = 'continuous'"),
        ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True}, "use_flow_sigmas = True"),
        ("UniPCMultistepScheduler", {"use_flow_sigmas": True}, "use_flow_sigmas = True"),
    ],
)
def test_schedulers_with_other_noise_levels_are_refused(scheduler, options, setting):
    """They were taken for the schedule of their betas."""
    config = dict(getattr(diffusers, scheduler)(**options).config)
    with pytest.raises(BackboneError, match=re.escape(setting)):
        schedule_from_config({**config, "_class_name": scheduler})


@pytest.mark.parametrize(
    "scheduler", ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler"]
)
def test_schedulers_of_plain_betas_are_accepted(scheduler):
    found = getattr(diffusers, scheduler)()
    schedule = schedule_from_config({**dict(found.config), "_class_name": scheduler})
    np.testing.assert_array_equal(schedule.alphas_cumprod, found.alphas_cumprod.numpy())
