"""Suppress warnings of libraries, also if several threads do so at once.

`warnings.catch_warnings` saves the filters of the process and restores them at the end. If the blocks of two threads overlap,
and block A begins and ends first, the end of A removes the filters of block B, and the end of B makes those of A permanent.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
# Blocks that run, and the object that restores the filters after the last of them.
_blocks = 0
_saved = warnings.catch_warnings()


@contextmanager
def ignored_warnings(*categories: type[Warning], message: str = "") -> Iterator[None]:
    """Within the ``with`` block, ignore warnings.

    Filters apply to all threads. If blocks of several threads overlap, the filters of all of them apply until the last block
    ends. Then the filters are those from before the first block.

    Parameters
    ----------
    *categories : type of Warning
        Classes of the warnings. [default: all warnings]
    message : str
        Regular expression for the start of the message. [default: all messages]

    Examples
    --------
    >>> import warnings
    >>> with ignored_warnings(UserWarning):
    ...     warnings.warn("not shown")
    """
    global _blocks, _saved  # noqa: PLW0603
    with _lock:
        if _blocks == 0:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
        _blocks += 1
        for category in categories or (Warning,):
            warnings.filterwarnings("ignore", message, category)
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0:
                _saved.__exit__(None, None, None)
