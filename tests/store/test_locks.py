"""Locks against other processes, which hold them, die and release them. The operating system is the oracle."""

import fcntl
import gc
import hashlib
import multiprocessing
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import hsifeat
from hsifeat.cache.gc import remove_store
from hsifeat.errors import StoreError
from hsifeat.features.features import open_features
from hsifeat.files import cache_folder
from hsifeat.store.location import as_location
from hsifeat.store.locks import exclusive_lock, is_being_written, write_lock

WRITER = """
import sys
from hsifeat.store.locks import write_lock
from hsifeat.store.location import as_location
with write_lock(as_location(sys.argv[1]), lambda: print("waits", flush=True)):
    print("holds", flush=True)
    sys.stdin.readline()
"""
READER = """
import sys, hsifeat
features = hsifeat.open_features(sys.argv[1])
print("holds", flush=True)
sys.stdin.readline()
"""
READER_WITH_A_CHILD = """
import os, sys, hsifeat
features = hsifeat.open_features(sys.argv[1])
child = os.fork()
if child == 0:
    del features
    os._exit(0)
os.waitpid(child, 0)
print("holds", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another(code, path):
    """Run a process that says what it does, a line each, and goes on when it is given one."""
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process):
    return process.stdout.readline().strip()


def killed(process):
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def marks():
    return sorted((cache_folder() / "locks").glob("*.read-*.lock"))


def is_locked(file):
    """Ask the operating system, without our own code."""
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


@pytest.fixture
def store(store_path, tmp_path):
    return Path(shutil.copytree(store_path, tmp_path / "s.zarr"))


def test_one_process_writes_at_a_time(store):
    location = as_location(store)
    assert not is_being_written(location)
    with another(WRITER, store) as first:
        assert told(first) == "holds"
        assert is_being_written(location)
        with another(WRITER, store) as second:
            assert told(second) == "waits"
            print("go on", file=first.stdin, flush=True)
            assert told(second) == "holds"
            assert is_being_written(location)
            print("go on", file=second.stdin, flush=True)
            assert second.wait() == 0
    assert not is_being_written(location)


def test_a_killed_writer_is_taken_over(store):
    with another(WRITER, store) as first, another(WRITER, store) as second:
        told_first = told(first)
        # Whichever started sooner holds; kill the holder, whoever it is.
        holder, other = (first, second) if told_first == "holds" else (second, first)
        assert {told_first, told(second)} == {"holds", "waits"}
        killed(holder)
        assert told(other) == "holds"


def test_a_store_by_another_name_is_the_same(store, tmp_path):
    link = tmp_path / "link.zarr"
    link.symlink_to(store)
    with another(WRITER, link) as process:
        assert told(process) == "holds"
        assert is_being_written(as_location(store))
        assert not is_being_written(as_location(tmp_path / "other.zarr"))


def test_nobody_is_alone_with_a_writer(store):
    with another(WRITER, store) as process:
        assert told(process) == "holds"
        with pytest.raises(StoreError, match="s.zarr is in use: another process is writing to it"):
            exclusive_lock(as_location(store)).__enter__()
        killed(process)
    with exclusive_lock(as_location(store)):
        pass


def test_nobody_is_alone_with_a_reader(store):
    location = as_location(store)
    with another(READER, store) as process:
        assert told(process) == "holds"
        (mark,) = marks()
        assert is_locked(mark)
        with pytest.raises(StoreError, match="s.zarr is in use: a process reads it"):
            exclusive_lock(location).__enter__()
        with exclusive_lock(as_location(store.with_name("other.zarr"))):
            pass
        killed(process)
    assert marks() == [mark], "a killed process takes nothing off"
    with exclusive_lock(location):
        assert marks() == [], "what it left is swept away"


def test_a_reader_that_ends_takes_its_mark_off(store):
    with another(READER, store) as process:
        assert told(process) == "holds"
        print("go on", file=process.stdin, flush=True)
        assert process.wait() == 0
    assert marks() == []


def test_a_reader_that_is_gone_takes_its_mark_off(store):
    first, second = hsifeat.open_features(store), hsifeat.open_features(store)
    assert len(marks()) == 2 and all(map(is_locked, marks()))
    del first
    gc.collect()
    assert len(marks()) == 1
    with pytest.raises(StoreError, match="a process reads it"):
        exclusive_lock(as_location(store)).__enter__()
    del second
    gc.collect()
    with exclusive_lock(as_location(store)):
        assert marks() == []


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_child_takes_no_mark_of_its_parent_off(store):
    """A worker that was forked drops its copy of the features; the parent reads on."""
    with another(READER_WITH_A_CHILD, store) as process:
        assert told(process) == "holds"
        assert [is_locked(mark) for mark in marks()] == [True]
        with pytest.raises(StoreError, match="a process reads it"):
            exclusive_lock(as_location(store)).__enter__()


def test_nobody_begins_to_read_while_a_store_is_deleted(store):
    with ExitStack() as stack:
        with exclusive_lock(as_location(store)):
            process = stack.enter_context(another(READER, store))
            shutil.rmtree(store)
        assert told(process) == "", "it waited, or came later: either way it finds nothing"
        assert process.wait() == 1


def test_the_lock_of_a_folder_lies_beside_it_whatever_cache_its_user_has(store, tmp_path, monkeypatch):
    with write_lock(as_location(store), lambda: None):
        assert is_locked(tmp_path / ".s.zarr.lock")
        monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "another"))
        assert is_being_written(as_location(store))
    assert not is_being_written(as_location(store))
    assert not is_being_written(as_location(tmp_path / "none.zarr")) and not (tmp_path / ".none.zarr.lock").exists()


def test_the_lock_of_an_object_store_lies_in_the_cache_folder(tmp_path):
    location = as_location("s3://bucket/a.zarr")
    with write_lock(location, lambda: None):
        digest = hashlib.sha256(b"s3://bucket/a.zarr").hexdigest()[:16]
        assert is_locked(tmp_path / "cache" / "locks" / f"{digest}.write.lock")


def test_a_lazy_view_keeps_its_store_from_being_deleted(store):
    lazy = open_features(store).to_xarray()
    gc.collect()
    with pytest.raises(StoreError, match="is in use"):
        remove_store(as_location(store))
    assert lazy["spectra"][3, 3].values.any()
    del lazy
    gc.collect()
    remove_store(as_location(store))


def test_a_store_with_foreign_files_is_not_deleted(store):
    (store / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"files that hsifeat did not write, such as thesis\.txt"):
        remove_store(as_location(store))
    assert (store / "thesis.txt").exists() and (store / "zarr.json").exists()
