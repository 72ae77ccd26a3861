"""Functions that run in threads at the same time, points where the threads wait for one another, and what they wait for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any

from hsifeat.backbones import exclusive


def run_together(*functions: Callable[[], Any]) -> list[Any]:
    """Call each function in a thread of its own, and return the results in the order of the functions."""
    with ThreadPoolExecutor(len(functions)) as pool:
        futures = [pool.submit(function) for function in functions]
    return [future.result() for future in futures]


class Meeting:
    """A point that threads leave together. If they do not all arrive within 0.1 s, nobody waits there any more."""

    def __init__(self, threads: int = 2) -> None:
        self._barrier = Barrier(threads, timeout=0.1)

    def wait(self, *_arguments: Any) -> bool:
        """Wait for the other threads. Return whether all of them arrived."""
        try:
            self._barrier.wait()
        except BrokenBarrierError:
            return False
        return True


def in_use(backbone: object) -> bool:
    """Return whether other threads have to wait in `exclusive_use`."""
    lock = exclusive._locks.get(id(backbone))
    return lock is not None and not run_together(lambda: lock.acquire(blocking=False) and not lock.release())[0]
