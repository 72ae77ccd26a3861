"""The Dask executor, which runs tasks in the workers of a Dask cluster.

Each task is one call of `distributed.Client.submit`. If a worker dies or the scheduler is restarted, the lost tasks run again.
A task may therefore run twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic

from hsifeat.errors import HsifeatError
from hsifeat.runtime.dask_cluster import check_address, open_cluster
from hsifeat.runtime.dask_connection import DaskConnection
from hsifeat.runtime.events import Listener, check_listener, silent
from hsifeat.runtime.executor import Result, Task
from hsifeat.runtime.executor_plugins import ExecutorPlugin
from hsifeat.runtime.worker_versions import OtherVersionsError

if TYPE_CHECKING:
    from distributed import Future
    from distributed.security import Security


@contextmanager
def dask_executor(
    address: str, *, scheduler_timeout_s: float = 300, worker_timeout_s: float = 3600, listen: Listener = silent
) -> Iterator[DaskExecutor]:
    """Open an executor on a Dask cluster for a ``with`` block.

    Parameters
    ----------
    address : str
        Address of a scheduler, such as ``tcp://host:8786`` or ``tls://host:8786``. ``local:N`` starts N workers on this machine
        for the block, with one thread each.
    scheduler_timeout_s : float
        Maximum wait in seconds for the scheduler after a lost connection. For the first connection, the maximum is 10 seconds.
    worker_timeout_s : float
        Maximum wait in seconds for the first worker.
    listen : callable
        Receives notes, for example while no worker is connected.

    Yields
    ------
    DaskExecutor
        The executor.

    Raises
    ------
    HsifeatError
        If the address is malformed. If Dask is not installed. If the scheduler can't be reached, or no worker joins it. If
        a worker and this process have different versions of Python, hsifeat or the libraries that compute the results.

    Examples
    --------
    A script that starts workers needs ``if __name__ == "__main__":``.

    >>> with hsifeat.dask_executor("local:2") as executor:  # doctest: +SKIP
    ...     hsifeat.extract("indian-pines", backbone="backbone", out="ip.zarr", executor=executor)
    """
    check_listener(listen)
    with open_cluster(address) as (scheduler, security):
        executor = DaskExecutor(
            scheduler,
            security=security,
            scheduler_timeout_s=scheduler_timeout_s,
            worker_timeout_s=worker_timeout_s,
            listen=listen,
        )
        try:
            yield executor
        finally:
            executor.close()


@contextmanager
def _open_plugin(address: str, listen: Listener) -> Iterator[DaskExecutor]:
    check_address(address)  # imports distributed, which sets the levels of its loggers
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # Lost connections are reported as notes.
    try:
        with dask_executor(address, listen=listen) as executor:
            yield executor
    finally:
        logger.setLevel(level)


PLUGIN = ExecutorPlugin(
    open=_open_plugin,
    description="Run on a Dask cluster: tcp://HOST:PORT of its scheduler, or local:N for N workers on this machine.",
    metavar="ADDRESS|local:N",
)


class DaskExecutor:
    """An executor that runs tasks in the workers of a Dask cluster.

    Once a worker with the resource ``GPU`` has joined, tasks run only in workers with this resource, one task per GPU.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    security : distributed.Security, optional
        Certificates for an encrypted connection. [default: the certificates in Dask's configuration]
    scheduler_timeout_s : float
        Maximum wait in seconds for the scheduler after a lost connection. For the first connection, the maximum is 10 seconds.
    worker_timeout_s : float
        Maximum wait in seconds for the first worker.
    listen : callable
        Receives notes.

    Raises
    ------
    HsifeatError
        If the scheduler can't be reached, or no worker joins it. If a worker and this process have different versions of
        Python, hsifeat or the libraries that compute the results.
    """

    def __init__(
        self,
        scheduler: str,
        *,
        security: Security | None = None,
        scheduler_timeout_s: float = 300,
        worker_timeout_s: float = 3600,
        listen: Listener = silent,
    ) -> None:
        self.scheduler = scheduler
        self._connection = DaskConnection(scheduler, security, scheduler_timeout_s, worker_timeout_s, listen)

    @property
    def workers(self) -> int:
        """Current number of workers that may take tasks, at least 1."""
        return max(len(self._connection.addresses()), 1)

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        failed: Callable[[Task, HsifeatError], None] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """See `Executor.run`. The number of submitted tasks is at most twice the number of workers.

        A submitted task counts until the caller takes its result. The message of a `HsifeatError` names the worker that
        ran the task. If the worker of a task dies, the task is repeated. If several workers die while they run the same
        task, the task fails with a `HsifeatError`. If a worker joins late and has other versions than this process, it
        gets no tasks. If no other worker is then connected, an `OtherVersionsError` is raised.
        """
        from distributed import KilledWorker

        stream = _Stream(self._connection, function, tasks)
        try:
            while stream.submit():
                future, task = stream.next()
                try:
                    result = self._connection.result(future)
                except CancelledError:
                    stream.start_again(task)
                except OtherVersionsError as error:
                    future.release()
                    self._connection.refuse(error)
                    stream.put_back(task)
                except (HsifeatError, KilledWorker) as error:
                    problem = error if isinstance(error, HsifeatError) else _killed(error)
                    future.release()
                    if failed is None:
                        raise problem from (error.__cause__ if problem is error else error)
                    failed(task, problem)
                else:
                    future.release()
                    yield task, result
        finally:
            stream.cancel()

    def check_workers(self, function: Callable[[Task], object], task: Task) -> None:
        """Call ``function(task)`` once in each connected worker; see `Executor.check_workers`.

        If the scheduler is restarted meanwhile, the check starts again with the workers connected then.
        """
        while True:
            with suppress(CancelledError):
                return self._check_once(function, task)
            self._connection.reconnect()

    def _check_once(self, function: Callable[[Task], object], task: Task) -> None:
        from distributed import KilledWorker, as_completed

        # If a worker ends before its check, another worker runs the check.
        options = [
            {"workers": [address], "allow_other_workers": True} for address in self._connection.wait_for_workers()
        ]
        futures = [self._connection.submit(function, task, **option) for option in options]
        try:
            completed = as_completed(futures, loop=self._connection.client.loop)
            for _ in futures:
                try:
                    self._connection.result(self._connection.next_result(completed))
                except OtherVersionsError as error:
                    self._connection.refuse(error)
        except KilledWorker as error:
            raise _killed(error) from error
        finally:
            for future in futures:
                future.release()

    def close(self) -> None:
        """Release the objects that the workers keep between tasks, and disconnect. The cluster continues to run."""
        self._connection.close()


class _Stream(Generic[Task]):
    """The waiting and the submitted tasks of a call of `DaskExecutor.run`."""

    def __init__(self, connection: DaskConnection, function: Callable[[Task], Any], tasks: Iterable[Task]) -> None:
        self._connection, self._function = connection, function
        self._queue: Iterator[Task] = iter(tasks)
        self._listen_to_client()

    def submit(self) -> bool:
        """Submit tasks until no worker has a free slot. Return whether the result of a task is still to come."""
        for task in islice(self._queue, self._connection.free_slots(len(self._pending))):
            while True:
                try:
                    future = self._connection.submit(self._function, task)
                    break
                except CancelledError:
                    self._reconnect()
            self._pending[future] = task
            self._completed.add(future)
        return bool(self._pending)

    def next(self) -> tuple[Future[Any], Task]:
        """Wait for the next task that has ended."""
        future = self._connection.next_result(self._completed)
        return future, self._pending.pop(future)

    def put_back(self, *tasks: Task) -> None:
        """Queue tasks again, before all waiting tasks."""
        self._queue = chain(tasks, self._queue)

    def start_again(self, task: Task) -> None:
        """Put back `task` and all submitted tasks after the scheduler was lost, and wait for the scheduler."""
        self.put_back(task)
        self._reconnect()

    def cancel(self) -> None:
        """Cancel the submitted tasks."""
        if self._pending:
            with suppress(Exception):  # the scheduler may be gone
                self._connection.client.cancel(list(self._pending), force=True)

    def _reconnect(self) -> None:
        # A lost scheduler has cancelled the futures of all tasks.
        self.put_back(*self._pending.values())
        self._connection.reconnect()
        self._listen_to_client()

    def _listen_to_client(self) -> None:
        from distributed import as_completed

        self._pending: dict[Future[Any], Task] = {}
        self._completed = as_completed(loop=self._connection.client.loop)


def _killed(error: Any) -> HsifeatError:
    count = error.allowed_failures + 1
    return HsifeatError(
        f"{count} workers died one after the other with the same task, the last one {error.last_worker.address}, perhaps because "
        "memory ran out; finished results are kept: run the command again with more memory per worker"
    )
