"""Addresses of Dask clusters, and a cluster on this machine."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

from hsifeat.errors import HsifeatError, error_summary
from hsifeat.runtime.processes import SCRIPT_ADVICE, end_imported_script

if TYPE_CHECKING:
    from distributed.security import Security

_LOCAL = re.compile(r"local:([1-9][0-9]{0,3})")
_SCHEDULER = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}")
# By default, a worker samples the call stack of its task 100 times per second, and its memory 10 times per second. With a
# network, whose call stack is deep, this takes about a tenth of the processor time. Each worker and the scheduler check their
# event loops 50 times per second, which takes 2 % of a core each.
_FEW_MEASUREMENTS = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
}


def check_address(address: str) -> str:
    """Check that a cluster address is well formed, and that Dask is installed. Return the address.

    Raises
    ------
    HsifeatError
        If the address is not ``tcp://HOST:PORT``, ``tls://HOST:PORT`` or ``local:N``. If the package ``distributed`` is not
        installed.

    Examples
    --------
    >>> check_address("tcp://10.0.0.1:8786")
    'tcp://10.0.0.1:8786'
    >>> check_address("local")
    Traceback (most recent call last):
    hsifeat.errors.HsifeatError: a Dask cluster is tcp://HOST:PORT, tls://HOST:PORT or local:N; found 'local'
    """
    if not isinstance(address, str) or not (_LOCAL.fullmatch(address) or _SCHEDULER.fullmatch(address)):
        raise HsifeatError(f"a Dask cluster is tcp://HOST:PORT, tls://HOST:PORT or local:N; found {address!r}")
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "distributed":
            raise HsifeatError("Dask's scheduler is not installed: pip install 'hsifeat[dask]'") from error
        raise HsifeatError(
            f"Dask's scheduler can't be imported: {error_summary(error)}: install distributed again"
        ) from error
    return address


@contextmanager
def open_cluster(address: str) -> Iterator[tuple[str, Security | None]]:
    """Open a cluster for a ``with`` block. Yield the address of its scheduler, and the certificates for the connection.

    ``local:N`` starts N workers for the block. Connections to these workers need a temporary certificate, so that other
    users of the machine can't send tasks to them. For all other addresses, None is yielded instead of certificates.

    Raises
    ------
    HsifeatError
        If the address is malformed, or Dask is not installed; see `check_address`. If the workers do not start.
    """
    local = _LOCAL.fullmatch(check_address(address))
    if local is None:
        yield address, None
        return
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    end_imported_script()
    security = Security.temporary()
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_FEW_MEASUREMENTS))
        with _delayed_interrupts(), _start_errors():
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=int(local[1]),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    protocol="tls://",
                    security=security,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            )
        yield cluster.scheduler_address, security


@contextmanager
def _start_errors() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, OSError) as error:
        advice = "" if isinstance(error, OSError) else f": start fewer workers; {SCRIPT_ADVICE}"
        raise HsifeatError(f"the workers on this machine did not start: {error_summary(error)}{advice}") from error


@contextmanager
def _delayed_interrupts() -> Iterator[None]:
    """Delay Ctrl-C to the end of the ``with`` block. Processes that are started in the block never receive it.

    Ctrl-C reaches every process of a terminal. A worker that starts would print a traceback, and so would the exit handler of
    a cluster that has half started.
    """
    handler = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or handler is None or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The first new process also starts the resource tracker of `multiprocessing`, which clears the mask. If it runs already, the mask stays.
    resource_tracker.ensure_running()
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new threads and processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)
