"""Locks on a store: one process writes at a time, any number read, and none deletes a store in use.

Locks are those of the operating system, so that a killed process leaves none behind. The write lock of a store in a
folder is a file beside that folder, the same for every user who can write there. That of an object store, and the marks
of readers, are files in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.errors import StoreError
from hsifeat.files import cache_folder
from hsifeat.store.location import LocalLocation, Location

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Held while a reader marks a store and while a store is deleted, so that neither happens during the other.
_GATE = "gate"
_mark_numbers = count()


@contextmanager
def write_lock(location: Location, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the write lock of a store.

    Parameters
    ----------
    location : Location
        The store, which need not exist yet.
    on_wait : callable
        Called once, before waiting, if another process holds the lock.
    """
    from filelock import Timeout

    lock = _write_lock(location)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_being_written(location: Location) -> bool:
    """Tell whether a process holds the write lock of a store."""
    lock = _write_lock(location)
    return Path(lock.lock_file).exists() and not _is_free(lock)


def mark_reader(location: Location) -> Callable[[], None]:
    """Mark a store as being read, so that it is not deleted, and return a function that removes the mark.

    The marks of a process end with it.
    """
    owner = os.getpid()
    with _cache_lock(_GATE):
        mark = _cache_lock(f"{_digest(location)}.read-{owner}-{next(_mark_numbers)}")
        mark.acquire()

    def remove_mark() -> None:
        # A forked child that drops its copy must leave its parent's mark.
        if os.getpid() == owner:
            mark.release(force=True)
            Path(mark.lock_file).unlink(missing_ok=True)

    return remove_mark


@contextmanager
def exclusive_lock(location: Location) -> Iterator[None]:
    """Hold a store that no process reads or writes, in order to delete it.

    Raises
    ------
    StoreError
        The store is in use.
    """
    from filelock import Timeout

    lock = _write_lock(location)
    with _cache_lock(_GATE):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{location} is in use: another process is writing to it") from None
        try:
            for file in _lock_folder().glob(f"{_digest(location)}.read-*.lock"):
                if not _is_free(_file_lock(file)):
                    raise StoreError(f"{location} is in use: a process reads it (its mark is {file})")
                file.unlink(missing_ok=True)
            yield
        finally:
            lock.release()


def delete_remains(folder: Path) -> None:
    """Delete what interrupted deletions left of the stores of a folder."""
    # Deletions hold the gate: no process is deleting what is met here.
    with _cache_lock(_GATE):
        for remains in folder.glob(".*.removed-*"):
            shutil.rmtree(remains, ignore_errors=True)


def _is_free(lock: BaseFileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _write_lock(location: Location) -> BaseFileLock:
    if not isinstance(location, LocalLocation):
        return _cache_lock(f"{_digest(location)}.write")
    path = Path(location.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _file_lock(path.with_name(f".{path.name}.lock"))


def _cache_lock(name: str) -> BaseFileLock:
    folder = _lock_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return _file_lock(folder / f"{name}.lock")


def _file_lock(path: Path) -> BaseFileLock:
    from filelock import FileLock

    # Not bound to a thread: the garbage collector, which runs in any, may remove a mark. Open to other users.
    return FileLock(path, thread_local=False, mode=0o666)


def _lock_folder() -> Path:
    return cache_folder() / "locks"


def _digest(location: Location) -> str:
    return hashlib.sha256(location.identity.encode()).hexdigest()[:16]
