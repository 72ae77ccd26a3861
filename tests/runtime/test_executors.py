"""Executors: every one passes the same suite, and no worker process outlives the one that started it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.runtime import local
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.local import local_executor


def square(number):
    if number < 0:
        raise HsifeatError(f"{number} is negative")
    return number, number**2, os.getpid()


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


# A new executor joins the suite by one line: a context manager that opens it.
EXECUTORS = {
    "inline": lambda: nullcontext(InlineExecutor()),
    "processes": lambda: local_executor(2, 0),
}


@pytest.fixture(scope="module", params=EXECUTORS)
def executor(request):
    with EXECUTORS[request.param]() as opened:
        yield opened


def test_each_task_comes_with_its_result(executor):
    for tasks in ([3, 1, 2], [], range(20), [5, 5]):
        pairs = [(task, result[:2]) for task, result in executor.run(square, tasks)]
        assert sorted(pairs) == sorted((task, (task, task**2)) for task in tasks)


def test_an_error_of_a_task_is_raised_as_it_is_and_the_executor_runs_on(executor):
    with pytest.raises(HsifeatError, match="-1 is negative"):
        list(executor.run(square, [-1, 2]))
    assert [task for task, _ in executor.run(square, [4])] == [4]


def test_the_inline_executor_runs_tasks_in_order_and_here():
    results = InlineExecutor().run(square, [3, -1])
    assert next(results) == (3, (3, 9, os.getpid())), "the second task has not run"


def test_a_slow_consumer_holds_back_the_tasks(executor):
    taken = []

    def tasks():
        for number in range(40):
            taken.append(number)
            yield number

    for consumed, _ in enumerate(executor.run(square, tasks()), 1):
        assert len(taken) <= consumed + 4, "results that nobody has asked for would fill the memory"
    assert len(taken) == consumed == 40


def test_a_worker_that_dies_gives_one_clear_message():
    died = pytest.raises(HsifeatError, match="a worker process died, perhaps because memory ran out")
    with local_executor(2, 0) as executor, died:
        list(executor.run(die, [3]))


SLEEPERS = """
import multiprocessing, os, sys, time
from pathlib import Path
from hsifeat.runtime.local import local_executor

locks = []

def sleep(name):
    locks.append(multiprocessing.RLock())  # as tqdm does
    Path(sys.argv[1], f"{name}.pid").write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    try:
        with local_executor(2, 0) as executor:
            list(executor.run(sleep, ["a", "b"]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def alive(pid):
    try:
        # A process that ended and that nobody has waited for yet is no orphan at work.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "sigkill"])
def test_no_worker_is_left(tmp_path, sign):
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    # A process group of its own, all of which gets the signal: what Ctrl-C in a terminal does.
    with (tmp_path / "stderr").open("w") as errors:
        started = subprocess.Popen(
            [sys.executable, script, tmp_path], start_new_session=True, env=environment, stderr=errors
        )
    files = [tmp_path / "a.pid", tmp_path / "b.pid"]
    while not all(file.exists() and file.read_text() for file in files):
        assert started.poll() is None
        time.sleep(0.05)
    pids = [int(file.read_text()) for file in files]
    assert all(alive(pid) for pid in pids)
    if sign == signal.SIGINT:
        os.killpg(started.pid, sign)
        assert started.wait(120) == 130
        assert not any(alive(pid) for pid in pids)
        # Python's resource tracker ends last, and would warn of semaphores that nobody has unlinked.
        with suppress(ProcessLookupError):
            while True:
                os.killpg(started.pid, 0)
                time.sleep(0.05)
        assert "leaked" not in (tmp_path / "stderr").read_text()
    else:
        started.kill()
        started.wait()
        while any(alive(pid) for pid in pids):
            time.sleep(0.05)


def workers_of(workers, task_bytes):
    with local_executor(workers, task_bytes) as executor:
        return 1 if isinstance(executor, InlineExecutor) else executor.workers


def test_workers_fit_into_memory_and_cores(monkeypatch):
    monkeypatch.setattr(local, "available_cores", lambda: 8)
    monkeypatch.setattr(local, "available_bytes", lambda: 5_000_000_000)
    assert workers_of(None, 0) == 8
    assert workers_of(None, 400_000_000) == 5
    assert workers_of(None, 10**12) == 1
    assert workers_of(1, 10**12) == 1
    assert workers_of(3, 400_000_000) == 3
    with pytest.raises(HsifeatError, match=r"6 workers take about 6.0 GB, and 5.0 GB .*: take at most --jobs 5"):
        workers_of(6, 400_000_000)
    with pytest.raises(HsifeatError, match="the number of workers must be at least 1; found 0"):
        workers_of(0, 0)
