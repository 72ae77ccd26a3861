"""Interrupts by Ctrl-C. A command ends with exit status 130, even if the user presses Ctrl-C several times."""

from __future__ import annotations

import math
import signal
import time
from types import FrameType

# Further interrupts within this time are ignored, so that they do not interrupt the cleanup.
_PAUSE_SECONDS = 1.0


def catch_interrupts() -> None:
    """Raise `KeyboardInterrupt` at Ctrl-C, at most once a second.

    If the process already ignores Ctrl-C, do nothing.
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
