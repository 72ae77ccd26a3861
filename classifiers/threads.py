"""Limit of the threads of linear algebra libraries."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from threadpoolctl import ThreadpoolController


def one_library_thread(user_api: str | None = None) -> AbstractContextManager[object]:
    """Return a context manager that limits the loaded libraries to one thread.

    It does what `threadpoolctl.threadpool_limits` does, but libraries are looked for again only after further imports. The search takes
    longer than a small fit.

    Parameters
    ----------
    user_api : {"blas", "openmp"}, optional
        Kind of the libraries. [default: all]
    """
    limit: AbstractContextManager[object] = _controller(len(sys.modules)).limit(limits=1, user_api=user_api)
    return limit


@lru_cache(maxsize=1)
def _controller(_imported: int) -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
