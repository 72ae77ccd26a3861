"""Commands killed between two renames lose nothing, leave nothing half, and the next run cleans up.

`benchmarks/kills.py` kills each command many more times, also at random moments.
"""

import numpy as np
import pytest

from tests.helpers.kill_cases import make_cases, run_round

# Steps at which each command is killed here; all of them are killed in the benchmark.
STEPS = {"rm": (0, 5), "gc": (1,), "fit": (1, 2), "export": (1, 3), "predict": (0,), "repair": (7,)}


@pytest.fixture(scope="module")
def cases(store_path, backbone_folder, tmp_path_factory):
    return make_cases(store_path, backbone_folder, tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize(("name", "step"), [(name, step) for name, steps in STEPS.items() for step in steps])
def test_a_killed_command_loses_nothing(cases, tmp_path, name, step):
    _, faults = run_round(cases[name], tmp_path, step=step)
    assert faults == []


def test_a_command_killed_at_a_random_moment_loses_nothing(cases, tmp_path):
    moment_s = float(np.random.default_rng(0).uniform(0.05, 0.4))
    _, faults = run_round(cases["fit"], tmp_path, after_s=moment_s)
    assert faults == []
