"""Interrupts by Ctrl-C: the command ends with exit status 130, however often the user presses it."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType

# An interrupt within this time after another one is ignored, so that the cleanup after the first one is not interrupted.
_PAUSE_SECONDS = 1.0


def catch_interrupts() -> None:
    """Raise `KeyboardInterrupt` at Ctrl-C, but not again within a second.

    A process that was started with interrupts ignored, as by ``nohup``, continues to ignore them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    last = -math.inf

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PAUSE_SECONDS:
            last = now
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C until the process ends. An interrupt now would replace its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
