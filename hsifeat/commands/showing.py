"""What verbs show alike."""

from __future__ import annotations

from typing import Any


def show_rows(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """Show rows as a table of these columns, or all that they hold as JSON."""
    from hsifeat.commands import terminal

    if as_json:
        terminal.show_json(rows)
    else:
        terminal.show_table(title, rows, columns)
