"""Read CSV files and other delimited text line by line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from hsifeat.errors import HsifeatError, raise_resource_error

_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_WHOLE_NUMBER = re.compile(r"\s*-?\d{1,18}\s*").fullmatch


def read_lines(
    lines: Iterable[str], delimiter: str, source: str, error: type[HsifeatError]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line. The first line, which may be a header, sets the number of columns.

    Lines without text are skipped. Empty fields after the last column are allowed, because spreadsheets write them.

    Parameters
    ----------
    lines : iterable of str
        A text file that was opened with ``newline=""``, or its lines.
    delimiter : {",", ";", tab}
        Separator of the fields.
    source : str
        Name of the file, for error messages.
    error : type of HsifeatError
        Class of the errors that are raised.

    Raises
    ------
    HsifeatError
        If a line has more fields than columns, or can't be read, for example because a quote is missing.

    Examples
    --------
    >>> list(read_lines(["row,col", "0,1,", ",,", "2,3"], ",", "p.csv", HsifeatError))
    [(1, ['row', 'col']), (2, ['0', '1', '']), (4, ['2', '3'])]
    >>> list(read_lines(["row,col", "0,1,2"], ",", "p.csv", HsifeatError))
    Traceback (most recent call last):
    hsifeat.errors.HsifeatError: p.csv, line 2: found 3 fields for 2 columns in '0,1,2': put a field that contains a comma in double quotes, and name all columns in the first line
    """
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    columns = None
    try:
        for fields in reader:
            if not any(fields):
                continue
            if columns is None:
                columns = len(fields)
            if len(fields) > columns and any(map(str.strip, fields[columns:])):
                raise error(f"{source}, line {reader.line_num}: {_surplus(fields, columns, delimiter)}")
            yield reader.line_num, fields
    except csv.Error as cause:
        raise error(f"{source}, line {reader.line_num}, can't be read: {cause}") from cause


@contextmanager
def text_errors(source: str, error: type[HsifeatError]) -> Iterator[None]:
    r"""Raise `error` if a file can't be read, or holds no delimited text in UTF-8.

    Examples
    --------
    >>> with text_errors("p.csv", HsifeatError):
    ...     text = b"Gr\xfcn".decode()
    Traceback (most recent call last):
    hsifeat.errors.HsifeatError: p.csv can't be read as comma-separated text in UTF-8: 'utf-8' codec can't decode byte 0xfc in position 2: invalid start byte
    """
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise_resource_error(cause)
        raise error(f"{source} can't be read as comma-separated text in UTF-8: {cause}") from cause


def parse_int(text: str) -> int | None:
    """Return the whole number in a field, or None if it holds none.

    >>> parse_int(" -3"), parse_int("3.0")
    (-3, None)
    """
    return int(text) if _WHOLE_NUMBER(text) else None


def _surplus(fields: Sequence[str], columns: int, delimiter: str) -> str:
    found = max(index for index, field in enumerate(fields, 1) if field.strip())
    return (
        f"found {found} fields for {columns} columns in {delimiter.join(fields)[:120]!r}: put a field that contains "
        f"{_NAMES[delimiter]} in double quotes, and name all columns in the first line"
    )
