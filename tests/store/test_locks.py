"""Locks against other processes, which hold them, die and release them. The operating system is the oracle."""

import fcntl
import gc
import hashlib
import multiprocessing
import os
import select
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

import hsifeat
from hsifeat.errors import StoreError
from hsifeat.features.open_features import open_features
from hsifeat.files import cache_folder
from hsifeat.store.location import as_location
from hsifeat.store.locks import delete_free_locks, delete_free_marks, exclusive_lock, is_being_written, write_lock
from tests.helpers.store_users import kill, process, read, read_after_a_child, write


def marks():
    return sorted((cache_folder() / "locks").glob("*.read-*.lock"))


def is_locked(file):
    """Ask the operating system whether a file is locked, without code of hsifeat."""
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def is_in_use(path, why):
    with pytest.raises(StoreError, match=f"is in use: {why}"):
        exclusive_lock(as_location(path)).__enter__()
    return True


@pytest.fixture
def store(store_path, tmp_path):
    return Path(shutil.copytree(store_path, tmp_path / "s.zarr"))


def test_one_process_writes_at_a_time_by_any_name_and_a_killed_one_blocks_nobody(store, tmp_path):
    location, link = as_location(store), tmp_path / "link.zarr"
    link.symlink_to(store)
    assert not is_being_written(location)
    with process(write, link) as first, process(write, store) as second, process(write, store) as third:
        writers = {first: first.hear(), second: second.hear(), third: third.hear()}
        assert sorted(writers.values()) == ["holds", "waits", "waits"]
        assert is_being_written(location) and not is_being_written(as_location(tmp_path / "other.zarr"))
        assert is_in_use(store, "another process is writing to it")
        holder = next(writer for writer, state in writers.items() if state == "holds")
        holder.go_on()
        assert holder.wait() == 0
        # One of the two others goes on; it is killed, and the last one goes on.
        del writers[holder]
        ready, _, _ = select.select([writer.said for writer in writers], [], [], 60)
        holders = [writer for writer in writers if writer.said in ready]
        assert len(holders) == 1 and holders[0].hear() == "holds"
        kill(holders[0])
        (last,) = writers.keys() - set(holders)
        assert last.hear() == "holds" and is_being_written(location)
        last.go_on()
        assert last.wait() == 0
    assert not is_being_written(location)
    with exclusive_lock(location):
        pass


def test_a_store_that_is_read_is_not_deleted_and_marks_end_with_their_process(store):
    location = as_location(store)
    with process(read, store) as killed, process(read, store) as ended:
        assert killed.hear() == ended.hear() == "holds"
        assert len(marks()) == 2 and all(map(is_locked, marks()))
        assert is_in_use(store, "a process reads it")
        with exclusive_lock(as_location(store.with_name("other.zarr"))):
            pass
        ended.go_on()
        assert ended.wait() == 0
        (mark,) = marks()
        assert is_locked(mark) and is_in_use(store, "a process reads it")
        kill(killed)
    assert marks() == [mark], "a killed process removes nothing"
    with exclusive_lock(location):
        assert marks() == [], "its mark is removed by the next deletion"


def test_marks_of_killed_readers_are_swept_and_those_of_others_stay(store):
    with process(read, store) as killed, process(read, store) as running:
        assert killed.hear() == running.hear() == "holds"
        kill(killed)
        assert len(marks()) == 2
        delete_free_marks()
        (mark,) = marks()
        assert is_locked(mark) and is_in_use(store, "a process reads it")


def test_a_reader_in_this_process_removes_its_mark_when_it_is_collected(store):
    first, second = hsifeat.open_features(store), hsifeat.open_features(store)
    assert len(marks()) == 2 and all(map(is_locked, marks()))
    del first
    gc.collect()
    assert len(marks()) == 1 and is_in_use(store, "a process reads it")
    lazy = second.to_xarray()
    del second
    gc.collect()
    assert is_in_use(store, "a process reads it"), "a lazy view reads on"
    assert lazy["spectra"][3, 3].values.any()
    del lazy
    gc.collect()
    with exclusive_lock(as_location(store)):
        assert marks() == []


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_child_leaves_the_mark_of_its_parent(store):
    """A forked worker drops its copy of the features; the parent reads on."""
    with process(read_after_a_child, store) as reader:
        assert reader.hear() == "holds"
        assert [is_locked(mark) for mark in marks()] == [True]
        assert is_in_use(store, "a process reads it")


def test_nobody_begins_to_read_while_a_store_is_deleted(store):
    with ExitStack() as stack:
        with exclusive_lock(as_location(store)):
            reader = stack.enter_context(process(read, store))
            shutil.rmtree(store)
        assert reader.hear() == "", "it waited, or came later: either way it finds nothing"
        assert reader.wait() == 1


def test_the_lock_of_a_folder_is_beside_it_and_that_of_an_object_store_in_the_cache(store, tmp_path, monkeypatch):
    digest = hashlib.sha256(b"s3://bucket/a.zarr").hexdigest()[:16]
    with write_lock(as_location("s3://bucket/a.zarr"), lambda: None):
        assert is_locked(tmp_path / "cache" / "locks" / f"{digest}.write.lock")
    with write_lock(as_location(store), lambda: None):
        assert is_locked(tmp_path / ".s.zarr.lock")
        monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "another"))
        assert is_being_written(as_location(store)), "whatever cache folder a user has"
    assert not is_being_written(as_location(store))
    assert not is_being_written(as_location(tmp_path / "none.zarr")) and not (tmp_path / ".none.zarr.lock").exists()


def test_open_features_in_a_cache_folder_that_cannot_be_written(store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "file" / "cache"))
    assert open_features(store).planes


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_place_without_lock_files_does_not_wait_for_ever():
    with pytest.raises(StoreError, match="can't be written"), write_lock(as_location("/proc/x.zarr"), pytest.fail):
        pass


def test_a_reader_with_another_cache_folder_prevents_the_deletion(store, tmp_path, monkeypatch):
    with ExitStack() as stack:
        with monkeypatch.context() as patch:
            patch.setenv("HSIFEAT_CACHE", str(tmp_path / "another cache"))
            reader = stack.enter_context(process(read, store))
        assert reader.hear() == "holds"
        assert marks() == []
        assert is_in_use(store, "a process reads it, maybe one with another cache folder")
        with process(read, store) as second:
            assert second.hear() == "holds", "readers do not exclude each other"
        reader.go_on()
        assert reader.wait() == 0
    with exclusive_lock(as_location(store)):
        assert is_locked_folder(store)
    assert not is_locked_folder(store)


def is_locked_folder(folder):
    """Ask the operating system whether a folder is locked, without code of hsifeat."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(opened)
    return False


def test_locks_of_deleted_stores_are_swept_unless_they_are_held(tmp_path):
    for name in ("gone", "held", "there"):
        (tmp_path / f".{name}.zarr.lock").touch()
    (tmp_path / "there.zarr").mkdir()
    (tmp_path / ".poetry.lock").touch()
    with (tmp_path / ".held.zarr.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        delete_free_locks(tmp_path)
    assert sorted(p.name for p in tmp_path.glob(".*.lock")) == [".held.zarr.lock", ".poetry.lock", ".there.zarr.lock"]
