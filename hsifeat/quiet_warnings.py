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
def recorded_warnings(*categories: type[Warning]) -> Iterator[Collection[str]]:
    """Within the ``with`` block, collect the messages of warnings of the calling thread instead of showing them.

    Equal messages are collected once.

    Parameters
    ----------
    *categories : type of Warning
        Classes of the warnings. [default: all warnings]

    Examples
    --------
    >>> import warnings
    >>> with recorded_warnings() as messages:
    ...     warnings.warn("a column is empty")
    >>> list(messages)
    ['a column is empty']
    """
    messages: defaultdict[str, object] = defaultdict(object)
    # `__getitem__` adds the message as a key. It returns an object, which is true: the warning matches and is ignored.
    with _ignore_matches(messages.__getitem__, categories or (Warning,)):
        # `simplefilter` tells Python that the filters have changed. Otherwise, warnings that were shown before are not compared with
        # the new filters.
        warnings.simplefilter("ignore", _NeverIssued)
        _remove_filter(("ignore", None, _NeverIssued, None, 0))
        yield messages.keys()


class _ThreadText(local):
    """Replacement for the regular expression of a warning filter, which matches messages of one thread only.

    While Python calls `match`, it holds no reference to the list of filters, which another thread could delete. Therefore,
    every `match` is a function in C, during which no other thread runs.
    """

    __slots__ = ("pattern",)
    pattern: str  # Scikit-learn makes the filter of each worker from it.
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
    """Within the ``with`` block, ignore warnings of the calling thread if `match`, a function in C, is true for their text."""
    text = _ThreadText()
    text.pattern, text.match = pattern, match
    filters = [("ignore", text, category, None, 0) for category in categories]
    for item in filters:
        warnings.filters.insert(0, item)  # type: ignore[attr-defined]  # a list
    try:
        yield
    finally:
        # The end of a `catch_warnings` block in another thread may restore this filter. It then matches nothing.
        del text.match
        for item in filters:
            _remove_filter(item)


def _remove_filter(item: tuple[Any, ...]) -> None:
    with suppress(ValueError):  # `catch_warnings` in another thread may have removed it.
        warnings.filters.remove(item)  # type: ignore[attr-defined]
