"""Events of long-running work. Library code sends them to a listener; the command line shows them as progress bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hsifeat.errors import HsifeatError
from hsifeat.formatting import format_value


@dataclass(frozen=True)
class Started:
    """A task has started.

    Attributes
    ----------
    task : str
        Name of the task.
    total : float
        Amount of work in `unit`, including `done`.
    unit : str
        Unit of work in the plural, such as ``tiles`` or ``MB``.
    done : float
        Amount of work that earlier runs have completed, in `unit`.

    Examples
    --------
    >>> import hsifeat
    >>> events = []
    >>> features = hsifeat.open_features("fields.zarr")
    >>> classes = hsifeat.predict_map(features, hsifeat.load_model("model"), listen=events.append)
    >>> [type(event).__name__ for event in events]
    ['Started', 'Advanced', 'Finished']
    """

    task: str
    total: float
    unit: str
    done: float = 0


@dataclass(frozen=True)
class Advanced:
    """A task has made progress.

    Attributes
    ----------
    task : str
        Name of the task.
    done : float
        Amount of work completed so far, in the unit that the event `Started` of this task states.
    detail : str
        A short text, such as the current loss.

    See Also
    --------
    hsifeat.Started : Shows how to receive events.
    """

    task: str
    done: float
    detail: str = ""


@dataclass(frozen=True)
class Finished:
    """A task has ended successfully.

    Attributes
    ----------
    task : str
        Name of the task.

    See Also
    --------
    hsifeat.Started : Shows how to receive events.
    """

    task: str


@dataclass(frozen=True)
class Note:
    """A message for the user, for example on an assumed default or a skipped file.

    Attributes
    ----------
    message : str
        The message, in one line.

    See Also
    --------
    hsifeat.Started : Shows how to receive events.
    """

    message: str


Event = Started | Advanced | Finished | Note
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event. This function is the default listener."""


def check_listener(listen: object) -> None:
    """Raise `HsifeatError` unless a listener can be called."""
    if not callable(listen):
        raise HsifeatError(
            f"listen is a function that receives events, such as print; found {format_value(listen)}; leave it out to ignore events"
        )
