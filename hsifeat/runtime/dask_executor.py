"""The Dask executor, which runs tasks in the workers of a Dask cluster.

Each task is one call of `distributed.Client.submit`. If a worker dies or the scheduler is restarted, the lost tasks run again.
A task may therefore run twice.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, cast
from uuid import uuid4

from hsifeat.errors import HsifeatError
from hsifeat.runtime.dask_cluster import check_address, open_cluster
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.runtime.executor import Result, Task
from hsifeat.runtime.executor_plugins import ExecutorPlugin
from hsifeat.runtime.worker import release_worker
from hsifeat.runtime.worker_versions import OtherVersionsError, compare_versions, own_versions

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed
    from distributed.security import Security

# Number of submitted tasks per worker. While a task runs, the next task waits at the worker.
_TASKS_PER_WORKER = 2
# Seconds between two counts of the workers, which may join and leave.
# Pauses between two looks for finished tasks. A worker has a second task while its first result waits.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.1
_COUNT_INTERVAL_S = 5.0
# A worker process runs one task at a time, even if Dask gives it several threads.
_one_task = Lock()


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
        Maximum wait in seconds for the scheduler after a lost connection. The first attempt to connect fails after 10 seconds.
    worker_timeout_s : float
        Maximum wait in seconds for the first worker.
    listen : callable
        Receives notes, for example that there are no workers yet.

    Yields
    ------
    DaskExecutor
        The executor.

    Raises
    ------
    HsifeatError
        If the address is malformed, the scheduler can't be reached, no worker joins it, or Dask is not installed. If a worker and this
        process have different versions of Python, hsifeat or the libraries that compute the results.

    Examples
    --------
    A script that starts workers needs ``if __name__ == "__main__":``.

    >>> with hsifeat.dask_executor("local:2") as executor:  # doctest: +SKIP
    ...     hsifeat.extract("indian-pines", backbone="backbone", out="ip.zarr", executor=executor)
    """
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

    Once a worker has the resource ``GPU``, tasks run only in workers with this resource, one for each GPU.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    security : distributed.Security, optional
        Certificates for an encrypted connection. [default: the certificates in Dask's configuration]
    scheduler_timeout_s : float
        Maximum wait in seconds for the scheduler after a lost connection. The first attempt to connect fails after 10 seconds.
    worker_timeout_s : float
        Maximum wait in seconds for the first worker.
    listen : callable
        Receives notes.

    Raises
    ------
    HsifeatError
        If the scheduler can't be reached, or no worker joins it. If a worker and this process have different versions of Python, hsifeat or
        the libraries that compute the results.
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
        self._security, self._listen = security, listen
        self._timeout_s, self._worker_timeout_s = scheduler_timeout_s, worker_timeout_s
        self._versions = own_versions()
        self._client = self._connect(timeout_s=10)
        self._resources: dict[str, float] = {}
        self._slots, self._counted_at = 0, 0.0
        self._paused: set[str] = set()
        self._refused: set[str] = set()
        self._accepted: list[str] = []
        try:
            self._wait_for_workers()
            self._check_versions()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Number of workers that are connected now; at least 1."""
        return max(len(self._addresses()), 1)

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        failed: Callable[[Task, HsifeatError], None] | None = None,
    ) -> Iterator[tuple[Task, Result]]:
        """See `Executor.run`. At most two tasks per worker are submitted before the caller takes their results.

        A `HsifeatError` names the worker. A task with which several workers die fails with a `HsifeatError`. A worker that joins
        late with other versions gets no tasks while other workers are connected.
        """
        from distributed import KilledWorker, as_completed

        queue = iter(tasks)
        pending: dict[Future[Any], Task] = {}
        completed = as_completed(loop=self._client.loop)
        try:
            while True:
                for task in islice(queue, self._free_slots(len(pending))):
                    future = self._submit(function, task)
                    pending[future] = task
                    completed.add(future)
                if not pending:
                    return
                future = self._next(completed)
                task = pending.pop(future)
                try:
                    result = future.result()
                except CancelledError:  # of all tasks, because the scheduler was restarted
                    queue = chain([task, *pending.values()], queue)
                    pending.clear()
                    self._reconnect()
                    completed = as_completed(loop=self._client.loop)
                except OtherVersionsError as error:
                    future.release()
                    self._refuse(error)
                    queue = chain([task], queue)
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
            if pending:
                with suppress(Exception):  # the scheduler may be gone
                    self._client.cancel(list(pending), force=True)

    def check_workers(self, function: Callable[[Task], object], task: Task) -> None:
        """Call ``function(task)`` once in each connected worker; see `Executor.check_workers`."""
        from distributed import KilledWorker, as_completed

        # If a worker ends before its check, another worker runs the check.
        options = [{"workers": [address], "allow_other_workers": True} for address in self._addresses()]
        futures = [self._submit(function, task, **option) for option in options]
        try:
            completed = as_completed(futures, loop=self._client.loop)
            for _ in futures:
                try:
                    self._next(completed).result()
                except OtherVersionsError as error:
                    self._refuse(error)
        except KilledWorker as error:
            raise _killed(error) from error
        except CancelledError as error:
            raise HsifeatError(
                f"the connection to the scheduler {self.scheduler} was lost: run the command again"
            ) from error
        finally:
            for future in futures:
                future.release()

    def close(self) -> None:
        """Release the objects that the workers keep between tasks, and disconnect. The cluster continues to run."""
        with suppress(Exception):  # the scheduler may be gone
            if self._client.status == "running":
                self._client.run(release_worker, on_error="ignore")
        with suppress(Exception):
            self._client.close()

    def _submit(self, function: Callable[[Task], Result], task: Task, **options: Any) -> Future[Any]:
        name = getattr(function, "__name__", type(function).__name__)
        if self._refused:
            options = {"workers": self._accepted, "allow_other_workers": True, **options}
        return self._client.submit(
            _WorkerCall(function, self._versions),
            task,
            key=f"hsifeat-{name}-{uuid4().hex}",
            resources=self._resources or None,
            pure=False,
            **options,
        )

    def _free_slots(self, pending: int) -> int:
        """Return the number of tasks that can be submitted."""
        self._count_workers()
        return max(_TASKS_PER_WORKER * max(self._slots, 1) - pending, 0)

    def _next(self, completed: as_completed) -> Future[Any]:
        """Wait for the next future that is finished. Workers that are paused meanwhile are reported."""
        pause_s = _SHORTEST_PAUSE_S
        while not completed.has_ready():
            self._count_workers()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return cast("Future[Any]", next(completed))

    def _count_workers(self) -> None:
        """Count the workers, unless they were counted a few seconds ago."""
        if not self._slots or time.monotonic() - self._counted_at > _COUNT_INTERVAL_S:
            with suppress(OSError, ValueError):  # the next result shows that the scheduler is gone
                self._slots = max(len(self._addresses()), 1)
            self._counted_at = time.monotonic()

    def _addresses(self) -> list[str]:
        """Return the addresses of the workers. If a worker has or had a GPU, return only the addresses of workers with a GPU."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        gpus = [address for address, worker in workers.items() if worker["resources"].get("GPU")]
        if gpus:
            self._resources = {"GPU": 1}
        addresses = [address for address in (gpus if self._resources else workers) if address not in self._refused]
        self._accepted = addresses
        for address in addresses:
            if workers[address]["status"] == "paused" and address not in self._paused:
                self._paused.add(address)
                self._listen(
                    Note(
                        f"the worker {address} starts no more tasks, because its memory is almost full: start it with a larger "
                        "--memory-limit, or with 0 for no limit"
                    )
                )
        return addresses

    def _refuse(self, error: OtherVersionsError) -> None:
        """Note a worker with other versions. Raise the error if no other worker is connected."""
        if error.worker not in self._refused:
            self._refused.add(error.worker)
            self._listen(Note(f"{error}; it gets no tasks while others are connected"))
        if not self._addresses():
            raise error

    def _connect(self, timeout_s: float) -> Client:
        from distributed import Client

        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return Client(self.scheduler, security=self._security, timeout=5, name="hsifeat", set_as_default=False)
            except (OSError, ValueError) as error:
                if isinstance(error, ValueError) or time.monotonic() > deadline:
                    raise HsifeatError(
                        f"no Dask scheduler answers at {self.scheduler} ({error}): start one with `dask scheduler`, or take "
                        "--dask local:N for workers on this machine"
                    ) from error
                time.sleep(0.5)

    def _reconnect(self) -> None:
        self._listen(Note(f"the connection to the scheduler {self.scheduler} was lost: waiting for it"))
        with suppress(Exception):
            self._client.close(timeout=2)
        self._client = self._connect(self._timeout_s)
        self._wait_for_workers()
        self._slots = 0

    def _wait_for_workers(self) -> None:
        if not self._addresses():
            limit = f"{self._worker_timeout_s:g} s"
            self._listen(
                Note(f"the scheduler {self.scheduler} has no workers yet: waiting at most {limit} for the first one")
            )
            try:
                self._client.wait_for_workers(1, timeout=self._worker_timeout_s)
            except TimeoutError as error:
                raise HsifeatError(
                    f"no worker joined the scheduler {self.scheduler} in {limit}: start one with `dask worker {self.scheduler}` in the same "
                    "environment, see its log, and run the command again"
                ) from error

    def _check_versions(self) -> None:
        """Raise an error if a worker lacks hsifeat, or if its versions of Python or libraries differ from those of this process."""
        for address, found in self._client.run(own_versions, on_error="return").items():
            if isinstance(found, Exception):
                raise HsifeatError(
                    f"the worker {address} can't run hsifeat ({type(found).__name__}: {found}): install the same environment on "
                    "all workers"
                ) from found
            compare_versions(self._versions, found, address)


@dataclass(frozen=True)
class _WorkerCall(Generic[Task, Result]):
    """A function to call in a worker. Its errors name the worker."""

    function: Callable[[Task], Result]
    versions: dict[str, str]

    def __call__(self, task: Task) -> Result:
        from distributed import get_worker

        with _one_task:
            address = get_worker().address
            compare_versions(self.versions, own_versions(), address)
            place = f"worker {address} on {platform.node()}"
            try:
                return self.function(task)
            except HsifeatError as error:
                error.args = (f"{error} ({place})",)
                raise
            except OSError as error:
                raise HsifeatError(
                    f"{error.filename or 'a file'} can't be used: {error.strerror or error} ({place})"
                ) from error


def _killed(error: Any) -> HsifeatError:
    count = error.allowed_failures + 1
    return HsifeatError(
        f"{count} workers died one after the other with the same task, the last one {error.last_worker.address}, perhaps because "
        "memory ran out; finished results are kept: run the command again with more memory per worker"
    )
