"""Command-line options derived from the fields of a config class."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from hsifeat.base_config import BaseConfig, default_of, detail, flag_of, plain_types, values_of
from hsifeat.commands.option_types import comma_list
from hsifeat.errors import HsifeatError

# Numbers with more than 18 digits are mistakes, and slow to convert.
_WHOLE = r"-?[0-9]{1,18}"


def with_options(
    config: type[BaseConfig], *, only: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> Callable[..., Callable[..., None]]:
    """Return a decorator that adds a command-line option for each field of a config class.

    The parameter ``options`` of the decorated command receives a dict of the options that the user set. The dict is valid
    input of `BaseConfig.from_options` and `BaseConfig.merged`. In ``--help``, the options appear at the position of the
    parameter ``options``.

    Parameters
    ----------
    config : type of BaseConfig
        Config class whose fields become options.
    only : tuple of str
        Names of the fields to use; empty for all fields.
    without : tuple of str
        Names of fields to omit.

    Returns
    -------
    callable
        Decorator for a command.
    """
    names = [name for name in only or config.model_fields if name not in without]
    derived = {name: typer_option(config, name) for name in names}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapped(**arguments: Any) -> None:
            values = {name: arguments.pop(parameter.name) for name, parameter in derived.items()}
            command(options={name: value for name, value in values.items() if value is not None}, **arguments)

        set_parameters(wrapped, command, "options", derived.values())
        return wrapped

    return decorate


def set_parameters(
    wrapped: Callable[..., None], command: Callable[..., None], replaced: str, derived: Iterable[Parameter]
) -> None:
    """Set the signature of a function. Typer creates command-line options from this signature.

    Parameters
    ----------
    wrapped : callable
        Function whose signature is set.
    command : callable
        Function whose parameters `wrapped` gets, except `replaced`.
    replaced : str
        Name of the parameter of `command` that is left out.
    derived : iterable of inspect.Parameter
        Parameters that `wrapped` gets at the position of `replaced`.
    """
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        own = parameter.replace(
            kind=Parameter.KEYWORD_ONLY, annotation=evaluated_annotation(parameter.annotation, command)
        )
        parameters += derived if parameter.name == replaced else [own]
    wrapped.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


def typer_option(config: type[BaseConfig], name: str) -> Parameter:
    """Return a keyword parameter from which Typer creates the option for the field `name` of `config`.

    The default of the parameter is None, which means that the user did not set the option.
    """
    field = config.model_fields[name]
    default = default_of(field)
    help_text = (field.description or "") + (f" [default: {default}]" if default else "")
    kinds = list(plain_types(field.annotation))
    settings: dict[str, Any] = {"help": help_text, "show_default": False, "metavar": detail(field, "metavar") or None}
    if kinds == [int]:
        bounds = {"min": "ge", "max": "le"}
        settings |= {
            setting: int(getattr(mark, bound))
            for setting, bound in bounds.items()
            for mark in field.metadata
            if getattr(mark, bound, None) is not None
        }
    if kinds in ([int], [float], [bool]) or (get_origin(kinds[0]) is Literal and len(kinds) == 1):
        annotation = kinds[0]
    else:
        annotation = str
        settings |= {"metavar": values_of(field).upper() if kinds == [str] else values_of(field)}
        settings |= {"parser": text_parser(config, name)}
    return Parameter(
        f"option_{name}",  # The command may have a parameter of the same name.
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if field.is_required() else None,
        annotation=Annotated[annotation if field.is_required() else annotation | None, typer.Option(flag_of(name, field), **settings)],
    )  # fmt: skip


def text_parser(config: type[BaseConfig], name: str) -> Callable[[str], Any]:
    """Return a function that parses the text of the option `name`. The function tries the types of this option in order."""
    field = config.model_fields[name]

    def parse(text: str) -> Any:
        for kind in plain_types(field.annotation):
            try:
                value = _read(text, kind)
                config.check_option(name, value)
            except (ValueError, typer.BadParameter):
                continue
            except HsifeatError as error:
                raise typer.BadParameter(str(error)) from error
            return value
        raise typer.BadParameter(f"{flag_of(name, field)} takes {values_of(field)}; found {text!r}")

    return parse


def _read(text: str, kind: Any) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        if text not in arguments:
            raise ValueError(text)
        return text
    if get_origin(kind) is tuple:
        parts = [_read(part, arguments[0]) for part in comma_list(text)]
        if Ellipsis not in arguments and len(parts) != len(arguments):
            raise ValueError(text)
        return tuple(parts)
    if kind is int:
        if re.fullmatch(_WHOLE, text) is None:
            raise ValueError(text)
        return int(text)
    return float(text) if kind is float else text


def evaluated_annotation(annotation: Any, command: Callable[..., None]) -> Any:
    """Return the type annotation of a parameter of `command`. If the annotation is a string, the string is evaluated.

    If the string contains a name that the module of `command` imports for type checkers only, the result is ``object``.
    """
    try:
        return eval(annotation, command.__globals__) if isinstance(annotation, str) else annotation  # noqa: S307  # our own source
    except NameError:
        return object
