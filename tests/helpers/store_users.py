"""Processes that read or write a store, for tests of locks."""

import signal
import subprocess
import sys
from contextlib import contextmanager

WRITER = """
import sys
from hsifeat.store.locks import write_lock
from hsifeat.store.location import as_location
with write_lock(as_location(sys.argv[1]), lambda: print("waits", flush=True)):
    print("holds", flush=True)
    sys.stdin.readline()
"""
READER = """
import sys, hsifeat
features = hsifeat.open_features(sys.argv[1])
print("holds", flush=True)
sys.stdin.readline()
"""


@contextmanager
def process(code, path):
    """Start a process that prints a line for each step, and waits for a line of input before the next step."""
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as started:
        try:
            yield started
        finally:
            started.kill()


def read_line(started):
    return started.stdout.readline().strip()


def go_on(started):
    print("go on", file=started.stdin, flush=True)


def kill(started):
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
