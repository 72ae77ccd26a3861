"""A real `hsifeat serve` process for benchmarks."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import psutil

PROGRAM = Path(sys.executable).with_name("hsifeat")


class ServiceProcess:
    """A process of `hsifeat serve` over a folder. It has the same port at each start.

    Parameters
    ----------
    folder : Path
        Folder of stores, state, tokens and log.
    *options : str
        Further options of the command.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        tokens = folder / "tokens.json"
        add = [PROGRAM, "serve", "token", "add", "bench", "--tokens", tokens, "--right", "write"]
        self.token = subprocess.run(add, check=True, capture_output=True, text=True).stdout.strip()
        self.port = 0
        (folder / "stores").mkdir(exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        """Address of the service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> psutil.Process:
        """The process of uvicorn."""
        return psutil.Process(self._process.pid)

    def start(self) -> None:
        """Start the process, and wait until clients can connect."""
        folder = self._folder
        command = [PROGRAM, "serve", "--cache", folder / "stores", "--state", folder / "state"]
        command += ["--tokens", folder / "tokens.json", "--port", str(self.port), *self._options]
        with (folder / "serve.log").open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = next(iter(self._process.stdout or []), "")
        if "serving at" not in line:
            raise RuntimeError((folder / "serve.log").read_text())
        self.port = int(line.strip().rstrip("/").rpartition(":")[2])

    def runners(self) -> list[psutil.Process]:
        """Return the processes that run jobs."""
        return [child for child in self.process.children() if "spawn_main" in " ".join(_command(child))]

    def kill(self) -> None:
        """Kill uvicorn with SIGKILL. The runners then end by themselves."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process with SIGTERM, as systemd does."""
        self._process.terminate()
        self._process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _command(process: psutil.Process) -> list[str]:
    """Return the command of a process, or nothing if it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # or a zombie
        return []


def wait_until(condition: Any, timeout_s: float = 300) -> Any:
    """Wait until `condition` returns a true value, and return this value."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise TimeoutError("waited in vain")
