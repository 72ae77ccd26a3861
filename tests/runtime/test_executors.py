"""Every executor gives the same results; workers end with whoever started them, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.runtime import executors
from hsifeat.runtime.executors import Inline, executor


@pytest.fixture(params=[1, 2], ids=["inline", "processes"])
def runner(request):
    with executor(request.param, 0) as made:
        yield made


def square(number):
    if number < 0:
        raise HsifeatError(f"{number} is negative")
    return number * number


def die(number):
    os._exit(number)


def test_every_job_comes_with_its_result(runner):
    assert sorted(runner.run(square, [3, 1, 2])) == [(1, 1), (2, 4), (3, 9)]
    assert list(runner.run(square, [])) == []


def test_an_error_of_a_job_arrives_as_it_is(runner):
    with pytest.raises(HsifeatError, match="-1 is negative"):
        list(runner.run(square, [-1, 2]))


def test_a_worker_that_dies_is_one_clear_message():
    died = pytest.raises(HsifeatError, match="a worker process died, perhaps because memory ran out")
    with executor(2, 0) as runner, died:
        list(runner.run(die, [3]))


SLEEPERS = """
import os, sys, time
from pathlib import Path
from hsifeat.runtime.executors import executor

def sleep(name):
    Path(sys.argv[1], f"{name}.pid").write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    try:
        with executor(2, 0) as runner:
            list(runner.run(sleep, ["a", "b"]))
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
    # A group of its own, all of which gets the signal: what Ctrl-C in a terminal does.
    started = subprocess.Popen([sys.executable, script, tmp_path], start_new_session=True, env=environment)
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
    else:
        started.kill()
        started.wait()
        while any(alive(pid) for pid in pids):
            time.sleep(0.05)


def chosen(jobs, job_bytes):
    with executor(jobs, job_bytes) as runner:
        return 1 if isinstance(runner, Inline) else runner.workers


def test_workers_fit_into_memory_and_cores(monkeypatch):
    monkeypatch.setattr(executors, "cores", lambda: 8)
    monkeypatch.setattr(executors, "available_bytes", lambda: 5_000_000_000)
    assert chosen(None, 0) == 8
    assert chosen(None, 400_000_000) == 5
    assert chosen(None, 10**12) == 1
    assert chosen(1, 10**12) == 1
    assert chosen(3, 400_000_000) == 3
    with pytest.raises(HsifeatError, match=r"6 jobs .* take about 6.0 GB, and 5.0 GB .*: give at most --jobs 5"):
        chosen(6, 400_000_000)
    with pytest.raises(HsifeatError, match="at least one job runs at a time; found 0"):
        chosen(0, 0)
