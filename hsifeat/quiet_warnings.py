"""Suppress or record warnings of libraries, also if several threads do so at once.

`warnings.catch_warnings` saves the filters of the process and restores them at the end. If the blocks of two threads overlap,
and block A begins and ends first, the end of A removes the filters of block B, and the end of B makes those of A permanent.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any

_lock = Lock()
# Blocks that run, and the object that restores the filters after the last of them.
_blocks = 0
_saved = warnings.catch_warnings()
# Messages of warnings by the thread that records them, and the function that shows those of other threads.
_records: dict[int, list[str]] = {}
_show_elsewhere: Callable[..., Any] = warnings.showwarning


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
    with _filter_block():
        with _lock:
            for category in categories or (Warning,):
                warnings.filterwarnings("ignore", message, category)
        yield


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Within the ``with`` block, add the messages of warnings to a list, in place of showing them.

    Only warnings of the calling thread are recorded. Blocks of one thread must not be nested.

    Examples
    --------
    >>> import warnings
    >>> with recorded_warnings() as messages:
    ...     warnings.warn("a column is empty")
    >>> messages
    ['a column is empty']
    """
    messages: list[str] = []
    with _filter_block():
        with _lock:
            _records[get_ident()] = messages
            warnings.simplefilter("always")
            warnings.showwarning = _record_or_show  # type: ignore[assignment]  # passes all arguments on
        try:
            yield messages
        finally:
            with _lock:
                del _records[get_ident()]


def _record_or_show(message: Warning | str, *arguments: Any) -> None:
    messages = _records.get(get_ident())
    if messages is None:
        _show_elsewhere(message, *arguments)
    else:
        messages.append(str(message))


@contextmanager
def _filter_block() -> Iterator[None]:
    """Restore the filters of warnings after the last of overlapping ``with`` blocks."""
    global _blocks, _saved, _show_elsewhere  # noqa: PLW0603
    with _lock:
        if _blocks == 0:
            _saved, _show_elsewhere = warnings.catch_warnings(), warnings.showwarning
            _saved.__enter__()
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if _blocks == 0:
                _saved.__exit__(None, None, None)
