"""A killed run over a list of pixels: partly written files do not count, and all values equal those of an undisturbed run."""

import signal

import numpy as np
import pytest

import hsifeat
from hsifeat.scenes import Scene
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.extraction.test_resume import done_units, kill_after, values
from tests.helpers.forked_commands import run_forked
from tests.helpers.killed_writes import KilledWrite
from tests.helpers.small import small_cube, small_labels

TIMESTEPS, LAYERS = (0, 300), ("mid_block", "up_blocks.1")
SIZE = (40, 24)
# 640 pixels: a unit of 512, and one of 128; two timesteps, two layers.
SHARDS = 2 * 2 * 2


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "scene.npy", small_cube(*SIZE))
    np.save(folder / "fields.npy", small_labels(*SIZE))
    return folder


@pytest.fixture(scope="module")
def command(backbone_folder, files):
    return lambda out: [
        "extract", files / "scene.npy", "--labels", files / "fields.npy", "--backbone", backbone_folder,
        "--pixels", "fields", "--tile", "8", "--padding", "zero", "--noise", "shared", "--out", out,
        "--timesteps", ",".join(map(str, TIMESTEPS)), "--layers", ",".join(LAYERS), "--batch", "32",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(command, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    run_forked(*command(path))
    return values(Store.open(path))


def resume_and_check(backbone, path, undisturbed):
    scene = Scene("scene", small_cube(*SIZE))
    pixels = np.nonzero(small_labels(*SIZE))
    store = hsifeat.extract(
        scene, backbone=backbone, timesteps=TIMESTEPS, layers=LAYERS, pixels=pixels, tile=8, padding="zero",
        noise="shared", batch=32, out=path,
    )  # fmt: skip
    found = values(store)
    assert found.keys() == undisturbed.keys() and len(found) == 4
    for name, wanted in undisturbed.items():
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)
    assert [d for d in verify(as_location(path)).damages if not d.key.endswith(".part")] == []


def test_a_run_killed_on_its_way_goes_on(command, backbone_folder, undisturbed, tmp_path):
    path = tmp_path / "killed.zarr"
    kill_after(SHARDS // 3, command(path), path)
    assert SHARDS // 3 <= done_units(path) < SHARDS, "killed on its way"
    features = hsifeat.open_features(path)
    assert features.unfinished and not set(features.planes) & set(features.unfinished)
    resume_and_check(backbone_folder, path, undisturbed)


@pytest.mark.parametrize(
    ("where", "number"),
    [
        pytest.param("planes", 4, id="in-a-shard"),
        pytest.param("progress", 7, id="between-data-and-last-progress"),
    ],
)
def test_a_kill_inside_a_write(command, backbone_folder, undisturbed, tmp_path, where, number):
    path = tmp_path / "torn.zarr"
    run_forked(*command(path), patch=KilledWrite(where, number), status=-signal.SIGKILL)
    store = Store.open(path)
    assert sum(int(store.done(plane.id).sum()) for plane in store.planes) == number, "what was torn does not count"
    resume_and_check(backbone_folder, path, undisturbed)


def test_a_kill_while_the_list_is_written(command, backbone_folder, undisturbed, tmp_path):
    """After the kill, no store exists, and the next run creates it."""
    path = tmp_path / "torn.zarr"
    run_forked(*command(path), patch=KilledWrite("cols", 0), status=-signal.SIGKILL)
    assert Store.find(path) is None
    resume_and_check(backbone_folder, path, undisturbed)
