"""The executor of a command, from the option ``--dask``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsifeat.runtime.events import Listener
    from hsifeat.runtime.executor import Executor


@contextmanager
def open_executor(dask: str | None, listen: Listener) -> Iterator[Executor | None]:
    """Yield the executor for `dask`, the value of ``--dask``. Yield None if the option is not set."""
    if dask is None:
        yield None
        return
    import logging

    from hsifeat.runtime.dask_cluster import check_address
    from hsifeat.runtime.dask_executor import dask_executor

    check_address(dask)  # imports distributed, which sets the levels of its loggers
    # Lost connections are reported as notes.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with dask_executor(dask, listen=listen) as executor:
        yield executor
