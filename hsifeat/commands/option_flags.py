"""Replace Python names of options in messages of the library by flags of the command line."""

from __future__ import annotations

import ast
import re
import shlex

_OPTION = re.compile(r"`([a-z][a-z0-9_]*)(?:=([^`]*))?`")
# Parameters whose flag has another name.
_FLAGS = {"all_pixels": "--all", "baseline": "--compare"}


def with_flags(message: str) -> str:
    """Return a message of the library with command-line flags instead of Python names of options.

    The message must enclose each option in backticks.

    >>> with_flags("leave out `bad_bands`, or set `noise='shared'` and `labels=FILE`")
    'leave out --bad-bands, or set --noise shared and --labels FILE'
    >>> with_flags("use `shared_projection=True`, `sweep=False` or `executor='dask:local:2'`")
    'use --shared-projection, --no-sweep or --dask local:2'
    """
    return _OPTION.sub(lambda match: _flag(match[1], match[2]), message)


def _flag(name: str, text: str | None) -> str:
    flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
    if text is None:
        return flag
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):  # a placeholder such as FILE
        return f"{flag} {text}"
    if isinstance(value, bool):
        return flag if value else f"--no-{flag.removeprefix('--')}"
    if name == "executor":
        name, _, value = str(value).partition(":")
        flag = f"--{name}"
    return f"{flag} {shlex.quote(str(value))}"
