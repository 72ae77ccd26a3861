"""The noise levels of the study are those of its committed results, and become timesteps of any schedule."""

import json
from pathlib import Path

import numpy as np
import pytest

from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.timesteps.studied_levels import STUDIED_SIGMAS, studied_timesteps

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "natural32.json"
NETWORKS = {
    "a diffusion model of natural images": ["natural32"],
    "a denoiser of photographs that is no diffusion model": ["ffdnet"],
    "a network trained on the scene": ["mtmsd"],
}


@pytest.mark.parametrize("kind", STUDIED_SIGMAS)
def test_levels_are_those_of_the_committed_study(kind):
    """At these levels, the mean OA over regimes is within a point of the best level, for each network and scene."""
    good = []
    for networks in json.loads(RESULT.read_text())["levels"].values():
        for rows in (rows for network, rows in networks.items() if network in NETWORKS[kind]):
            means = [np.mean(list(row["oa"].values())) for row in rows]
            good.append([row["sigma"] for row, mean in zip(rows, means, strict=True) if mean >= max(means) - 1])
    assert STUDIED_SIGMAS[kind] == (max(min(levels) for levels in good), min(max(levels) for levels in good))


def test_the_page_has_the_accuracies_of_the_study():
    page = (RESULT.parents[2] / "docs" / "user" / "timesteps.md").read_text(encoding="utf-8")
    for network, rows in json.loads(RESULT.read_text())["levels"]["indian-pines"].items():
        means = [np.mean(list(row["oa"].values())) for row in rows]
        good = [row for row, mean in zip(rows, means, strict=True) if mean >= max(means) - 1]
        low, high, best, last = good[0], good[-1], rows[int(np.argmax(means))], rows[-1]
        assert (
            f"| `{network}` | sigma {low['sigma']} to {high['sigma']}, t = {low['t']} to {high['t']} "
            f"({max(means):.1f} %, at t = {best['t']}) | sigma {last['sigma']}, t = {last['t']} ({means[-1]:.1f} %) |"
        ) in page


def test_timesteps_are_those_of_the_nearest_level():
    sigmas = np.array([0.01, 0.02, 0.1, 0.2, 1.0])
    schedule = NoiseSchedule((1 / (1 + sigmas**2)).astype(np.float32))
    for kind, (low, high) in STUDIED_SIGMAS.items():
        nearest = [int(np.abs(sigmas - sigma).argmin()) for sigma in (low, high)]
        assert studied_timesteps(schedule)[kind] == {"sigmas": [low, high], "timesteps": nearest}
