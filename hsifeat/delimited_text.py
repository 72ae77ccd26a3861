"""Checks of the lines of CSV files and other delimited text."""

from __future__ import annotations

from collections.abc import Sequence

_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}


def surplus_error(fields: Sequence[str], columns: int, delimiter: str) -> str | None:
    """Return what is wrong with a line that has more fields than the table has columns, and None for other lines.

    Empty fields at the end of a line are no surplus: spreadsheets write them.

    >>> surplus_error(["1", "2", "forest", "beech"], 3, ",")
    "found 4 fields for 3 columns in '1,2,forest,beech': put a field that contains a comma in double quotes, and name all columns in the first line"
    >>> surplus_error(["1", "2", "forest", ""], 3, ",")
    """
    found = len(fields)
    while found > columns and not fields[found - 1].strip():
        found -= 1
    if found <= columns:
        return None
    return (
        f"found {found} fields for {columns} columns in {delimiter.join(fields)[:120]!r}: put a field that contains "
        f"{_NAMES[delimiter]} in double quotes, and name all columns in the first line"
    )
