"""A killed run that is started again computes only missing values, and all values equal those of an undisturbed run."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest

import hsifeat
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.forked_commands import ForkedCommand, run_forked
from tests.helpers.killed_writes import KilledWrite
from tests.helpers.small import small_cube

TIMESTEPS, LAYERS = (0, 400), ("mid_block", "up_blocks.2")


def command(scene_file, backbone, out):
    return [
        "extract", scene_file, "--backbone", backbone, "--tile", "40", "--halo", "4", "--out", out,
        "--timesteps", ",".join(map(str, TIMESTEPS)), "--layers", ",".join(LAYERS), "--batch", "6",
    ]  # fmt: skip


def values(store):
    return {str(p.id): np.asarray(store.plane(p.id)[:]).view(np.uint16) for p in store.planes}


def done_units(path):
    """Count progress records on disk, without code of hsifeat."""
    return sum(1 for _ in Path(path).glob("progress/t*/*/c/*/*/*"))


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory):
    """A scene of two by two units: 145 px, in units of 128 px (four cores of 32)."""
    file = tmp_path_factory.mktemp("scenes") / "scene.npy"
    np.save(file, small_cube(145, 145, bands=6))
    return file


@pytest.fixture(scope="module")
def undisturbed(scene_file, backbone_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    run_forked(*command(scene_file, backbone_folder, path))
    return values(Store.open(path))


@pytest.fixture
def forwards(monkeypatch):
    """Count the forwards of this process as (t, tiles)."""
    counted = []
    plain = UNet2DBackbone.forward_to

    def counting(self, images, t, layers):
        counted.append((t, len(images)))
        return plain(self, images, t, layers)

    monkeypatch.setattr(UNet2DBackbone, "forward_to", counting)
    return counted


def kill_after(units, arguments, path):
    """Kill a command from another process as soon as `units` units are recorded."""
    run = ForkedCommand(*arguments)
    while done_units(path) < units:
        assert run.poll() is None, run.wait().stderr
        time.sleep(0.002)
    run.signal(signal.SIGKILL)
    assert run.wait().returncode == -signal.SIGKILL, "the run ended before it could be killed"


def resume(scene_file, backbone, path):
    return hsifeat.extract(
        scene_file, backbone=backbone, timesteps=TIMESTEPS, layers=LAYERS, tile=40, halo=4, batch=6, out=path
    )


def check(store, undisturbed):
    found = values(store)
    assert found.keys() == undisturbed.keys() and len(found) == 4
    for name, wanted in undisturbed.items():
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)


def test_a_run_killed_on_its_way_goes_on(scene_file, backbone_folder, undisturbed, tmp_path, forwards):
    path = tmp_path / "killed.zarr"
    kill_after(5, command(scene_file, backbone_folder, path), path)
    before = done_units(path)
    assert 5 <= before < 16, "killed on its way"
    features = hsifeat.open_features(path)
    assert features.unfinished and not set(features.unfinished) & set(features.planes)
    with pytest.raises(hsifeat.HsifeatError, match=r"no plane 't400/mid_block' \(it is unfinished\)"):
        features.sample([0], [0], ["t400/mid_block"])
    store = Store.open(path)
    # The units have 16, 4, 4 and 1 tiles, in batches of at most 6.
    tiles = {(0, 0): 16, (0, 1): 4, (1, 0): 4, (1, 1): 1}
    missing = [
        (t, unit.index)
        for unit in store.units
        for t in TIMESTEPS
        if not all(store.done(p.id)[unit.index] for p in store.planes if p.id.t == t)
    ]
    check(resume(scene_file, backbone_folder, path), undisturbed)
    assert sum(n for _, n in forwards) == sum(tiles[index] for _, index in missing)
    forwards.clear()
    resume(scene_file, backbone_folder, path)
    assert forwards == []


@pytest.mark.parametrize(
    ("where", "number"),
    [
        pytest.param("planes", 0, id="first-shard"),
        pytest.param("planes", 15, id="last-shard"),
        pytest.param("progress", 9, id="between-data-and-progress"),
    ],
)
def test_a_kill_inside_a_write(scene_file, backbone_folder, undisturbed, tmp_path, forwards, where, number):
    path = tmp_path / "torn.zarr"
    run_forked(*command(scene_file, backbone_folder, path), patch=KilledWrite(where, number), status=-signal.SIGKILL)
    done = sum(int(Store.open(path).done(plane.id).sum()) for plane in Store.open(path).planes)
    assert done == number, "what was torn does not count as done"
    check(resume(scene_file, backbone_folder, path), undisturbed)


@pytest.mark.parametrize(
    ("where", "number"),
    [("zarr.json", 0), ("zarr.json", 12), ("checksums.json", 1)],
)
def test_a_kill_while_metadata_are_written(scene_file, backbone_folder, undisturbed, tmp_path, where, number):
    """The command is killed while it writes the manifest, the metadata of arrays, or the checksums.

    The next run gives the same store, and `verify` finds no damage.
    """
    path = tmp_path / "torn.zarr"
    run_forked(*command(scene_file, backbone_folder, path), patch=KilledWrite(where, number), status=-signal.SIGKILL)
    check(resume(scene_file, backbone_folder, path), undisturbed)
    assert [d for d in verify(as_location(path)).damages if not d.key.endswith(".part")] == []


def test_two_at_once_do_the_work_once(scene_file, backbone_folder, undisturbed, tmp_path):
    """Both commands succeed, all values are right, and each tile is computed once."""
    path = tmp_path / "both.zarr"
    runs = [ForkedCommand(*command(scene_file, backbone_folder, path)) for _ in range(2)]
    ended = [run.wait() for run in runs]
    errors = [run.stderr for run in ended]
    assert [run.returncode for run in ended] == [0, 0], errors
    assert sum("50 of 50 passes to do" in error for error in errors) == 1
    assert sum("all 4 planes exist" in error for error in errors) == 1
    check(Store.open(path), undisturbed)
