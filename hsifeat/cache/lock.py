"""The right to write to a store: one process has it at a time, and loses it when it ends, however it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hsifeat.cache.catalogue import cache_folder


@contextmanager
def writing(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the right to write to the store at a path.

    The lock is the operating system's, on a file in the cache folder: a killed holder leaves nothing behind that blocks.

    Parameters
    ----------
    path : Path
        The store, there or to be made.
    waiting : callable
        Called once if another process has the right, before waiting for it.
    """
    from filelock import FileLock, Timeout

    place = str(path.resolve())
    file = cache_folder() / "locks" / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
