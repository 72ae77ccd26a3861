"""A Dask cluster of real processes, which start within milliseconds. A supervisor restarts each process that ends."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from tests.helpers.forked_commands import ForkedFunction


class Cluster:
    """A scheduler and workers, each in a separate process. A killed process is started again, as on a real cluster.

    Parameters
    ----------
    workers : int
        Number of workers, with one thread each.
    patch : callable, optional
        Module-level function that each worker calls before it starts.
    *arguments
        Arguments of `patch`.
    allowed_failures : int
        Number of workers that may die with one task before the task fails.
    gpus : int
        Number of workers that have the resource ``GPU``.
    """

    def __init__(self, workers, patch=None, *arguments, allowed_failures=3, gpus=0):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self._starts = [(run_scheduler, self.address, allowed_failures)]
        self._starts += [
            (run_worker, self.address, f"w{number}", number < gpus, patch, arguments) for number in range(workers)
        ]
        self._processes = [ForkedFunction(*start) for start in self._starts]
        self.starts = len(self._processes)
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    @property
    def scheduler_pid(self):
        """Process ID of the scheduler."""
        return self._processes[0].process.pid

    def kill_scheduler(self):
        """Kill the scheduler."""
        self._kill(0)

    def kill_worker(self, number=0):
        """Kill a worker. If the worker is just being restarted, wait until it runs."""
        self._kill(1 + number)

    def _kill(self, index):
        process = self._processes[index]
        while process.poll() is not None:
            time.sleep(0.02)
            process = self._processes[index]
        process.signal(signal.SIGKILL)
        process.wait()

    def _supervise(self):
        while not self._ended.wait(0.1):
            for index, process in enumerate(self._processes):
                if process.poll() is not None:
                    self._processes[index] = ForkedFunction(*self._starts[index])
                    self.starts += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._supervisor.join()
        for process in reversed(self._processes):
            if process.poll() is None:
                process.signal(signal.SIGKILL)
            process.wait()
        # Rarely, a Dask client whose worker or scheduler was killed leaves an open socket to the garbage collector.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def run_scheduler(address, allowed_failures):
    """Run a scheduler until the process is killed."""
    from dask import config
    from distributed import Scheduler

    config.set({"distributed.scheduler.allowed-failures": allowed_failures})
    host, port = address.removeprefix("tcp://").split(":")
    _serve(lambda: Scheduler(host=host, port=int(port), dashboard=False))


def run_worker(address, name, gpu=False, patch=None, arguments=()):
    """Run a worker until the process is killed or the scheduler ends."""
    from distributed import Worker

    if patch is not None:
        patch(*arguments)
    resources = {"GPU": 1} if gpu else {}
    _serve(lambda: Worker(address, name=name, nthreads=1, dashboard=False, resources=resources))


def log_steps(log):
    """Log each computed step and each recorded unit of all workers to one file, in chronological order.

    The first step is repeated until the worker has sent a heartbeat during a step. The heartbeat is logged, too.
    """
    from distributed import Worker

    from hsifeat.extraction.diffusion_extractor import StepComputer
    from hsifeat.store.progress import ProgressRecords

    compute, record, beat = StepComputer.__call__, ProgressRecords.record, Worker.heartbeat
    beats = []

    def append(*words):
        with Path(log).open("ab", buffering=0) as file:
            file.write((" ".join(map(str, words)) + "\n").encode())

    def logged_step(self, step):
        append("computed", step.t, *step.unit.index)
        sent = len(beats)
        result = compute(self, step)
        if "heartbeat" not in Path(log).read_text():
            for _ in range(5000):
                if len(beats) > sent:
                    append("heartbeat")
                    break
                compute(self, step)
        return result

    async def counted_beat(self):
        await beat(self)
        beats.append(self.address)

    def logged_record(self, plane, unit, values, tags):
        record(self, plane, unit, values, tags)
        append("recorded", plane.t, *unit.index, plane.layer)

    Worker.heartbeat = counted_beat
    StepComputer.__call__ = logged_step
    ProgressRecords.record = logged_record


def die_with_results(folder, *names):
    """Make the worker kill itself after the first result of each function `names`, before the result is sent.

    A name has the form ``MODULE:NAME``. Only one worker dies for each function: it creates a file with the name of the
    function in `folder`, and workers that find this file stay alive.
    """
    for module, name in (full.split(":") for full in names):
        _die_with_result(import_module(module), name, Path(folder, name))


def _die_with_result(module, name, mark):
    plain = getattr(module, name)

    def dying(task):
        result = plain(task)
        with suppress(FileExistsError):
            mark.touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, dying)


def pause():
    """Pause the worker, as if its memory were almost full."""
    from dask import config

    config.set({"distributed.worker.memory.pause": 1e-6, "distributed.worker.memory.terminate": False})


def have_other_versions():
    """Make the worker report the version 9.9 of each library."""
    from hsifeat.runtime import worker_versions

    worker_versions.version = lambda _: "9.9"


def lack_hsifeat():
    """Make imports of the module `hsifeat.runtime.worker_versions` fail, as if hsifeat were not installed."""
    sys.modules["hsifeat.runtime.worker_versions"] = None


def blind():
    """Hide all stores from the worker, as if their disk were not mounted."""
    from hsifeat.store import store

    store.holds_store = lambda location: False


def _serve(make):
    async def serve():
        async with make() as server:
            await server.finished()

    asyncio.run(serve())
