"""Steps as tasks: processes that open scene and backbone on their own compute the same bits as one process."""

import pickle

import numpy as np
import pytest

import hsifeat
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction.step_task import StepTask
from hsifeat.runtime.processes import ProcessExecutor
from hsifeat.scenes import Scene
from hsifeat.store.store import Store
from tests.helpers.extraction import prepare
from tests.helpers.small import small_cube

OPTIONS = {"timesteps": [0, 300], "layers": ["mid_block", "up_blocks.1"], "tile": 32, "halo": 8, "seed": 3, "batch": 4}


def test_two_processes_give_the_same_bits_as_one(scene, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 32)
    # An inversion keeps state from one timestep to the next, which a process may get in any order.
    options = {**OPTIONS, "noise": "inversion:10", "backbone": str(backbone_folder)}
    alone = hsifeat.extract(scene, **options, out=tmp_path / "alone.zarr")
    executor = ProcessExecutor(2)
    try:
        shared = hsifeat.extract(scene, **options, executor=executor, out=tmp_path / "shared.zarr")
    finally:
        executor.kill()
    assert shared.key == alone.key and [plane.id for plane in shared.planes] == [plane.id for plane in alone.planes]
    for plane in alone.planes:
        assert shared.done(plane.id).all()
        np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])


def test_a_task_is_small_and_refused_where_a_worker_can_not_open_what_it_needs(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, **OPTIONS, out=tmp_path / "s.zarr")
    task = StepTask.from_work(job.remaining(None))
    assert len(pickle.dumps(task)) < 1000 and pickle.loads(pickle.dumps(task)) == task  # noqa: S301  # our own bytes
    opened = prepare(scene, backbone=open_backbone(backbone_folder), **OPTIONS)
    with pytest.raises(HsifeatError, match="name it by a path or a name"):
        StepTask.from_work(opened.remaining(None))
    image = Scene("both", small_cube(rows=20, cols=20), companion=np.zeros((40, 40, 3), np.uint8))
    from_companion = prepare(
        image, backbone=backbone_folder, timesteps=[0], layers=["up_blocks.2"], tile=32, halo=8, companion=True
    )
    with pytest.raises(HsifeatError, match="does not hold the companion image"):
        StepTask.from_work(from_companion.remaining(None))
    assert not (tmp_path / "s.zarr").exists() and Store.find(tmp_path / "s.zarr") is None
