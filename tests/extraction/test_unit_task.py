"""Units as tasks: processes that open scene and backbone on their own compute the same bits as one process."""

import pickle
import shutil

import numpy as np
import pytest

import hsifeat
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.backbones.recall import RecalledBackbone
from hsifeat.backbones.unet2d import UNet2DBackbone
from hsifeat.errors import HsifeatError
from hsifeat.extraction import unit_task
from hsifeat.extraction.repair import verify
from hsifeat.extraction.run import run
from hsifeat.extraction.unit_task import BackboneBuilder, StoreBuilder, UnitTask, compute_unit
from hsifeat.runtime.events import Advanced
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.processes import ProcessExecutor
from hsifeat.scenes import Scene
from hsifeat.store import write_token
from hsifeat.store.store import Store
from tests.helpers.executors import InThisProcess
from tests.helpers.extraction import prepare
from tests.helpers.forked_commands import fork_workers
from tests.helpers.small import small_cube

OPTIONS = {"timesteps": [0, 300], "layers": ["mid_block", "up_blocks.1"], "tile": 32, "halo": 8, "seed": 3, "batch": 4}


def test_two_processes_give_the_same_bits_as_one(scene, backbone_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 32)
    # An inversion keeps state from one timestep to the next, which a process may get in any order.
    options = {**OPTIONS, "noise": "inversion:10", "backbone": str(backbone_folder)}
    alone = hsifeat.extract(scene, **options, out=tmp_path / "alone.zarr")
    fork_workers(monkeypatch.setattr)
    executor = ProcessExecutor(2)
    try:
        shared = hsifeat.extract(scene, **options, executor=executor, out=tmp_path / "shared.zarr")
    finally:
        executor.kill()
    assert shared.key == alone.key and [plane.id for plane in shared.planes] == [plane.id for plane in alone.planes]
    for plane in alone.planes:
        assert shared.done(plane.id).all()
        np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])


def test_a_worker_does_not_keep_the_scene_of_a_deleted_store(scene, backbone_folder, tmp_path, monkeypatch):
    other = Scene("small", small_cube(seed=5))
    options = {**OPTIONS, "timesteps": [0], "backbone": str(backbone_folder)}
    fork_workers(monkeypatch.setattr)
    executor = ProcessExecutor(1)
    try:
        for number, (image, seed) in enumerate([(scene, 3), (other, 3), (other, 4)]):
            shutil.rmtree(tmp_path / "s.zarr", ignore_errors=True)
            shared = hsifeat.extract(image, **{**options, "seed": seed}, executor=executor, out=tmp_path / "s.zarr")
            alone = hsifeat.extract(image, **{**options, "seed": seed}, out=tmp_path / f"{number}.zarr")
            for plane in alone.planes:
                np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])
    finally:
        executor.kill()


def test_workers_load_the_weights_and_this_process_does_not(scene, backbone_folder, tmp_path, monkeypatch):
    loaded, load = [], UNet2DBackbone.to
    here, load_here = [], RecalledBackbone.to
    monkeypatch.setattr(UNet2DBackbone, "to", lambda self, device: (loaded.append(self), load(self, device))[1])
    monkeypatch.setattr(RecalledBackbone, "to", lambda self, device: (here.append(self), load_here(self, device))[1])
    options = {**OPTIONS, "timesteps": [0], "backbone": str(backbone_folder), "out": tmp_path / "s.zarr"}
    job = prepare(scene, **options)
    run(job, executor=InThisProcess())
    assert loaded and not here
    assert unit_task._open_backbone.cache_info().currsize == 0
    assert unit_task._open_worker_store.cache_info().currsize == 0
    shutil.rmtree(tmp_path / "s.zarr")
    loaded.clear()
    run(job, executor=InlineExecutor())
    assert set(here) == {job.extractor.backbone} and len(set(loaded)) == 1


def test_a_worker_that_can_not_load_the_weights_fails_before_anything_is_written(scene, backbone_folder, tmp_path):
    shutil.copytree(backbone_folder, tmp_path / "backbone")
    job = prepare(scene, backbone=tmp_path / "backbone", **OPTIONS, out=tmp_path / "s.zarr")
    shutil.rmtree(tmp_path / "backbone")
    with pytest.raises(HsifeatError, match="no such file or folder"):
        run(job, executor=InThisProcess())
    assert not (tmp_path / "s.zarr").exists()


def test_a_task_is_small_and_refused_where_a_worker_can_not_open_what_it_needs(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, **OPTIONS, out=tmp_path / "s.zarr")
    task = UnitTask(StoreBuilder.from_job(job, BackboneBuilder.from_job(job), "token"), (0, 0), (0, 300))
    assert len(pickle.dumps(task)) < 1500 and pickle.loads(pickle.dumps(task)) == task  # noqa: S301  # our own bytes
    opened = prepare(scene, backbone=open_backbone(backbone_folder), **OPTIONS)
    with pytest.raises(HsifeatError, match="name it by a path or a name"):
        BackboneBuilder.from_job(opened)
    image = Scene("both", small_cube(rows=20, cols=20), companion=np.zeros((40, 40, 3), np.uint8))
    from_companion = prepare(
        image, backbone=backbone_folder, timesteps=[0], layers=["up_blocks.2"], tile=32, halo=8, companion=True
    )
    with pytest.raises(HsifeatError, match="does not hold the companion image"):
        BackboneBuilder.from_job(from_companion)
    assert not (tmp_path / "s.zarr").exists() and Store.find(tmp_path / "s.zarr") is None


