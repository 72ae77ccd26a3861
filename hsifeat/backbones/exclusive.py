"""Locks that let one thread at a time use a backbone.

A thread that holds a lock of a backbone may take the lock of `hsifeat.torch_state`, for example to load weights. The reverse
order is not allowed: two threads could wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakValueDictionary

Value = TypeVar("Value")

# Keys are the `id` of backbones, whose classes may support neither hashes nor weak references. A lock exists while it is used.
_locks: WeakValueDictionary[int, Any] = WeakValueDictionary()
_locks_lock = Lock()


@contextmanager
def exclusive_use(backbone: object) -> Iterator[None]:
    """Run a ``with`` block while no other thread is in such a block for the same backbone.

    Threads that share a backbone share its network. For example, hooks that copy the output of a layer in one thread would
    also copy the output of a forward pass in another thread. Blocks of one thread can be nested.

    Parameters
    ----------
    backbone : object
        The backbone. Different backbones can be used at the same time.
    """
    with _locks_lock:
        lock = _locks.setdefault(id(backbone), RLock())
    with lock:
        yield


class exclusive_property(Generic[Value]):  # noqa: N801  # used like `cached_property`
    """A property of a backbone that is computed once, by one thread, during `exclusive_use`.

    In Python 3.11, `functools.cached_property` has a lock that all objects of a class share. Together with `exclusive_use`,
    it could lead to a deadlock.
    """

    def __init__(self, func: Callable[[Any], Value]) -> None:
        self.func, self.__doc__ = func, func.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Value:
        """Return the value for a backbone. Later accesses find it in the attributes of the backbone."""
        if instance is None:
            return self  # type: ignore[return-value]  # as with `cached_property`
        values = vars(instance)
        with exclusive_use(instance):
            if self._name not in values:
                values[self._name] = self.func(instance)
            value: Value = values[self._name]
            return value

    if TYPE_CHECKING:  # An assignment replaces the value.

        def __set__(self, instance: object, value: Value) -> None: ...
