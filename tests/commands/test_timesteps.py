"""The command `hsifeat timesteps`, and `hsifeat extract --timesteps auto:N`."""

import json

import numpy as np
import pytest

from tests.helpers.forked_commands import run_forked
from tests.helpers.small import small_cube


@pytest.fixture
def hsifeat(tmp_path, monkeypatch):
    np.save(tmp_path / "scene.npy", small_cube(40, 36, 6))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, status=0):
        ended = run_forked(*arguments, status=status)
        assert "Traceback" not in ended.stderr
        return ended

    return run


def test_json_and_plot(hsifeat, tmp_path):
    ended = hsifeat("timesteps", "scene.npy", "--timesteps", "0,100,500,900", "--budget", 2, "--out", "t.png", "--json")
    ranking = json.loads(ended.stdout)
    assert ranking["timesteps"] == [0, 100, 500, 900] and len(ranking["proposal"]) == 2
    assert len(ranking["similarity"]) == len(ranking["neighbours"]) == 4
    assert ranking["intervals"][0][0] == 0 and ranking["intervals"][-1][1] == 900 and len(ranking["intervals"]) == 3
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert "optimal denoiser" in ended.stderr and "512/512" in ended.stderr


def test_extract_with_auto_uses_the_proposal(hsifeat, backbone_folder):
    seen = ["scene.npy", "--backbone", backbone_folder]
    ended = hsifeat("timesteps", *seen, "--timesteps", "0,250,500,750", "--budget", 2)
    (line,) = [
        line for line in ended.stdout.splitlines() if line.startswith("proposal for hsifeat extract: --timesteps ")
    ]
    proposed = line.split()[-1]
    assert "angles between channels; angle of the mean of all pixels" in ended.stdout
    dry = hsifeat("extract", *seen, "--timesteps", "auto:2", "--noise", "inversion:4", "--dry-run")
    assert f"auto:2 takes the timesteps {proposed.replace(',', ', ')}" in dry.stderr
    assert all(f"t{t}/mid_block" in dry.stdout for t in proposed.split(","))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(["timesteps", "scene.npy", "--out", "a.pdf"], 1, "is a .png file; found 'a.pdf'", id="suffix"),
        pytest.param(["timesteps", "scene.npy", "--timesteps", "a"], 2, "takes non-negative whole numbers", id="number"),
        pytest.param(["extract", "scene.npy", "--timesteps", "auto"], 2, "auto:N such as auto:5; found 'auto'", id="auto"),
    ],
)  # fmt: skip
def test_wrong_input_has_one_clear_message(hsifeat, arguments, status, message):
    assert message in " ".join(hsifeat(*arguments, status=status).stderr.split()).replace("│ ", "")
