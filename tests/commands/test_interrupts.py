"""Ctrl-C ends a command with exit status 130, at any moment and however often it is pressed."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from hsifeat.commands.interrupts import catch_interrupts
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.small import small_cube
from tests.helpers.tiny_training import use_tiny

EAGER = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "hsifeat.commands.app":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["hsifeat", "heads"]
import cli
cli.main()
"""
LATE = """
import atexit, os, signal, sys

atexit.register(lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(9)])
sys.argv = ["hsifeat", "scenes", "--json"]
import cli
cli.main()
"""


@pytest.mark.parametrize(("code", "status"), [(EAGER, 130), (LATE, 0)], ids=["while-commands-are-imported", "at-exit"])
def test_an_interrupt_before_and_after_the_work(code, status):
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_interrupt_leaves_the_cleanup_alone():
    before, steps = signal.signal(signal.SIGINT, signal.default_int_handler), []
    try:
        catch_interrupts()
        with pytest.raises(KeyboardInterrupt):
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                steps.append("cleaned up")
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps == ["cleaned up"]


def press_often():
    """Interrupt this process every 20 ms from the moment at which the command shows its progress."""
    from hsifeat.commands import terminal

    use_tiny(pytest.MonkeyPatch())
    plain = terminal.progress

    def press():
        while True:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.02)

    @contextmanager
    def progress():
        with plain() as listen:
            threading.Thread(target=press, daemon=True).start()
            yield listen
            time.sleep(60)

    terminal.progress = progress


@pytest.mark.parametrize(
    "command",
    [
        "fit STORE --head lda --out out",
        "predict MODEL STORE --out out.tif",
        "export STORE --out out.npy",
        "bench STORE --heads lda --inputs spectra --splits random:0.3 --seeds 1 --jobs 1 --out out",
        "extract CUBE --backbone context --layers mean-3 --out out.zarr",
        "pretrain CUBE --network mtmsd --size small --steps 1000 --out out",
        "cache verify STORE",
    ],
)
def test_many_interrupts_during_the_work(command, store_path, model_folder, tmp_path, monkeypatch):
    np.save(tmp_path / "cube.npy", small_cube(40, 40))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    paths = {"STORE": store_path, "MODEL": model_folder, "CUBE": tmp_path / "cube.npy"}
    ended = ForkedCommand(*(paths.get(word, word) for word in command.split()), patch=press_often).wait()
    assert ended.returncode == 130, ended.stderr
    assert "interrupted; nothing is damaged" in ended.stderr and "Traceback" not in ended.stderr
    assert not list((tmp_path / "work").rglob("*.part"))
