"""Suppress or record warnings of libraries in one thread.

The filters of `warnings` apply to all threads, and `warnings.catch_warnings` restores the wrong ones if the blocks of two
threads overlap. Here, each block adds filters that match in its own thread alone, and removes no others.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from threading import local
from typing import Any


@contextmanager
def ignored_warnings(*categories: type[Warning], message: str = "") -> Iterator[None]:
    """Within the ``with`` block, ignore warnings of the calling thread, and of workers to which scikit-learn passes the filters.

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
    with _ignore_matches(re.compile(message, re.IGNORECASE).match, categories or (Warning,), message):
        yield


@contextmanager
def recorded_warnings() -> Iterator[Collection[str]]:
    """Within the ``with`` block, collect the messages of warnings of the calling thread, in place of showing them.

    Equal messages are collected once.

    Examples
    --------
    >>> import warnings
    >>> with recorded_warnings() as messages:
    ...     warnings.warn("a column is empty")
    >>> list(messages)
    ['a column is empty']
    """
    messages: defaultdict[str, object] = defaultdict(object)
    # The method adds the message and returns an object, which is true.
    with _ignore_matches(messages.__getitem__, (Warning,)):
        # Warnings that were shown earlier are compared with the filters again only after a change by this function.
        warnings.simplefilter("ignore", _NeverIssued)
        _remove_filter(("ignore", None, _NeverIssued, None, 0))
        yield messages.keys()


class _ThreadText(local):
    """What a filter has in place of the regular expression for the message. It matches in one thread alone.

    While Python calls `match`, it holds no reference to the list of filters, which other threads may replace. Therefore, all
    methods are written in C: no other thread runs before they return.
    """

    __slots__ = ("pattern",)
    pattern: str  # Scikit-learn makes a filter of its own from it in each worker.
    match: Callable[[str], Any] = re.compile("(?!)").match  # Nothing matches in other threads.

    def __reduce__(self) -> tuple[Any, ...]:
        """Scikit-learn sends filters to worker processes."""
        return re.compile, (self.pattern, re.IGNORECASE)


class _NeverIssued(Warning):
    """A warning that nobody issues."""


@contextmanager
def _ignore_matches(
    match: Callable[[str], Any], categories: tuple[type[Warning], ...], pattern: str = ""
) -> Iterator[None]:
    """Within the ``with`` block, ignore warnings of the calling thread for whose text `match`, written in C, returns a true value."""
    text = _ThreadText()
    text.pattern, text.match = pattern, match
    filters = [("ignore", text, category, None, 0) for category in categories]
    for item in filters:
        warnings.filters.insert(0, item)  # type: ignore[attr-defined]  # a list
    try:
        yield
    finally:
        del text.match  # Another thread that is in a block of `catch_warnings` may restore the filters later.
        for item in filters:
            _remove_filter(item)


def _remove_filter(item: tuple[Any, ...]) -> None:
    with suppress(ValueError):  # `catch_warnings` in another thread may have removed it.
        warnings.filters.remove(item)  # type: ignore[attr-defined]
