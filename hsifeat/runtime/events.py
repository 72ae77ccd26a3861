"""Events of long work. Library code emits them to a listener; the CLI draws them, a notebook may print them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A task begins: `total` pieces of work, named in the plural by `unit`; `done` of them were there already."""

    task: str
    total: float
    unit: str
    done: float = 0


@dataclass(frozen=True)
class Advanced:
    """A task got on: `done` pieces in all, with a short `detail` such as a loss."""

    task: str
    done: float
    detail: str = ""


@dataclass(frozen=True)
class Finished:
    """A task ended well."""

    task: str


@dataclass(frozen=True)
class Note:
    """Something that a person should know: what was guessed, found or left out."""

    message: str


Event = Started | Advanced | Finished | Note
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Listen and do nothing: the default of every function that takes a listener."""
