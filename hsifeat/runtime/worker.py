"""Support for code in a worker: a cache between tasks, a check of a shared folder, and the number of threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from hsifeat.errors import HsifeatError

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
_kept: list[Any] = []


class Cached(Protocol[Result_co]):
    """A function with a cache of its last results; see `kept_in_worker`."""

    def __call__(self, *arguments: Hashable) -> Result_co:
        """Return the result for the arguments, from the cache if possible."""
        ...

    def cache_clear(self) -> None:
        """Release all cached results."""
        ...

    def cache_info(self) -> Any:
        """Return the numbers of hits, misses and cached results."""
        ...


def kept_in_worker(maxsize: int) -> Callable[[Callable[..., Result]], Cached[Result]]:
    """Return a decorator that caches the last `maxsize` results of a function until `release_worker` is called.

    Use the decorator for functions that open expensive objects, such as backbones or stores. The arguments of the function
    must be hashable.
    """

    def decorate(function: Callable[..., Result]) -> Cached[Result]:
        cached = lru_cache(maxsize=maxsize)(function)
        _kept.append(cached)
        return cast("Cached[Result]", cached)

    return decorate


def release_worker() -> None:
    """Release all results that functions decorated by `kept_in_worker` keep in this process."""
    for cached in _kept:
        cached.cache_clear()


def check_folder(path: str) -> None:
    """Raise `HsifeatError` if this worker can't see a folder."""
    if not Path(path).is_dir():
        raise HsifeatError(f"{path} can't be seen here: it must be in a folder that all workers share")


def worker_threads() -> int | None:
    """Return the number of threads of the Dask worker that runs this task, or None outside of Dask."""
    import sys

    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        return int(get_worker().state.nthreads)
    except ValueError:
        return None
