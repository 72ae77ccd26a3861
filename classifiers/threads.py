"""Limit the number of threads that libraries for linear algebra use."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from threadpoolctl import LibController

_lock = threading.Lock()
# BLAS libraries have one number of threads for the process: blocks that are open now, and the numbers before the first of them.
_open_blocks = 0
_limited: dict[str, tuple[LibController, int]] = {}


@contextmanager
def one_library_thread(user_api: Literal["blas"] | None = None) -> Iterator[None]:
    """Limit the loaded BLAS and OpenMP libraries to one thread, for a ``with`` block.

    This context manager differs from `threadpoolctl.threadpool_limits` in two ways. It repeats the search for loaded
    libraries only if modules were imported since the last search, because a search takes longer than a small fit. The
    ``with`` blocks of several threads may overlap: BLAS libraries stay limited until the last block ends, and OpenMP
    libraries are limited only in the threads that are in a block.

    Parameters
    ----------
    user_api : {"blas"}, optional
        Kind of the libraries. [default: BLAS and OpenMP]
    """
    libraries = [library for library in _libraries(len(sys.modules)) if user_api in (None, library.user_api)]
    own = [(library, library.num_threads) for library in libraries if _is_per_thread(library)]
    for library, _ in own:
        library.set_num_threads(1)
    _limit([library for library in libraries if not _is_per_thread(library)])
    try:
        yield
    finally:
        _restore()
        for library, count in own:
            library.set_num_threads(count)


def _is_per_thread(library: LibController) -> bool:
    """Return whether each thread that calls a library has its own number of threads, as with OpenMP."""
    return "openmp" in (library.user_api, getattr(library, "threading_layer", ""))


def _limit(libraries: list[LibController]) -> None:
    global _open_blocks  # noqa: PLW0603  # the libraries are global, too
    with _lock:
        _open_blocks += 1
        for library in libraries:
            if library.filepath not in _limited:
                _limited[library.filepath] = library, library.num_threads
                _release_control(library)
                library.set_num_threads(1)


def _restore() -> None:
    global _open_blocks  # noqa: PLW0603  # the libraries are global, too
    with _lock:
        _open_blocks -= 1
        if not _open_blocks:
            for library, count in _limited.values():
                _release_control(library)
                library.set_num_threads(count)
                _release_control(library)
            _limited.clear()


def _release_control(library: LibController) -> None:
    """Allow any thread to set the number of threads of OpenBLAS. threadpoolctl ignores all threads except the first thread."""
    if (clear := getattr(library, "clear_controlling_thread", None)) is not None:
        clear(force=True)


@lru_cache(maxsize=1)
def _libraries(_imported: int) -> list[LibController]:
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().lib_controllers)