class Recorded(InThisProcess):
    """Keeps the tasks, and calls a function before the first one."""

    def __init__(self, before=lambda: None, ahead=1):
        super().__init__(ahead=ahead)
        self.tasks, self.before_tasks = [], before

    def run(self, function, tasks, *, failed=None):
        self.tasks, self.results = list(tasks), []
        self.before_tasks()
        for result in super().run(function, self.tasks):
            self.results.append(result)
            yield result


def test_a_task_that_runs_twice_computes_once_and_a_late_worker_may_not_write(
    scene, backbone_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("hsifeat.extraction.tiling.scene_tiling.UNIT_PX", 32)
    job = prepare(scene, backbone=backbone_folder, **OPTIONS, out=tmp_path / "s.zarr")
    twice = Recorded(lambda: [results.append(compute_unit(task)) for task in twice.tasks[:2]])
    results = []
    store = run(job, executor=twice)
    assert [result.steps for result in results] == [2, 2] and len(twice.tasks) == len(store.units)
    assert [result.steps for _, result in twice.results] == [0, 0, *[2] * (len(store.units) - 2)]
    plane = store.planes[0].id
    values, record = store.plane(plane)[:], next((tmp_path / "s.zarr" / "progress").rglob("c/0/0/0"))
    assert not (tmp_path / "s.zarr" / "writer.token").exists()
    # The run is over, so what is left of it can't write, even a unit that is missing.
    record.unlink()
    with pytest.raises(HsifeatError, match="no longer writes to .*: nothing was written"):
        compute_unit(twice.tasks[0])
    assert not record.exists()
    np.testing.assert_array_equal(Store.open(tmp_path / "s.zarr").plane(plane)[:], values)


def test_a_slow_worker_writes_the_same_bytes_over_a_unit_that_another_worker_has_finished(
    scene, backbone_folder, tmp_path, monkeypatch
):
    job = prepare(scene, backbone=backbone_folder, **OPTIONS, out=tmp_path / "s.zarr")
    check, finished, results = write_token.check, {}, []

    def unit_files():
        folders = [tmp_path / "s.zarr" / name for name in ("planes", "progress")]
        return {p: p.read_bytes() for folder in folders for p in folder.rglob("c/**/*") if p.is_file()}

    def overtaken(location, token):
        # The slow worker has computed a step. Before it writes, another worker computes and records the whole unit.
        monkeypatch.setattr(write_token, "check", check)
        (task,) = pool.tasks
        results.append(unit_task._WorkerStore(task.store).compute(task))
        finished.update(unit_files())
        check(location, token)

    pool = Recorded(lambda: monkeypatch.setattr(write_token, "check", overtaken))
    store = run(job, executor=pool)
    planes = len(store.planes)
    assert [result.steps for result in results] == [2]
    assert sum("progress" in path.parts for path in finished) == planes, "the other worker had finished the unit"
    assert unit_files() == finished
    assert not verify(store.location).damages


@pytest.mark.parametrize(("noise", "tasks"), [("field", [(100,), (300,)]), ("inversion:10", [(100, 300)])])
def test_with_more_workers_than_units_timesteps_are_tasks_unless_they_share_passes(
    scene, backbone_folder, tmp_path, noise, tasks
):
    options = {**OPTIONS, "timesteps": [100, 300], "noise": noise, "backbone": str(backbone_folder)}
    alone = hsifeat.extract(scene, **options, out=tmp_path / "alone.zarr")
    pool, done = Recorded(ahead=2), []
    # The last task first: a worker may finish the later timestep before the earlier one.
    pool.before_tasks = lambda: pool.tasks.reverse()
    listen = lambda event: done.append(event.done) if isinstance(event, Advanced) else None  # noqa: E731
    shared = hsifeat.extract(scene, **options, executor=pool, listen=listen, out=tmp_path / "shared.zarr")
    assert len(alone.units) == 1 and [task.timesteps for task in reversed(pool.tasks)] == tasks
    assert len(done) == len(tasks) and sorted(set(done)) == done
    for plane in alone.planes:
        np.testing.assert_array_equal(shared.plane(plane.id)[:], alone.plane(plane.id)[:])


def test_a_worker_that_can_not_see_the_store_says_so(scene, backbone_folder, tmp_path):
    job = prepare(scene, backbone=backbone_folder, **OPTIONS, out=tmp_path / "s.zarr")
    hidden = Recorded(lambda: (tmp_path / "s.zarr").rename(tmp_path / "elsewhere.zarr"))
    with pytest.raises(
        HsifeatError, match=r"s\.zarr can't be seen here: stores must be in a folder or an object store"
    ):
        run(job, executor=hidden)
