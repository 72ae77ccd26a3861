"""Events of long-running work: library code emits them to a listener, and the command line draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A task has started.

    Attributes
    ----------
    task : str
        Name of the task.
    total : float
        Amount of work, in `unit`.
    unit : str
        Unit of work, in the plural: ``tiles``, ``MB``.
    done : float
        Work that was done before, by an earlier run.

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
    """A task has made progress: the work done so far, and a short detail such as a loss.

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

    See Also
    --------
    hsifeat.Started : Shows how to receive events.
    """

    task: str


@dataclass(frozen=True)
class Note:
    """A message that a person should read: a default that was chosen, or input that was left out.

    See Also
    --------
    hsifeat.Started : Shows how to receive events.
    """

    message: str


Event = Started | Advanced | Finished | Note
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore an event: the default listener."""
