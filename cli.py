"""Entry point of the command line: runs `hsifeat.commands.app`, prints errors, and exits with a status.

`main` imports the commands. It therefore also handles an interrupt during this import, with exit status 130.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from hsifeat.commands.interrupts import catch_interrupts, ignore_interrupts
from hsifeat.commands.output import guard_output

_CTRL_C = 130
_INTERRUPTED = "interrupted; nothing is damaged: the same command goes on with what is finished, or begins again"


def main() -> None:
    """Run the command line, and exit with its status.

    If a command raises a `HsifeatError` or can't use a file, one message is printed, and the exit status is 1. With
    ``--debug``, the traceback is printed instead. Wrong usage has exit status 2, and an interrupt has exit status 130.
    If the reader closes standard output, as in ``hsifeat cache ls | head -1``, the command still finishes its work. The
    exit status does not change.
    """
    # Otherwise, Python searches all modules for garbage when it exits: half a second with torch.
    atexit.register(gc.freeze)
    try:
        catch_interrupts()
        stdout, _ = guard_output()
        status = _run_command()
        stdout.flush()
        if stdout.lost is not None:
            _show_error(
                f"standard output can't be written: {stdout.lost.strerror}; the files of the command are complete"
            )
            status = status or 1
    except KeyboardInterrupt:
        status = _CTRL_C
    finally:
        ignore_interrupts()
    if status == _CTRL_C:
        _show_error(_INTERRUPTED)
    sys.exit(status)


def _run_command() -> int:
    """Run a command, print its error, and return its exit status."""
    from hsifeat.errors import HsifeatError

    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    threading.excepthook = _end_without_reader
    if not debug:
        warnings.showwarning = _show_warning  # type: ignore[assignment]  # most arguments are unused
        # Zarr can't run a coroutine if its thread can't start. The error says so.
        warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    try:
        status = _call_app(arguments)
    except (HsifeatError, OSError) as error:
        if debug:
            raise
        _show_error(_message(error))
        return 1
    except SystemExit as end:
        # Typer mistakes a broken connection for a closed standard output, and would exit without a message.
        if not isinstance(end.__context__, OSError):
            raise
        _show_error(_message(end.__context__))
        return 1
    except Exception as error:
        # Typer's own errors (wrong usage, abort) have an exit status and show themselves.
        if not hasattr(error, "exit_code") and type(error).__name__ != "Abort":
            raise
        _show_usage_error(error)
        return int(getattr(error, "exit_code", _CTRL_C))
    # Typer catches an interrupt and returns its exit status. Commands return None.
    return status if isinstance(status, int) else 0


def _call_app(arguments: list[str]) -> object:
    """Run a command and return its status. Convert errors by `raise_resource_error`."""
    from hsifeat.commands.app import app
    from hsifeat.errors import raise_resource_error

    try:
        return app(arguments, standalone_mode=False)
    except Exception as error:
        raise_resource_error(error)
        raise


def _end_without_reader(failure: threading.ExceptHookArgs) -> None:
    """End the process if Zarr's reading thread has failed, because all readers would wait for this thread for ever.

    The thread fails if the memory runs out.
    """
    from hsifeat.commands.option_flags import with_flags
    from hsifeat.errors import HsifeatError, error_summary, raise_resource_error

    if failure.thread is None or failure.thread.name != "zarr_io":
        threading.__excepthook__(failure)
        return
    error = failure.exc_value or failure.exc_type()
    with suppress(Exception):
        try:
            raise_resource_error(error)
            text = f"the thread that reads stores has failed: {error_summary(error)}"
        except HsifeatError as clear:
            text = with_flags(str(clear))
        sys.stderr.write(f"\nerror: {text}\n")
        sys.stderr.flush()
    os._exit(1)


def _message(error: Exception) -> str:
    from hsifeat.errors import error_summary

    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or error_summary(error)
    if error.filename:
        return f"{error.filename} can't be used: {reason}"
    if _current_folder_is_gone():
        return "the current folder was deleted: change to another folder"
    if isinstance(error, ConnectionError | TimeoutError):
        return f"a connection failed ({reason}): run the command again"
    # Without an error number, a library raised the error, and its text says what has failed.
    return f"the system refused an operation: {reason}" if error.errno else reason


def _current_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _show_warning(message: Warning | str, *_: Any) -> None:
    """Show a warning of a library without category, file and line, which are useless to users."""
    from hsifeat.commands import terminal

    terminal.note(f"warning: {message}")


def _show_error(message: str) -> None:
    from hsifeat.commands import terminal

    terminal.complain(message)


def _show_usage_error(error: Any) -> None:
    from hsifeat.commands.option_flags import with_flags
    from hsifeat.formatting import printable

    if hasattr(error, "message"):
        error.message = printable(with_flags(error.message))
    if hasattr(error, "show"):
        error.show()


if __name__ == "__main__":
    main()
