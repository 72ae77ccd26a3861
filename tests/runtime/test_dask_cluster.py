"""The Dask cluster on this machine."""

import os
import signal
import subprocess
import sys
from multiprocessing import resource_tracker

import pytest

from hsifeat.runtime.dask_cluster import open_cluster


class InterruptedCluster:
    """A cluster during whose start somebody presses Ctrl-C."""

    events = []  # noqa: RUF012  # one list for all

    def __init__(self, **_):
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []), "workers inherit the mask"
        assert resource_tracker._resource_tracker._fd is not None, "it would clear the mask when it starts"
        self.events.append("started")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.events.append("closed")


def test_an_interrupt_waits_until_the_cluster_has_started(monkeypatch):
    """Workers that started, and the exit handler of a cluster that had half started, printed tracebacks."""
    monkeypatch.setattr("distributed.LocalCluster", InterruptedCluster)
    monkeypatch.setattr(InterruptedCluster, "events", [])
    former = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), open_cluster("local:1"):
        pytest.fail("the interrupt is lost")
    assert InterruptedCluster.events == ["started", "closed"]
    assert signal.getsignal(signal.SIGINT) is former
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        ('dask_executor("local:2")', "the workers on this machine did not start"),
        ("local_executor(2, 0)", "a worker process died"),
    ],
)
def test_a_script_that_workers_would_run_again(opened, message, tmp_path):
    """Without the line, each new worker imports the script, and so starts workers. Eight of them printed a traceback."""
    script = tmp_path / "script.py"
    script.write_text(f"import hsifeat\nwith hsifeat.{opened} as executor:\n    print(list(executor.run(abs, [-1])))\n")
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 1 and not ended.stdout
    *_, last = ended.stderr.splitlines()
    assert last.startswith(f"hsifeat.errors.HsifeatError: {message}")
    assert last.endswith('in Python, a script that starts workers needs the line: if __name__ == "__main__":')
    assert "bootstrapping" not in ended.stderr
    guarded = (
        script.read_text().replace("\n", "\nif __name__ == '__main__':\n  ", 1).replace("\n    print", "\n      print")
    )
    script.write_text(guarded)
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=300)
    assert ended.stdout == "[(-1, 1)]\n"


def test_an_executor_that_only_opens_in_the_main_part_of_a_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import hsifeat\nwith hsifeat.local_executor(2, 0) as executor:\n  if __name__ == '__main__':\n    print(list(executor.run(abs, [-1])))\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=300)
    assert ended.stdout == "[(-1, 1)]\n"
