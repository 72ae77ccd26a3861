"""Registered executors: the entry points of the group ``hsifeat.executors`` in hsifeat and in other packages.

The name of an entry point, such as ``dask``, is also the name of an option of ``hsifeat extract``, ``predict`` and
``bench``. In Python, an executor is selected by a text such as ``dask:local:2``, which begins with the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from hsifeat.errors import HsifeatError, allowed_names, error_summary
from hsifeat.formatting import format_value
from hsifeat.registration import registered_entries
from hsifeat.runtime.events import Listener, check_listener, silent
from hsifeat.runtime.executor import Executor

GROUP = "hsifeat.executors"


@dataclass(frozen=True)
class ExecutorPlugin:
    """A kind of executor: the function that opens it, and its command-line option.

    Attributes
    ----------
    open : callable
        Function ``open(argument, listen)``, which returns a context manager that yields an `Executor`. `argument` is the
        value of the option. The function raises `HsifeatError` if the value is invalid.
    description : str
        Help text of the option.
    metavar : str
        Form of the value of the option, such as ``ADDRESS``.
    """

    open: Callable[[str, Listener], AbstractContextManager[Executor]]
    description: str
    metavar: str = "VALUE"


def executor_plugins() -> dict[str, ExecutorPlugin]:
    """Return a dict that maps names to plugins, sorted by name.

    If a plugin of another package fails to load, or if several packages register the same name, the description of the
    plugin states this fault. Opening such a plugin raises `HsifeatError`.

    Examples
    --------
    >>> executor_plugins()["dask"].metavar
    'ADDRESS|local:N'
    """
    return {name: _load(entry) for name, entry in registered_entries(GROUP).items()}


def check_executor(executor: object, listen: object) -> None:
    """Raise `HsifeatError` unless the arguments of `open_executor` have the documented types."""
    check_listener(listen)
    if executor is not None and not isinstance(executor, str) and not callable(getattr(executor, "run", None)):
        raise HsifeatError(
            f"an executor is made by hsifeat.local_executor or hsifeat.dask_executor, or named by a text such as 'dask:local:2'; "
            f"found {format_value(executor)}"
        )


@contextmanager
def open_executor(executor: Executor | str | None, listen: Listener = silent) -> Iterator[Executor | None]:
    """Open an executor by name for a ``with`` block. If `executor` is an open executor or None, yield it unchanged.

    Parameters
    ----------
    executor : Executor, str or None
        An open executor, or a text ``NAME:VALUE`` such as ``dask:local:2``.
    listen : callable
        Receives notes of the opened executor.

    Raises
    ------
    HsifeatError
        If no package registers the name. If the plugin can't be loaded. If the value is invalid.

    Examples
    --------
    >>> with open_executor("dusk:local:2"):
    ...     pass
    Traceback (most recent call last):
    hsifeat.errors.HsifeatError: no executor 'dusk'; allowed: dask
    """
    check_executor(executor, listen)
    if not isinstance(executor, str):
        yield executor
        return
    name, _, argument = executor.partition(":")
    plugins = executor_plugins()
    if name not in plugins:
        raise HsifeatError(f"no executor {name!r}; {allowed_names(plugins)}")
    with plugins[name].open(argument, listen) as opened:
        yield opened


def _load(entry: EntryPoint) -> ExecutorPlugin:
    try:
        target = entry.load()
    except Exception as error:  # noqa: BLE001  # another package's code may raise anything
        # Commands are built from all plugins, so that a broken one must not end commands that do not use it.
        return _broken(entry, error_summary(error))
    return target if isinstance(target, ExecutorPlugin) else _broken(entry, f"{entry.value} is no ExecutorPlugin")


def _broken(entry: EntryPoint, reason: str) -> ExecutorPlugin:
    problem = f"the executor {entry.name} can't be loaded: {reason}"

    def fail(_argument: str, _listen: Listener) -> AbstractContextManager[Executor]:
        raise HsifeatError(problem)

    return ExecutorPlugin(fail, problem)
