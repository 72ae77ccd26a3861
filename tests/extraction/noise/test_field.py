"""The noise policy ``field`` against diffusers' ``add_noise`` with an explicit noise field."""

import numpy as np
import pytest
import torch

from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.extraction.noise.field import FieldNoise
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.extraction.noise.policy import CleanUnit
from hsifeat.types import Window


def test_taps_are_averaged_over_draws_of_the_field(extract_plane, reference):
    noises = [torch.tensor(noise_field(Window(-8, -8, 32, 32), 3, 5, draw))[None] for draw in range(3)]
    assert abs(np.corrcoef(torch.stack(noises).reshape(3, -1))[np.triu_indices(3, 1)]).max() < 0.1
    plane = extract_plane(300, draws=3, seed=5)
    np.testing.assert_allclose(plane, reference.mean_features(noises, 300), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [(0, 4), (0, 5000)], ids=["overlapping", "scattered"])
def test_memory_does_not_grow_with_the_distance_of_tiles(rows, monkeypatch):
    """The field is drawn over the bounding window only where that is smaller than all tiles together."""
    windows = []

    def recording(window, channels, seed, draw=0):
        windows.append(window)
        return noise_field(window, channels, seed, draw)

    monkeypatch.setattr("hsifeat.extraction.noise.field.noise_field", recording)
    schedule = schedule_from_config({"beta_schedule": "linear", "num_train_timesteps": 1000})
    cells = [Window(row, 3, 8, 8) for row in rows]
    tiles = FieldNoise(schedule, 2).noised_tiles(CleanUnit(None, torch.zeros(2, 1, 8, 8), cells, device="cpu", batch=2))
    noised = next(tiles.at(slice(0, 2), 999))
    assert sum(w.rows * w.cols for w in windows) <= 2 * 64
    scale = np.sqrt(1 - schedule.alphas_cumprod[999])
    for tile, cell in zip(noised, cells, strict=True):
        np.testing.assert_allclose(tile, scale * noise_field(cell, 1, 2), rtol=1e-6)
