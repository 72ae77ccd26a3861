"""A killed run over a list of pixels: nothing torn counts as there, and in the end every bit is the undisturbed run's."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import hsifeat
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.extraction.test_resume import HSIFEAT, KILL, done_units, values
from tests.helpers.small import small_cube, small_labels

TIMESTEPS, LAYERS = (0, 50, 300), ("mid_block", "up_blocks.1")
# 2,478 pixels: four units of 512, and one of 430; three timesteps, two layers.
SHARDS = 5 * 3 * 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "scene.npy", small_cube())
    np.save(folder / "fields.npy", small_labels())
    return folder


@pytest.fixture(scope="module")
def command(backbone_folder, files):
    return lambda out: [
        HSIFEAT, "extract", files / "scene.npy", "--labels", files / "fields.npy", "--backbone", backbone_folder,
        "--pixels", "fields", "--tile", "8", "--padding", "zero", "--noise", "shared", "--out", out,
        "--timesteps", ",".join(map(str, TIMESTEPS)), "--layers", ",".join(LAYERS), "--batch", "32",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    env = {**os.environ, "HSIFEAT_CACHE": str(path.parent / "cache")}
    subprocess.run(command(path), check=True, capture_output=True, env=env)
    return values(Store.open(path))


def resume_and_check(backbone, path, undisturbed):
    scene = Scene("scene", small_cube())
    pixels = np.nonzero(small_labels())
    store = hsifeat.extract(
        scene, backbone=backbone, timesteps=TIMESTEPS, layers=LAYERS, pixels=pixels, tile=8, padding="zero",
        noise="shared", batch=32, out=path,
    )  # fmt: skip
    found = values(store)
    assert found.keys() == undisturbed.keys() and len(found) == 6
    for name, wanted in undisturbed.items():
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)
    assert [d for d in verify(as_location(path)).damages if not d.key.endswith(".part")] == []


def test_a_run_killed_on_its_way_goes_on(command, backbone_folder, undisturbed, tmp_path):
    path = tmp_path / "killed.zarr"
    with subprocess.Popen(command(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while done_units(path) < SHARDS // 3:
            assert run.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
    assert SHARDS // 3 <= done_units(path) < SHARDS, "killed on its way"
    features = hsifeat.open_features(path)
    assert features.unfinished and not set(features.planes) & set(features.unfinished)
    resume_and_check(backbone_folder, path, undisturbed)


@pytest.mark.parametrize(
    ("where", "number"),
    [
        pytest.param("planes", 13, id="in-a-shard"),
        pytest.param("progress", 29, id="between-data-and-last-progress"),
    ],
)
def test_a_kill_inside_a_write(command, backbone_folder, undisturbed, tmp_path, where, number):
    path = tmp_path / "torn.zarr"
    arguments = [str(a) for a in command(path)[1:]]
    ended = subprocess.run(
        [sys.executable, "-c", KILL, str(number), where, *arguments], check=False, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    store = Store.open(path)
    assert sum(int(store.done(plane.id).sum()) for plane in store.planes) == number, "what was torn does not count"
    resume_and_check(backbone_folder, path, undisturbed)


def test_a_kill_while_the_list_is_written(command, backbone_folder, undisturbed, tmp_path):
    """There is no store then, and the next run makes it."""
    path = tmp_path / "torn.zarr"
    arguments = [str(a) for a in command(path)[1:]]
    ended = subprocess.run([sys.executable, "-c", KILL, "0", "cols", *arguments], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert Store.find(path) is None
    resume_and_check(backbone_folder, path, undisturbed)
