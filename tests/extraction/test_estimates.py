"""Estimates of time and memory, against sums written out by hand."""

from types import SimpleNamespace

import pytest

from hsifeat.extraction.diffusion_extractor import DiffusionExtractor
from hsifeat.store.plane_layout import PlaneSpec, SceneLayout, Unit
from hsifeat.types import PlaneId, Window

UNIT = Unit((0, 0), Window(0, 0, 32, 32))
PLANE = PlaneSpec(PlaneId(50, "up"), 2, 8, "float16")


def extractor(*, blends=False, draws=1):
    return SimpleNamespace(
        model_input=SimpleNamespace(factor=1),
        projection=SimpleNamespace(channels=3),
        backbone=SimpleNamespace(denoiser_channels=4),
        tiling=SimpleNamespace(tile=(16, 16), blends=blends),
        noise=SimpleNamespace(draws=draws),
        _map_bytes=lambda _plan: 0,
    )


def plan(*steps):
    return SimpleNamespace(layout=SceneLayout(32, 32, 32), steps=steps, unit_tiles={UNIT: 9})


@pytest.mark.parametrize(("draws", "blends"), [(1, False), (3, False), (1, True)])
def test_peak_memory_counts_tiles_noise_and_blocks(draws, blends):
    step = SimpleNamespace(unit=UNIT, planes=[PLANE, PLANE])
    one, five = plan(step), plan(*[step] * 5)
    tiles = 9 * 4 * 4 * 16 * 16  # float32, the four channels of the denoiser
    blocks = 2 * 16 * 16 * 8 * 2
    subject = extractor(blends=blends, draws=draws)
    sums = 2 * blocks if blends else 0
    assert DiffusionExtractor.peak_bytes(subject, one) == (1 + draws) * tiles + blocks + sums
    # One step is computed and one is complete, while two wait to be written.
    assert DiffusionExtractor.peak_bytes(subject, five) == (1 + draws) * tiles + 4 * blocks + sums


def test_nothing_to_do_takes_nothing():
    assert DiffusionExtractor.peak_bytes(extractor(), plan()) == 0
    assert DiffusionExtractor.seconds_per_pass(extractor(), plan()) == 0
