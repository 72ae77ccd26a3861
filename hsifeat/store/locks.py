"""Locks on a store: at most one writer, beside any number of readers, and no deletion of a store in use.

The operating system releases the locks of a process that ends or is killed.

The write lock of a local store is a lock on a file next to the store's folder. The write lock of an object store is a lock
on a file in the cache folder. Processes with another cache folder do not see this lock.

A reader marks a store by a locked file in the cache folder. If the store is local, the reader also holds a shared lock on
the folder of the store. Processes with another cache folder see the shared lock, but not the mark.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from hsifeat.errors import StoreError
from hsifeat.files import cache_folder, disk_errors
from hsifeat.store.location import LocalLocation, Location

if TYPE_CHECKING:
    from filelock import BaseFileLock

# Name of a lock that is held while a reader is marked and while a store is deleted, so that these two can't overlap.
_GATE = "gate"
_IN_USE = -1
_mark_numbers = count()


@contextmanager
def write_lock(location: Location, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the write lock of a store for a ``with`` block.

    Parameters
    ----------
    location : Location
        Location of the store. The store need not exist.
    on_wait : callable
        Function without arguments. If another process holds the lock, the function is called once before waiting.

    Raises
    ------
    StoreError
        If the lock file can't be created.
    """
    from filelock import Timeout

    place = Path(location.identity) if isinstance(location, LocalLocation) else _lock_folder()
    with disk_errors(place):
        lock = _write_lock(location)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            # Without a lock file, no process holds the lock, and waiting for it would never end.
            if not Path(lock.lock_file).exists():
                raise StoreError(
                    f"{place} can't be written: no lock file can be created there; name another place"
                ) from None
            on_wait()
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_being_written(location: Location) -> bool:
    """Return whether a process holds the write lock of a store."""
    lock = _write_lock(location)
    return Path(lock.lock_file).exists() and not _is_free(lock)


def mark_reader(location: Location) -> Callable[[], None]:
    """Mark a store as being read, and return a function that removes the mark.

    Other processes can't delete a marked store. The marks of a process end with the process.
    """
    owner = os.getpid()
    with _cache_lock(_GATE):
        mark = _cache_lock(f"{_digest(location)}.read-{owner}-{next(_mark_numbers)}")
        mark.acquire()
        folder = _lock_store(location, shared=True)

    def remove_mark() -> None:
        # A forked process inherits this function, but must not remove the mark of its parent.
        if os.getpid() == owner:
            _unlock_store(folder)
            mark.release(force=True)
            Path(mark.lock_file).unlink(missing_ok=True)

    return remove_mark


@contextmanager
def exclusive_lock(location: Location) -> Iterator[None]:
    """Lock a store against readers and writers for a ``with`` block, in order to delete the store.

    Raises
    ------
    StoreError
        If another process reads or writes the store.
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
            if (folder := _lock_store(location, shared=False)) == _IN_USE:
                raise StoreError(f"{location} is in use: a process reads it, maybe one with another cache folder")
            try:
                yield
                Path(lock.lock_file).unlink(missing_ok=True)
            finally:
                _unlock_store(folder)
        finally:
            lock.release()


def delete_free_marks() -> None:
    """Delete the marks of readers whose processes no longer run."""
    if not any(_lock_folder().glob("*.read-*.lock")):
        return
    with _cache_lock(_GATE):
        for file in _lock_folder().glob("*.read-*.lock"):
            if _is_free(_file_lock(file)):
                file.unlink(missing_ok=True)


def delete_free_locks(folder: Path) -> None:
    """Delete the lock files in `folder` whose stores were deleted. Lock files that a process has locked are kept."""
    from filelock import Timeout

    for file in folder.glob(".*.zarr.lock"):
        store = folder / file.name.removeprefix(".").removesuffix(".lock")
        if store.exists() or file.stat().st_size:
            continue
        lock = _file_lock(file)
        with suppress(OSError, Timeout):
            lock.acquire(timeout=0)
            try:
                if not store.exists():
                    file.unlink(missing_ok=True)
            finally:
                lock.release()


def _lock_store(location: Location, *, shared: bool) -> int | None:
    """Lock the folder of a local store. Processes with another cache folder see this lock as well.

    Returns
    -------
    int or None
        Descriptor of the locked folder, or `_IN_USE` if another process holds a conflicting lock. None if the store is not
        local or does not exist, or if the system can't lock folders.
    """
    try:
        import fcntl
    except ImportError:
        return None
    if not isinstance(location, LocalLocation):
        return None
    try:
        folder = os.open(location.identity, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(folder, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(folder)
        return _IN_USE if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return folder


def _unlock_store(folder: int | None) -> None:
    """Release the lock that `_lock_store` took. Processes forked from this process lose the lock too."""
    if folder is not None and folder != _IN_USE:
        import fcntl

        fcntl.flock(folder, fcntl.LOCK_UN)
        os.close(folder)


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

    # The garbage collector may remove a mark from any thread. Other users need write access to share a lock.
    return FileLock(path, thread_local=False, mode=0o666)


def _lock_folder() -> Path:
    return cache_folder() / "locks"


def _digest(location: Location) -> str:
    return hashlib.sha256(location.identity.encode(errors="surrogateescape")).hexdigest()[:16]
