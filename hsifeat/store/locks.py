"""Who uses a store: one process writes to it at a time, any number read, and nobody deletes what is in use.

The locks are the operating system's: a killed holder leaves nothing behind that blocks. The right to write to a store in
a folder is a lock beside that folder, the same for everyone who can write there; that of an object store, and the marks
of readers, lie in the user's cache folder.
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

_numbers = count()


@contextmanager
def writing(location: Location, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the right to write to a store.

    Parameters
    ----------
    place : Place
        The store, there or to be made.
    waiting : callable
        Called once if another process has the right, before waiting for it.
    """
    from filelock import Timeout

    lock = _lock(location, "write")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_written(location: Location) -> bool:
    """Tell whether some process is writing to a store just now."""
    lock = _lock(location, "write")
    return Path(lock.lock_file).exists() and not _is_free(lock)


def hold_for_reading(location: Location) -> Callable[[], None]:
    """Mark a store as being read, so that nobody deletes it; return what takes the mark off.

    A process that ends loses its marks.
    """
    owner = os.getpid()
    with _lock_at("gate"):
        mark = _lock(location, f"read-{owner}-{next(_numbers)}")
        mark.acquire()

    def release() -> None:
        # A forked child that drops its copy leaves its parent's mark alone.
        if os.getpid() == owner:
            mark.release(force=True)
            Path(mark.lock_file).unlink(missing_ok=True)

    return release


@contextmanager
def alone(location: Location) -> Iterator[None]:
    """Hold a store that nobody reads or writes, for as long as it takes to delete it.

    Raises
    ------
    StoreError
        Somebody uses it.
    """
    from filelock import Timeout

    write = _lock(location, "write")
    with _lock_at("gate"):
        try:
            write.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{location} is in use: another process is writing to it") from None
        try:
            for file in _folder().glob(f"{_stem(location)}.read-*.lock"):
                if not _is_free(_file_lock(file)):
                    raise StoreError(f"{location} is in use: a process reads it (its mark is {file})")
                file.unlink(missing_ok=True)
            yield
        finally:
            write.release()


def sweep(folder: Path) -> None:
    """Delete what killed deletions left of stores in a folder."""
    # Deletions hold the gate, so what is found here is not being deleted by anyone else.
    with _lock_at("gate"):
        for left in folder.glob(".*.removed-*"):
            shutil.rmtree(left, ignore_errors=True)


def _is_free(lock: BaseFileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _lock(location: Location, role: str) -> BaseFileLock:
    if role == "write" and isinstance(location, LocalLocation):
        path = Path(location.identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        return _file_lock(path.with_name(f".{path.name}.lock"))
    return _lock_at(f"{_stem(location)}.{role}")


def _lock_at(name: str) -> BaseFileLock:
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    return _file_lock(folder / f"{name}.lock")


def _file_lock(path: Path) -> BaseFileLock:
    from filelock import FileLock

    # Not bound to a thread: a mark may be taken off by the garbage collector, wherever that runs. Open to other users.
    return FileLock(path, thread_local=False, mode=0o666)


def _folder() -> Path:
    return cache_folder() / "locks"


def _stem(location: Location) -> str:
    return hashlib.sha256(location.identity.encode()).hexdigest()[:16]
