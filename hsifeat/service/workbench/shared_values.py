"""Cache of values that several threads use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SharedValues(Generic[Key, Value]):
    """Thread-safe cache of values by key. If the cache is full, the least recently used values are dropped.

    If several threads need the same missing value, one thread computes the value, and the others wait for it.

    Parameters
    ----------
    max_size : float
        Maximum sum of the sizes of all values. The value that was used last is always kept, even if its size exceeds
        `max_size`.
    size : callable
        Takes a value, and returns its size. [default: 1 for each value]
    """

    def __init__(self, max_size: float, size: Callable[[Value], float] = lambda _: 1) -> None:
        self._max_size, self._size = max_size, size
        self._futures: OrderedDict[Key, Future[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, compute: Callable[[], Value]) -> Value:
        """Return the value of a key.

        Parameters
        ----------
        key : hashable
            Key of the value.
        compute : callable
            Function that computes the value. It is called if the cache has no value for `key`. If it raises an error, all
            threads that wait for the value raise this error, and the next call of `get` computes the value again.
        """
        with self._lock:
            future = self._futures.get(key)
            is_new = future is None
            if future is None:
                future = self._futures[key] = Future()
            self._futures.move_to_end(key)
        if is_new:
            try:
                future.set_result(compute())
            except BaseException as error:
                with self._lock:
                    del self._futures[key]
                future.set_exception(error)
                raise
            with self._lock:
                self._drop_unused()
        return future.result()

    def __contains__(self, key: Key) -> bool:
        """Return whether the cache has the value of a key. A value that is being computed does not count."""
        with self._lock:
            future = self._futures.get(key)
        return future is not None and future.done() and future.exception() is None

    def _drop_unused(self) -> None:
        sizes = {key: self._size(future.result()) for key, future in self._futures.items() if future.done()}
        total = sum(sizes.values())
        for key in list(sizes)[:-1]:
            if total <= self._max_size:
                return
            total -= sizes[key]
            del self._futures[key]
