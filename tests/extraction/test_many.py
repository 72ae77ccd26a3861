"""Many at once and interrupts: threads and processes on one store, Ctrl-C, and a disk slower than the model."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hsifeat
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import StoreError
from hsifeat.scenes import Scene
from hsifeat.store.store import Store
from tests.extraction.test_resume import command, done_units
from tests.helpers.forked_commands import ForkedCommand, ForkedFunction
from tests.helpers.small import small_cube

THREADED = {"layers": ["mid_block", "up_blocks.2"], "tile": 32, "halo": 8}


def extract_in_threads(backbone, out, log, number):
    """Extract overlapping sets of timesteps in four threads, and log each forward pass."""
    plain = UNet2DBackbone.forward_to

    def counting(self, images, t, layers):
        # One short write to a file opened for appending is whole, whoever else writes.
        with open(log, "ab", buffering=0) as file:  # noqa: PTH123
            file.write(f"{t} {len(images)}\n".encode())
        return plain(self, images, t, layers)

    UNet2DBackbone.forward_to = counting

    def extract(thread):
        timesteps = [[0, 300], [300, 50], [0], [50 + number, 300]][thread]
        scene = Scene("small", small_cube(), np.linspace(450, 900, 12), {})
        store = hsifeat.extract(scene, backbone=backbone, timesteps=timesteps, **THREADED, out=out)
        return [bool(store.done(plane.id).all()) for plane in store.planes if plane.id.t in timesteps]

    with ThreadPoolExecutor(4) as threads:
        complete = list(threads.map(extract, range(4)))
    assert all(map(all, complete)) and [len(planes) for planes in complete] == [4, 4, 2, 4], complete


def values(path):
    store = Store.open(path)
    return {str(p.id): np.asarray(store.plane(p.id)[:]).tobytes() for p in store.planes}


def test_many_threads_of_many_processes_do_the_work_once(scene, backbone_folder, tmp_path):
    out, log = tmp_path / "many.zarr", tmp_path / "log"
    runs = [ForkedFunction(extract_in_threads, backbone_folder, out, log, number) for number in range(2)]
    ended = [run.wait() for run in runs]
    assert [run.returncode for run in ended] == [0, 0], ended
    timesteps = [0, 50, 51, 300]
    undisturbed = tmp_path / "one.zarr"
    hsifeat.extract(scene, backbone=backbone_folder, timesteps=timesteps, **THREADED, out=undisturbed)
    assert values(out) == values(undisturbed)
    counted = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    # 75 x 53 pixels in cores of 16: 5 x 4 tiles.
    assert {t: sum(tiles for at, tiles in counted if at == t) for t in timesteps} == dict.fromkeys(timesteps, 20)


def test_ctrl_c_keeps_what_is_finished(backbone_folder, tmp_path, cli):
    path, whole, file = tmp_path / "stopped.zarr", tmp_path / "whole.zarr", tmp_path / "scene.npy"
    np.save(file, small_cube(145, 145, bands=6))  # two by two units
    run = ForkedCommand(*command(file, backbone_folder, path))
    while done_units(path) < 5:
        assert run.poll() is None, run.wait().stderr
        time.sleep(0.002)
    run.signal(signal.SIGINT)
    ended = run.wait()
    assert ended.returncode == 130, "it was interrupted before it ended"
    assert "Traceback" not in ended.stderr
    assert "interrupted; nothing is damaged" in ended.stderr
    before = {p: p.stat().st_mtime_ns for p in path.glob("planes/t*/*/c/*/*/*")}
    assert 5 <= done_units(path) == len(before) < 16, "no shard without its record"
    listed = json.loads(cli("cache", "ls", "--json"))
    assert [(row["store"], row["state"]) for row in listed] == [("stopped", "interrupted")]
    assert "4 planes are unfinished" in cli("cache", "verify", path)
    for out in (path, whole):
        cli(*command(file, backbone_folder, out))
    assert {p: p.stat().st_mtime_ns for p in before} == before, "nothing is written twice"
    assert values(path) == values(whole) and len(values(path)) == 4
    listed = json.loads(cli("cache", "ls", "--json"))
    assert {row["state"] for row in listed} == {"complete"}


def steps_computed(monkeypatch):
    """Return a list of the timesteps of all forward passes. Each pass computes all 20 tiles."""
    computed = []
    plain = UNet2DBackbone.forward_to

    def counting(self, images, t, layers):
        computed.append(t)
        return plain(self, images, t, layers)

    monkeypatch.setattr(UNet2DBackbone, "forward_to", counting)
    return computed


TIMESTEPS = [0, 100, 200, 300, 400, 500]


def test_the_model_waits_for_a_slow_disk(scene, backbone_folder, tmp_path, monkeypatch):
    """While the first step is written, a second step waits in the queue, and the model holds a third step."""
    computed = steps_computed(monkeypatch)
    blocked, let_go = threading.Event(), threading.Event()
    plain = Store.write
    ahead = []

    def blocking(self, plane, unit, values):
        blocked.set()
        assert let_go.wait(60)
        ahead.append(len(set(computed)) - plane.t // 100)
        return plain(self, plane, unit, values)

    monkeypatch.setattr(Store, "write", blocking)
    options = {"backbone": backbone_folder, "tile": 32, "halo": 8, "batch": 20, "out": tmp_path / "slow.zarr"}
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(hsifeat.extract, scene, timesteps=TIMESTEPS, **options)
        assert blocked.wait(60)
        # Until the model has come as far as it may: it must then be waiting, however long this test looks on.
        while len(computed) < 3:
            assert not run.done(), run.result()
            time.sleep(0.01)
        for _ in range(30):
            time.sleep(0.01)
            assert len(computed) == 3
        let_go.set()
        run.result()
    assert computed == TIMESTEPS
    assert max(ahead) <= 3, "never more than two steps beside the one being computed"


def test_an_error_in_writing_ends_the_run(scene, backbone_folder, tmp_path, monkeypatch):
    computed = steps_computed(monkeypatch)
    plain = Store.write

    def failing(self, plane, unit, values):
        if plane.t == 200:
            raise StoreError("the disk is gone")
        return plain(self, plane, unit, values)

    path = tmp_path / "failed.zarr"
    options = {"backbone": backbone_folder, "layers": ["mid_block"], "tile": 32, "halo": 8, "batch": 20, "out": path}
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", failing)
        with pytest.raises(StoreError, match="the disk is gone"):
            hsifeat.extract(scene, timesteps=TIMESTEPS, **options)
    assert len(computed) < len(TIMESTEPS), "the model does not go on for nothing"
    features = hsifeat.open_features(path)
    assert {0, 100} <= {plane.id.t for plane in features.planes} and 200 not in {p.id.t for p in features.planes}
    hsifeat.extract(scene, timesteps=TIMESTEPS, **options)
    again = hsifeat.extract(scene, timesteps=TIMESTEPS, **{**options, "out": tmp_path / "again.zarr"})
    assert values(path) == values(again.location)


def test_an_error_in_the_last_write_is_not_lost(scene, backbone_folder, tmp_path, monkeypatch):
    def failing(self, plane, unit, values):
        raise StoreError("the disk is gone")

    monkeypatch.setattr(Store, "write", failing)
    with pytest.raises(StoreError, match="the disk is gone"):
        hsifeat.extract(scene, backbone=backbone_folder, timesteps=[0], tile=32, halo=8, out=tmp_path / "failed.zarr")
