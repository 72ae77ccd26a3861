"""Command-line options that select an executor, such as ``--dask``. Each registered executor has one option."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any

import typer

from hsifeat.commands.config_options import set_parameters
from hsifeat.runtime.executor_plugins import executor_plugins


def with_executor(command: Callable[..., None]) -> Callable[..., None]:
    """Add one option for each registered executor to a command.

    The parameter ``executor`` of the decorated command receives the selected executor as a text for `open_executor`,
    such as ``dask:local:2``. If the user selects no executor, the parameter receives None. In ``--help``, the options
    appear at the position of this parameter. If a command has other decorators that derive options, these decorators
    must stand above `with_executor`.
    """
    derived = {
        name: Parameter(
            f"executor_{name.replace('-', '_')}",
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None,
                typer.Option(
                    f"--{name}", metavar=plugin.metavar, help=f"{plugin.description} [default: this machine alone]"
                ),
            ],
        )
        for name, plugin in executor_plugins().items()
    }

    @wraps(command)
    def wrapped(**arguments: Any) -> None:
        values = {name: arguments.pop(parameter.name) for name, parameter in derived.items()}
        selected = [f"{name}:{value}" for name, value in values.items() if value is not None]
        if len(selected) > 1:
            flags = " and ".join(f"--{text.partition(':')[0]}" for text in selected)
            raise typer.BadParameter(f"{flags} select an executor each: leave out all but one")
        command(executor=selected[0] if selected else None, **arguments)

    set_parameters(wrapped, command, "executor", derived.values())
    return wrapped
