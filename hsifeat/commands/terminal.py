"""What people see in a terminal: progress with rate and time left, notes, tables. The only drawer of events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hsifeat.runtime.events import Advanced, Event, Finished, Listener, Note, Started

if TYPE_CHECKING:
    from rich.console import Console


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    # Redirected output is read by programs and people with wide screens: it is not cut at 80 columns.
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


@contextmanager
def progress() -> Iterator[Listener]:
    """Give a listener that draws a bar for each task, and prints notes, on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask
    from rich.text import Text

    class Rate(TextColumn):
        def render(self, task: RichTask) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g} {task.fields['unit']}/s" if speed else "", style="cyan")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[detail]}"),
    )
    console = _console(stderr=True)
    with Progress(*columns, console=console) as bars:
        running: dict[str, TaskID] = {}

        def listen(event: Event) -> None:
            match event:
                case Started():
                    running[event.task] = bars.add_task(event.task, total=event.total, unit=event.unit, detail="")
                    bars.update(running[event.task], completed=event.done)
                case Advanced():
                    bars.update(running[event.task], completed=event.done, detail=event.detail)
                case Finished():
                    bars.update(running[event.task], completed=bars.tasks[running[event.task]].total, detail="")
                case Note():
                    bars.print(event.message, markup=False, soft_wrap=True)

        yield listen


def say(text: str) -> None:
    """Print a result on standard output."""
    _console(stderr=False).print(text, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Print what was guessed or found on standard error, beside the result."""
    _console(stderr=True).print(text, markup=False, soft_wrap=True, style="dim")


def complain(message: str) -> None:
    """Print an error on standard error."""
    from rich.text import Text

    _console(stderr=True).print(Text("error: ", style="bold red") + Text(message), soft_wrap=True)


def show_json(content: Any) -> None:
    """Print plain JSON on standard output."""
    import sys

    sys.stdout.write(json.dumps(content, indent=1) + "\n")


def show_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table; the columns are keys of the rows."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for name in columns:
        numeric = bool(rows) and all(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(row.get(name))) for name in columns))
    _console(stderr=False).print(table)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
