"""An extraction on a Dask cluster whose workers and scheduler are killed: the same bits, and no finished unit computed again."""

import numpy as np
import pytest

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.runtime.dask_executor import dask_executor
from hsifeat.runtime.events import Advanced, Note
from hsifeat.scenes import Scene
from tests.helpers.dask_cluster import Cluster, blind, log_steps

OPTIONS = {"timesteps": [0, 300], "layers": ["mid_block", "up_blocks.1"], "tile": 32, "halo": 8, "seed": 3, "batch": 4}


@pytest.fixture(autouse=True)
def _small_units(monkeypatch):
    monkeypatch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 16)


def test_three_killed_workers_and_a_killed_scheduler(scene, backbone_folder, tmp_path):
    options = {**OPTIONS, "backbone": str(backbone_folder)}
    scene = Scene("small", scene.cube[:48])  # 3 x 4 units
    alone = hsifeat.extract(scene, **options, out=tmp_path / "alone.zarr")
    units, notes, done = len(alone.units), [], []

    def listen(event):
        if isinstance(event, Note):
            notes.append(event.message)
        if isinstance(event, Advanced):
            done.append(event.done)
            if len(done) in (1, 3, 8):
                cluster.kill_worker(0)
            if len(done) == 5:
                cluster.kill_scheduler()

    with (
        Cluster(2, log_steps, str(tmp_path / "log")) as cluster,
        dask_executor(cluster.address, listen=listen) as executor,
    ):
        shared = hsifeat.extract(scene, **options, executor=executor, listen=listen, out=tmp_path / "shared.zarr")
        # Three processes, three kills of a worker, and the scheduler with the two workers that end with it.
        assert cluster.starts >= 3 + 3 + 1
    assert len(done) == units >= 12 and any("was lost: waiting for it" in note for note in notes)
    assert shared.key == alone.key
    for plane in alone.planes:
        assert shared.fingerprint(plane.id) == alone.fingerprint(plane.id)
        np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])
    recorded, computed = {}, set()
    for line in (tmp_path / "log").read_text().splitlines():
        kind, *step = line.split()
        if kind == "recorded":
            recorded.setdefault(tuple(step[:3]), set()).add(step[3])
        else:
            assert len(recorded.get(tuple(step), ())) < 2, f"{step} was finished and is computed again"
            computed.add(tuple(step))
    assert len(computed) == 2 * units


def test_a_worker_without_the_data_is_named_with_the_path(scene, backbone_folder, tmp_path):
    with Cluster(1, blind) as cluster, dask_executor(cluster.address) as executor:
        with pytest.raises(
            HsifeatError, match=rf"{tmp_path}/s\.zarr can't be seen here: .* \(worker tcp://127.0.0.1:\d+ on"
        ):
            hsifeat.extract(scene, **OPTIONS, backbone=str(backbone_folder), executor=executor, out=tmp_path / "s.zarr")
        assert not (tmp_path / "s.zarr" / "writer.token").exists()
