"""The connection of an executor to a Dask cluster. It selects and checks workers, and reconnects to a lost scheduler."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, cast
from uuid import uuid4

from hsifeat.errors import HsifeatError
from hsifeat.runtime.events import Listener, Note
from hsifeat.runtime.executor import Result, Task
from hsifeat.runtime.worker import release_worker
from hsifeat.runtime.worker_versions import OtherVersionsError, compare_versions, own_versions

if TYPE_CHECKING:
    from distributed import Client, Future, as_completed
    from distributed.security import Security

# What the calls of a client raise once the scheduler is gone.
_LOST = (CancelledError, OSError)
# Number of submitted tasks per worker. While a task runs, the next task waits at the worker.
_TASKS_PER_WORKER = 2
# Seconds after which the first attempt to connect fails.
_FIRST_TIMEOUT_S = 10.0
# Seconds between two looks for the first worker.
_WORKER_PAUSE_S = 0.1
# Pauses in seconds between two looks for finished tasks. A worker has a second task while its first result waits.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.1
# Seconds between two counts of the workers, which may join and leave.
_COUNT_INTERVAL_S = 5.0
# A worker process runs one task at a time, even if Dask gives it several threads.
_one_task = Lock()


class DaskConnection:
    """A client of a Dask cluster, and the workers that may take tasks.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    security : distributed.Security or None
        Certificates for an encrypted connection. None selects the certificates in Dask's configuration.
    scheduler_timeout_s : float
        Maximum wait in seconds for the scheduler after a lost connection.
    worker_timeout_s : float
        Maximum wait in seconds for the first worker.
    listen : callable
        Receives notes.
    """

    def __init__(
        self,
        scheduler: str,
        security: Security | None,
        scheduler_timeout_s: float,
        worker_timeout_s: float,
        listen: Listener,
    ) -> None:
        self.scheduler = scheduler
        self._security, self._listen = security, listen
        self._timeout_s, self._worker_timeout_s = scheduler_timeout_s, worker_timeout_s
        self._versions = own_versions()
        self.client = self._connect(_FIRST_TIMEOUT_S)
        self._resources: dict[str, float] = {}
        self._slots, self._counted_at = 0, 0.0
        self._paused: set[str] = set()
        self._refused: set[str] = set()
        self._accepted: list[str] = []
        try:
            self._check_versions()
        except BaseException:
            self.close()
            raise

    def addresses(self) -> list[str]:
        """Return the addresses of the workers that may take tasks.

        Once a worker with a GPU has joined, only workers with a GPU may take tasks.
        """
        workers = self.client.scheduler_info(n_workers=-1).get("workers", {})  # a closed client knows nothing
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

    def submit(self, function: Callable[[Task], Result], task: Task, **options: Any) -> Future[Any]:
        """Submit the call ``function(task)`` to the workers that may take tasks.

        Parameters
        ----------
        function : callable
            Function of a task. Workers must be able to import it.
        task : object
            Argument of the function.
        **options
            Options of `distributed.Client.submit`, such as ``workers``.

        Raises
        ------
        CancelledError
            If the connection to the scheduler is lost.
        """
        from distributed.client import ClosedClientError

        name = getattr(function, "__name__", type(function).__name__)
        if self._refused:
            options = {"workers": self._accepted, "allow_other_workers": True, **options}
        try:
            return self.client.submit(
                _WorkerCall(function, self._versions),
                task,
                key=f"hsifeat-{name}-{uuid4().hex}",
                resources=self._resources or None,
                pure=False,
                **options,
            )
        except ClosedClientError as error:
            raise CancelledError(str(error)) from error

    def free_slots(self, pending: int) -> int:
        """Return how many further tasks can be submitted. `pending` is the number of tasks whose results were not taken."""
        self._count_workers()
        return max(_TASKS_PER_WORKER * max(self._slots, 1) - pending, 0)

    def next_result(self, completed: as_completed) -> Future[Any]:
        """Wait for the next finished future in `completed`, and return it. Meanwhile, send a note about each paused worker."""
        pause_s = _SHORTEST_PAUSE_S
        while not completed.has_ready():
            self._count_workers()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return cast("Future[Any]", next(completed))

    def result(self, future: Future[Any]) -> Any:
        """Return the result of a future that is finished.

        Raises
        ------
        CancelledError
            If the connection to the scheduler is lost.
        Exception
            The error of the task, if the task failed.
        """
        try:
            return future.result()
        except OSError as error:
            if future.status == "error":  # an error of the task, for example of a library that the worker can't import
                raise
            raise CancelledError(str(error)) from error

    def refuse(self, error: OtherVersionsError) -> None:
        """Exclude the worker that `error` names from further tasks. If no other worker is connected, raise `error`."""
        if error.worker not in self._refused:
            self._refused.add(error.worker)
            self._listen(Note(f"{error}; it gets no tasks while others are connected"))
        if not self.addresses():
            raise error

    def reconnect(self) -> None:
        """Wait until the lost scheduler can be reached again, and until a worker has joined the scheduler."""
        while True:
            self._listen(Note(f"the connection to the scheduler {self.scheduler} was lost: waiting for it"))
            with suppress(Exception):
                self.client.close(timeout=2)
            self.client = self._connect(self._timeout_s)
            self._slots = 0
            with suppress(*_LOST):
                self.wait_for_workers()
                return

    def wait_for_workers(self) -> list[str]:
        """Wait for the first worker, and return the result of `addresses`.

        Raises
        ------
        HsifeatError
            If no worker joins the scheduler in time.
        CancelledError
            If the connection to the scheduler is lost.
        """
        deadline, limit = time.monotonic() + self._worker_timeout_s, f"{self._worker_timeout_s:g} s"
        told = False
        while not (addresses := self.addresses()):
            if self.client.status not in ("running", "connecting"):
                raise CancelledError(f"the scheduler {self.scheduler} is gone")
            if not told:
                self._listen(
                    Note(
                        f"the scheduler {self.scheduler} has no workers yet: waiting at most {limit} for the first one"
                    )
                )
                told = True
            if time.monotonic() > deadline:
                raise HsifeatError(
                    f"no worker joined the scheduler {self.scheduler} in {limit}: start one with `dask worker {self.scheduler}` in the same "
                    "environment, see its log, and run the command again"
                )
            time.sleep(_WORKER_PAUSE_S)
        return addresses

    def close(self) -> None:
        """Release the objects that the workers keep between tasks, and disconnect. The cluster continues to run."""
        with suppress(Exception):  # the scheduler may be gone
            if self.client.status == "running":
                self.client.run(release_worker, on_error="ignore")
        with suppress(Exception):
            self.client.close()

    def _count_workers(self) -> None:
        """Count the workers, unless they were counted a few seconds ago."""
        if not self._slots or time.monotonic() - self._counted_at > _COUNT_INTERVAL_S:
            with suppress(*_LOST, ValueError):  # the next result shows that the scheduler is gone
                self._slots = max(len(self.addresses()), 1)
            self._counted_at = time.monotonic()

    def _connect(self, timeout_s: float) -> Client:
        from distributed import Client

        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return Client(self.scheduler, security=self._security, timeout=5, name="hsifeat", set_as_default=False)
            except (TypeError, RuntimeError) as error:
                if "ssl_context" in str(error):
                    advice = "needs certificates: set distributed.comm.tls.ca-file, tls.client.cert and tls.client.key in the configuration of Dask"
                elif "encryption required" in str(error):
                    advice = "is not encrypted, as distributed.comm.require-encryption in the configuration of Dask demands: give a tls:// address"
                else:
                    raise
                raise HsifeatError(f"the connection to {self.scheduler} {advice}") from error
            except (OSError, ValueError) as error:
                if isinstance(error, ValueError) or time.monotonic() > deadline:
                    raise HsifeatError(
                        f"no Dask scheduler answers at {self.scheduler} ({error}): start one with `dask scheduler`, or take "
                        "`executor='dask:local:N'` for workers on this machine"
                    ) from error
                time.sleep(0.5)

    def _check_versions(self) -> None:
        """Wait for a worker, then compare the versions on all workers with the versions in this process.

        Raises
        ------
        HsifeatError
            If a worker can't run hsifeat, or has other versions of Python or of the libraries.
        """
        while True:
            try:
                self.wait_for_workers()
                answers = self.client.run(own_versions, on_error="return")
                break
            except _LOST:
                self.reconnect()
        for address, found in answers.items():
            if isinstance(found, OSError):  # The worker has ended. Each task checks the versions again.
                continue
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
