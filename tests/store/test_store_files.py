"""Files of a store: anything else at a location is refused, and a lost root is read from its copy."""

import gc
import json
import shutil
import threading
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from zarr.core import sync

from hsifeat.errors import HsifeatError, OutOfMemoryError, StoreError
from hsifeat.store.location import as_location
from hsifeat.store.store import Store
from hsifeat.store.store_files import StoreFiles, holds_store
from tests.helpers.fuzz_subjects import read_store, repair_store, reseal_store, verify_store
from tests.helpers.small_stores import LAYOUTS, manifest_of


def test_a_place_that_holds_something_else_is_refused(arrays, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file is a file: name another place"):
        Store.find(tmp_path / "file")
    with pytest.raises(StoreError, match="is a file, not a store"):
        Store.open(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("")
    with pytest.raises(StoreError, match="is neither a store nor empty"):
        Store.find(tmp_path / "folder")
    Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), arrays)
    (tmp_path / "s.zarr" / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"zarr\.json is missing: hsifeat cache verify .* --repair restores it"):
        Store.find(tmp_path / "s.zarr")
    assert Store.open(tmp_path / "s.zarr").planes == [], "its copy is read"


def test_a_store_that_another_process_creates_meanwhile_is_found(arrays, tmp_path, monkeypatch):
    location = as_location(tmp_path / "s.zarr")
    list_keys = location.list_keys

    def list_late(count):
        if not location.path.exists():
            Store.create(tmp_path / "s.zarr", manifest_of(LAYOUTS["scene"]), arrays)
        return list_keys(count)

    monkeypatch.setattr(location, "list_keys", list_late)
    assert holds_store(location)


def test_a_view_lists_only_some_of_the_files(small_store):
    files = StoreFiles(small_store.location)
    view = files.with_checksums({})
    assert files.has_array("scene/cube") and not view.has_array("scene/cube")
    np.testing.assert_array_equal(view.array("scene/valid")[:], True)
    assert holds_store(small_store.location)


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 9 GiB"), RuntimeError("can't start new thread")])
def test_a_lack_of_memory_is_not_told_as_damage(features, monkeypatch, error):
    def fail(*_):
        raise error

    lazy = features.to_dask("t0/mid_block")
    monkeypatch.setattr("zarr.Array.__getitem__", fail)
    for read in (
        lambda: features.sample([1], [1], ["t0/mid_block"]),
        lambda: features.spectra([1], [1]),
        lambda: lazy.compute(scheduler="sync"),
        lambda: features.store.label_classes("fields"),
    ):
        with pytest.raises(OutOfMemoryError, match=r"memory ran out \(.*\): use fewer `jobs`"):
            read()


def test_a_thread_that_could_not_start_is_never_waited_for(store_path, monkeypatch):
    monkeypatch.setattr(sync, "loop", [None])
    monkeypatch.setattr(sync, "iothread", [None])
    for error in (RuntimeError("can't start new thread"), MemoryError()):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", Mock(side_effect=error))
            for _ in range(2):  # Zarr alone waits for ever the second time.
                with pytest.raises(OutOfMemoryError, match="memory ran out"):
                    StoreFiles(as_location(store_path))
    assert StoreFiles(as_location(store_path)).has_array("scene/cube")
    sync.cleanup_resources()


@pytest.fixture
def uncollected():
    """No garbage of earlier tests is collected, because finalisers fail where the recursion of a parser ends."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("content", [b"", b"{", b"\xa0", b"[" * 9999, b'{"zarr_format": 3}', b'{"a": 1}'], ids=range(6))
@pytest.mark.parametrize("key", ["scene/valid/zarr.json", "planes/t0000/mid_block/zarr.json"])
def test_hostile_metadata_with_a_right_checksum_are_one_error(store_path, tmp_path, key, content):
    path = Path(shutil.copytree(store_path, tmp_path / "s.zarr"))
    (path / key).write_bytes(content)
    reseal_store(path)
    with pytest.raises(StoreError) as refused:
        read_store(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "use", [read_store, verify_store, repair_store("no-backbone")], ids=["read", "verify", "repair"]
)
@pytest.mark.parametrize(
    "key", ["scene/cube", "progress/t0000/mid_block", "planes/t0000/mid_block", "scene/labels/fields"]
)
def test_metadata_of_another_array_with_a_right_checksum_are_one_error(store_path, tmp_path, key, use):
    path = Path(shutil.copytree(store_path, tmp_path / "s.zarr"))
    shutil.copy(path / "scene/projection/offset/zarr.json", path / key / "zarr.json")
    reseal_store(path)
    try:
        use(path)
    except HsifeatError as error:
        assert "\n" not in str(error)
    else:
        assert key.startswith("progress") and use is read_store, "which reads no records of complete planes"


@pytest.mark.parametrize("attributes", [2, [1], "x", None])
@pytest.mark.parametrize("key", ["", "planes/t0000/mid_block", "scene/labels/fields", "progress/t0000/mid_block"])
def test_attributes_that_are_no_object_are_one_error_or_none(store_path, tmp_path, key, attributes):
    path = Path(shutil.copytree(store_path, tmp_path / "s.zarr"))
    metadata = json.loads((path / key / "zarr.json").read_bytes())
    (path / key / "zarr.json").write_text(json.dumps(metadata | {"attributes": attributes}))
    shutil.copy(path / "zarr.json", path / "zarr.copy.json")
    reseal_store(path)
    for use in (read_store, verify_store):
        try:
            use(path)
        except HsifeatError as error:
            assert "\n" not in str(error)
        else:
            assert attributes is None or key.startswith("progress"), "which has no attributes"
