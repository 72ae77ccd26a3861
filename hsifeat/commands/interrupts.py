"""Interrupts by Ctrl-C: a command ends with exit status 130, however often the user presses Ctrl-C."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType

# Further interrupts within this time are ignored, so that they do not interrupt the cleanup.
_PAUSE_SECONDS = 1.0


def catch_interrupts() -> None:
    """Raise `KeyboardInterrupt` at Ctrl-C, at most once a second.

    If interrupts were ignored when the process started, they stay ignored.
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
    """Ignore Ctrl-C until the process ends, so that an interrupt does not replace the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
