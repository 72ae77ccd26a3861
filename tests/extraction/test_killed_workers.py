"""An extraction on a Dask cluster whose workers, scheduler and client are killed: the same bits, and no finished unit computed again."""

import signal
import time

import numpy as np
import pytest

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.runtime.dask_executor import dask_executor
from hsifeat.runtime.events import Advanced, Note, Started
from hsifeat.scenes import Scene
from tests.helpers.dask_cluster import Cluster, blind, log_steps
from tests.helpers.forked_commands import ForkedFunction

# See `Cluster.__exit__`: the garbage collector may run before the cluster ends.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

OPTIONS = {"timesteps": [0, 300], "layers": ["mid_block", "up_blocks.1"], "tile": 32, "halo": 8, "seed": 3, "batch": 4}


@pytest.fixture(autouse=True)
def _small_units(monkeypatch):
    monkeypatch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 16)


@pytest.fixture(scope="module")
def scene(scene):
    """The upper part of the small scene, with 3 x 4 units."""
    return Scene("small", scene.cube[:48])


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Two workers that log their steps, and the file of the log."""
    log = tmp_path_factory.mktemp("log") / "log"
    with Cluster(2, log_steps, str(log)) as cluster:
        yield cluster, log


@pytest.fixture(scope="module")
def alone(scene, backbone_folder, tmp_path_factory):
    """The store of one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 16)
        return hsifeat.extract(
            scene, **OPTIONS, backbone=str(backbone_folder), out=tmp_path_factory.mktemp("alone") / "s.zarr"
        )


def check_stores_and_log(shared, alone, log):
    """Check that two stores have the same bits, that no step was computed again after its two planes were recorded, and that
    a worker sent a heartbeat while the network ran.
    """
    assert shared.key == alone.key
    for plane in alone.planes:
        assert shared.fingerprint(plane.id) == alone.fingerprint(plane.id)
        np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])
    recorded, computed, lines = {}, set(), log.read_text().splitlines()
    for line in lines:
        kind, *step = line.split()
        if kind == "recorded":
            recorded.setdefault(tuple(step[:3]), set()).add(step[3])
        elif kind == "computed":
            assert len(recorded.get(tuple(step), ())) < 2, f"{step} was finished and is computed again"
            computed.add(tuple(step))
    assert len(computed) == 2 * len(alone.units) and "heartbeat" in lines


def test_three_killed_workers_and_a_killed_scheduler(logged, scene, alone, backbone_folder, tmp_path):
    cluster, log = logged
    notes, done = [], []

    def listen(event):
        if isinstance(event, Note):
            notes.append(event.message)
        if isinstance(event, Advanced):
            done.append(event.done)
            if len(done) in (1, 3, 8):
                cluster.kill_worker(0)
            if len(done) == 5:
                cluster.kill_scheduler()

    with dask_executor(cluster.address, listen=listen) as executor:
        shared = hsifeat.extract(
            scene, **OPTIONS, backbone=str(backbone_folder), executor=executor, listen=listen, out=tmp_path / "s.zarr"
        )
        # Three processes, three kills of a worker, and the scheduler with the two workers that end with it.
        assert cluster.starts >= 3 + 3 + 1
    assert len(done) == len(alone.units) >= 12 and any("was lost: waiting for it" in note for note in notes)
    check_stores_and_log(shared, alone, log)


def test_a_killed_client_leaves_its_finished_units_to_the_next_run(logged, scene, alone, backbone_folder, tmp_path):
    cluster, log = logged
    log.write_text("")
    options = {**OPTIONS, "backbone": str(backbone_folder), "out": tmp_path / "s.zarr"}
    client = ForkedFunction(extract_small_units, scene, {**options, "executor": f"dask:{cluster.address}"})
    while log.read_text().count("recorded") < 4:
        assert client.poll() is None, client.wait().stderr
        time.sleep(0.02)
    client.signal(signal.SIGKILL)
    client.wait()
    done = []
    shared = hsifeat.extract(scene, **options, executor=f"dask:{cluster.address}", listen=done.append)
    (started,) = [event for event in done if isinstance(event, Started) and event.task == "extract"]
    assert started.done > 0, "the run goes on"
    check_stores_and_log(shared, alone, log)


def extract_small_units(scene, options):
    """Extract with the units of this file, in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 16)
        hsifeat.extract(scene, **options)


def test_a_worker_without_the_data_is_named_with_the_path(scene, backbone_folder, tmp_path):
    with Cluster(1, blind) as cluster, dask_executor(cluster.address) as executor:
        with pytest.raises(
            HsifeatError, match=rf"{tmp_path}/s\.zarr can't be seen here: .* \(worker tcp://127.0.0.1:\d+ on"
        ):
            hsifeat.extract(scene, **OPTIONS, backbone=str(backbone_folder), executor=executor, out=tmp_path / "s.zarr")
        assert not (tmp_path / "s.zarr" / "writer.token").exists()
