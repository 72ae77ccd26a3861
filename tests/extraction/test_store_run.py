"""The run of one store: what workers read and write, and the store after an error."""

import shutil

import pytest

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.extraction.store_run import StoreRun
from hsifeat.extraction.unit_task import UnitResult
from hsifeat.runtime.events import silent
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.verify import verify
from tests.helpers.executors import InThisProcess
from tests.helpers.extraction import prepare

OPTIONS = {"timesteps": [0, 300], "tile": 32, "halo": 8}


@pytest.fixture
def options(backbone_folder, tmp_path):
    return {**OPTIONS, "backbone": str(backbone_folder), "out": tmp_path / "s.zarr"}


def test_workers_restore_a_unit_whose_record_was_lost(scene, store_path, options, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    next((tmp_path / "s.zarr" / "progress" / "t0300" / "mid_block").rglob("c/0/0/0")).unlink()
    assert verify(as_location(tmp_path / "s.zarr")).damages, "the plane was complete"
    (tmp_path / "s.zarr" / "writer.token").write_text("of-a-killed-run 0")
    store = hsifeat.extract(scene, **options, executor=InThisProcess())
    assert not verify(store.location).damages and store.has_record_checksums
    assert not (tmp_path / "s.zarr" / "writer.token").exists()
    assert [store.fingerprint(plane.id) for plane in store.planes] == [
        Store.open(store_path).fingerprint(plane.id) for plane in store.planes
    ]


def test_a_run_whose_workers_wrote_nothing_fails(scene, options):
    run = StoreRun(prepare(scene, **options), silent, executor=InThisProcess())
    with run:
        for task in run.tasks():
            run.add(task, UnitResult(2, ()))
        assert not run.units
        with pytest.raises(HsifeatError, match=r"s\.zarr still lacks 8 blocks of features: run the command again"):
            run.finish()


def test_a_complete_store_has_no_tasks_and_is_not_locked(scene, store_path, options, tmp_path):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    with StoreRun(prepare(scene, **options), silent, executor=InThisProcess()) as run:
        assert run.was_complete and list(run.tasks()) == [] and not (tmp_path / ".s.zarr.lock").exists()
        assert run.finish().key == Store.open(store_path).key
