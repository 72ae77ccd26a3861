"""Terminal output: progress bars, notes, errors and tables. No other module prints events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hsifeat.commands.option_flags import with_flags
from hsifeat.formatting import printable
from hsifeat.runtime.events import Advanced, Event, Finished, Listener, Note, Started

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Maximum number of visible progress bars. Bars of finished tasks are hidden first.
_MAX_BARS = 8
# Width in columns of output that is redirected to a file or a program.
_FILE_WIDTH = 160


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_FILE_WIDTH)


def _text(value: Any) -> Text:
    """Return a value as text, for everything that may contain names from files.

    Markup of rich and control characters in the value have no effect.
    """
    from rich.text import Text

    return Text("" if value is None else f"{value:.3g}" if isinstance(value, float) else printable(str(value)))


@contextmanager
def progress() -> Iterator[Listener]:
    """Yield a listener that draws a progress bar for each task and prints notes, on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask
    from rich.text import Text

    class RateColumn(TextColumn):
        def render(self, task: RichTask) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g} {task.fields['unit']}/s" if speed else "", style="cyan")

    class CountColumn(MofNCompleteColumn):
        def render(self, task: RichTask) -> Text:
            if task.total is None or float(task.total).is_integer():
                return super().render(task)
            return Text(f"{task.completed:.2f}/{task.total:.2f}", style="progress.download")  # megabytes

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        CountColumn(),
        RateColumn(""),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    console = _console(stderr=True)
    with Progress(*columns, console=console) as bars:
        task_ids: dict[str, TaskID] = {}

        def listen(event: Event) -> None:
            match event:
                case Started():
                    name = printable(event.task)
                    finished = [task for task in bars.tasks if task.finished and task.visible]
                    if finished and sum(task.visible for task in bars.tasks) >= _MAX_BARS:
                        bars.update(finished[0].id, visible=False)
                    task_ids[event.task] = bars.add_task(name, total=event.total, unit=event.unit, detail="")
                    bars.update(task_ids[event.task], completed=event.done)
                case Advanced():
                    bars.update(task_ids[event.task], completed=event.done, detail=printable(event.detail))
                case Finished():
                    task_id = task_ids[event.task]
                    bars.update(task_id, completed=bars.tasks[task_id].total, detail="")
                case Note():
                    bars.print(_text(with_flags(event.message)), soft_wrap=True)

        yield listen


def say(text: str) -> None:
    """Print a result on standard output."""
    _console(stderr=False).print(_text(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a note on standard error, with command-line flags instead of Python names of options."""
    _console(stderr=True).print(_text(with_flags(text)), soft_wrap=True, style="dim")


def complain(message: str) -> None:
    """Print an error message on standard error, with command-line flags instead of Python names of options."""
    from rich.text import Text

    _console(stderr=True).print(Text("error: ", style="bold red") + _text(with_flags(message)), soft_wrap=True)


def show_json(content: Any) -> None:
    """Print a value as JSON on standard output."""
    sys.stdout.write(json.dumps(content, indent=1) + "\n")


def show_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table.

    Parameters
    ----------
    title : str
        Title above the table; empty for no title.
    rows : sequence of mappings
        Each row maps columns to values. The cell of a missing value is blank.
    columns : sequence of str
        Columns to show, in order.
    """
    from rich.table import Table

    table = Table(title=_text(title) if title else None, title_justify="left")
    for name in columns:
        numeric = bool(rows) and all(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(_text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(name)) for name in columns))
    _console(stderr=False).print(table)


def show_facts(title: str, facts: Mapping[str, Any]) -> None:
    """Print a table of two columns, names and values, without column headings."""
    show_table(title, [{"": name, " ": value} for name, value in facts.items()], ("", " "))


def show_rows(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Print rows as a table of `columns`. If `as_json` is True, print all values of the rows as JSON instead.

    Parameters
    ----------
    title : str
        Title above the table.
    rows : list of dict
        Each row maps columns to values.
    columns : tuple of str
        Columns of the table.
    as_json : bool
        Whether to print JSON.
    """
    if as_json:
        show_json(rows)
    else:
        show_table(title, rows, columns)
