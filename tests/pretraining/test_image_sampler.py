"""Batches of natural images, and their timesteps."""

import numpy as np
import pytest
from diffusers import DDPMScheduler

from hsifeat.pretraining.image_sampler import ImageSampler
from hsifeat.pretraining.timestep_sampling import TimestepSampling

ANY = TimestepSampling()


def test_batches_are_mirrored_images_that_are_not_held_out(pictures):
    sampler = ImageSampler([pictures], 10, ANY, 3)
    assert sampler.held_out.shape == (1, 3, 32, 32)  # one in fifty
    scaled = pictures.transpose(0, 3, 1, 2) / 127.5 - 1
    known = {np.round(s[..., ::d], 4).tobytes(): (i, d) for i, s in enumerate(scaled.astype("f4")) for d in (1, -1)}
    drawn = [known[np.round(x, 4).tobytes()] for step in range(20) for x in sampler.draw(step, 30).clean]
    kept_apart = known[np.round(sampler.held_out[0], 4).tobytes()][0]
    assert {i for i, _ in drawn} == set(range(60)) - {kept_apart}
    assert 0.4 < np.mean([d == 1 for _, d in drawn]) < 0.6
    other = ImageSampler([pictures], 10, ANY, 4)
    np.testing.assert_array_equal(other.held_out, sampler.held_out)
    assert not np.array_equal(other.draw(0, 4).noise, sampler.draw(0, 4).noise)


def test_batches_take_patches_of_all_sources(pictures):
    """Each patch is a part of an image of one of the sources; a batch has patches of one size."""
    dark, bright = pictures // 2, pictures // 2 + 128
    sampler = ImageSampler([dark, bright[:30]], 1, ANY, 0, crops_px=(8, 16))
    batches = [sampler.draw(step, 30).clean for step in range(20)]
    assert {batch.shape for batch in batches} == {(30, 3, 8, 8), (30, 3, 16, 16)}
    assert 0.2 < np.mean([patch.mean() > 0 for batch in batches for patch in batch]) < 0.5
    every = np.concatenate([dark, bright[:30]]).transpose(0, 3, 1, 2) / np.float32(127.5) - 1
    pixels = {np.round(every[n, :, r, c], 5).tobytes() for n in range(90) for r in range(32) for c in range(32)}
    assert all(np.round(pixel, 5).tobytes() in pixels for pixel in batches[0][0].reshape(3, -1).T.copy())


def test_mixed_channels_are_linear_in_the_colours(pictures):
    """Half of the images keep their colours; the others are three combinations of them, with about their variance."""
    plain = ImageSampler([pictures], 1, ANY, 0)
    mixing = ImageSampler([pictures], 1, ANY, 0, mixes_channels=True)
    clean, mixed = plain.draw(0, 200).clean, mixing.draw(0, 200).clean
    kept = np.array([np.array_equal(a, b) for a, b in zip(clean, mixed, strict=True)])
    assert 0.4 < kept.mean() < 0.6
    for a, b in zip(clean[~kept], mixed[~kept], strict=True):
        _, residual, *_ = np.linalg.lstsq(a.reshape(3, -1).T, b.reshape(3, -1).T, rcond=None)
        assert np.all(residual < 1e-6)


def test_log_normal_noise_levels():
    """The schedule of diffusers gives the noise level of a timestep; two thirds are within a standard deviation."""
    abar = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    sigmas = ((1 - abar) / abar).sqrt()[TimestepSampling(sigmas=(0.1, 0.3)).draw(np.random.default_rng(0), 20_000)]
    logs = sigmas.log().numpy()
    assert logs.mean() == pytest.approx(np.log(0.1 * 0.3) / 2, abs=0.02)
    assert logs.std() == pytest.approx(np.log(3) / 2, abs=0.02)
