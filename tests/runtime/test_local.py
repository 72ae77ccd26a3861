"""Workers on this machine: none outlives the process that started it, and they fit into memory and cores."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from hsifeat.errors import HsifeatError
from hsifeat.runtime import local
from hsifeat.runtime.events import silent
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.local import local_executor

SLEEPERS = """
import multiprocessing, os, sys, time
from pathlib import Path
from hsifeat.errors import HsifeatError
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
    except (KeyboardInterrupt, HsifeatError):
        sys.exit(130)
"""


def alive(pid):
    try:
        # A process that ended and that nobody has waited for yet is no orphan at work.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "worker", "sigkill"])
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
    if sign != signal.SIGKILL:
        # The pool terminates the second worker as soon as it finds that the first one has ended.
        os.killpg(started.pid, sign) if sign == signal.SIGINT else os.kill(pids[0], sign)
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


def workers_of(workers, task_bytes, listen=silent):
    with local_executor(workers, task_bytes, listen=listen) as executor:
        return 1 if isinstance(executor, InlineExecutor) else executor.workers


def test_workers_fit_into_memory_and_cores(monkeypatch):
    monkeypatch.setattr(local, "available_cores", lambda: 8)
    monkeypatch.setattr(local, "available_bytes", lambda: 5_000_000_000)
    assert workers_of(None, 0) == 8
    assert workers_of(None, 400_000_000) == workers_of(None, 4e8) == workers_of(None, np.float64(4e8)) == 5
    assert workers_of(None, 10**12) == 1
    notes = []
    assert workers_of(1, 10**12, notes.append) == 1
    assert [note.message for note in notes] == [
        "a task takes about 1.0 TB, and 5.0 GB of memory are free: memory may run out"
    ]
    assert workers_of(3, 400_000_000) == 3
    with pytest.raises(HsifeatError, match=r"6 workers take about 6.0 GB, and 5.0 GB .*: take at most 5$"):
        workers_of(6, 400_000_000)
    with pytest.raises(HsifeatError, match=r"6 workers take .*: take at most 5$"):
        workers_of(6, 4e8)
    with pytest.raises(HsifeatError, match="workers is an integer from 1; found 0"):
        workers_of(0, 0)
    for size in (0.5, -1.0, math.nan, math.inf, True):
        with pytest.raises(HsifeatError, match="task_bytes is an integer from 0; found"):
            workers_of(1, size)
