"""Tiles noised by drawn noise, against the scheduler of diffusers."""

import torch
from diffusers import DDPMScheduler

from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.extraction.noise.gaussian_tiles import DrawnNoiseTiles
from hsifeat.extraction.noise.policy import CleanUnit

CONFIG = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 1000}
CLEAN = torch.linspace(-1, 1, 3 * 2 * 4 * 4).reshape(3, 2, 4, 4)
UNIT = CleanUnit(None, CLEAN, (), device="cpu", batch=3)


class NumberedDraws(DrawnNoiseTiles):
    """Draws noise that differs by draw and tile, and counts its draws."""

    count = 0

    def _draw(self, draw):
        self.count += 1
        return torch.full((3, 2, 4, 4), draw + 0.5) + torch.arange(3.0)[:, None, None, None]

    def _select(self, noise, batch):
        return noise[batch]


def test_tiles_equal_those_of_the_scheduler_of_diffusers():
    tiles = NumberedDraws(UNIT, schedule_from_config(CONFIG), 2)
    scheduler = DDPMScheduler(**CONFIG)
    for t in (0, 300, 999):
        for draw, noised in enumerate(tiles.at(slice(1, 3), t)):
            noise = torch.full((2, 2, 4, 4), draw + 0.5) + torch.tensor([1.0, 2.0])[:, None, None, None]
            expected = scheduler.add_noise(CLEAN[1:3], noise, torch.tensor([t]))
            torch.testing.assert_close(noised, expected, rtol=1e-6, atol=1e-6)


def test_each_draw_serves_all_timesteps_and_batches():
    tiles = NumberedDraws(UNIT, schedule_from_config(CONFIG), 2)
    for t in (0, 500):
        for batch in (slice(0, 2), slice(2, 3)):
            assert len(list(tiles.at(batch, t))) == 2
    assert tiles.count == 2
