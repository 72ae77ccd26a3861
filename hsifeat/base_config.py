"""Base class of option sets: frozen pydantic models with one-line error messages.

A subclass declares the type, default, unit and help text of each option. Command-line options, preset files and the
reference page of the options are derived from this declaration.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from hsifeat.errors import HsifeatError, suggest_names
from hsifeat.formatting import format_value
from hsifeat.types import as_int


def option(
    description: str,
    *,
    unit: str = "",
    metavar: str = "",
    flags: str = "",
    default: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
) -> Any:
    """Describe an option. The result belongs in the ``Annotated`` type of a `BaseConfig` field.

    Parameters
    ----------
    description : str
        One or two sentences of help, for the command line and the reference page. The text must name the unit in words.
    unit : str
        Unit of the value, such as ``px``, for the table on the reference page.
    metavar : str
        Form of the value on the command line, such as ``ROW,COL``; derived from the type if empty.
    flags : str
        Command-line flags, such as ``--yes/--no``; derived from the field's name if empty.
    default : str
        The default in words, for fields whose default value does not explain itself.
    ge, gt, le : float, optional
        Lower bound, exclusive lower bound and upper bound of a number.

    Returns
    -------
    pydantic.fields.FieldInfo
        The description in the form that pydantic expects.
    """
    # A key of our own does not collide with the keywords of JSON Schema, such as "default".
    extra: Any = {"x-option": {"unit": unit, "metavar": metavar, "flags": flags, "default": default}}
    return Field(description=description, json_schema_extra=extra, ge=ge, gt=gt, le=le)


def expected_error(words: str) -> PydanticCustomError:
    """Create the error that a validator raises for a wrong value; `words` describe the allowed values."""
    return PydanticCustomError("expected", "{words}", {"words": words})


def whole_number(value: object) -> int:
    """Validate a whole number of any integer type, such as NumPy's, and return an int."""
    number = _as_int64(value)
    if number is None:
        raise expected_error("a whole number" if as_int(value) is None else "a whole number of at most 18 digits")
    return number


def repeatable_names(value: object) -> tuple[str, ...]:
    """Validate one name, or a non-empty iterable of names, and return a tuple with all of them."""
    values = (value,) if isinstance(value, str) else _items(value)
    if not values or not all(isinstance(name, str) for name in values):
        raise expected_error("one name or more")
    return values


def names(value: object) -> tuple[str, ...]:
    """Validate one name, or a non-empty iterable of names, and return a tuple of the distinct names."""
    return tuple(dict.fromkeys(repeatable_names(value)))


def whole_numbers(value: object) -> tuple[int, ...]:
    """Validate a non-empty iterable of whole numbers, such as a NumPy array, and return a tuple of the distinct ints."""
    numbers = () if isinstance(value, str | bytes) else tuple(_as_int64(number) for number in _items(value))
    if not numbers or None in numbers:
        raise expected_error("one whole number or more")
    return tuple(dict.fromkeys(number for number in numbers if number is not None))


def pair(value: object) -> tuple[int, int]:
    """Validate two whole numbers, such as a row and a column, and return a tuple of ints."""
    numbers = [_as_int64(number) for number in _items(value)] if not isinstance(value, str | bytes) else []
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
        raise expected_error("two whole numbers")
    return numbers[0], numbers[1]


def whole_number_or_text(value: object) -> int | str:
    """Validate a whole number or text, and return an int or the text."""
    if isinstance(value, str):
        return value
    number = as_int(value)
    if number is None:
        raise expected_error("a whole number or text")
    return number


def _as_int64(value: object) -> int | None:
    number = as_int(value)
    return None if number is None or abs(number) >= 2**63 else number


def _items(value: Any) -> tuple[Any, ...]:
    try:
        return tuple(value)
    except TypeError:
        return ()


def path_text(value: object) -> str:
    """Return the text of a path."""
    if not isinstance(value, str | os.PathLike):
        raise expected_error("a path")
    return os.fsdecode(value)


# Field types for options. They accept NumPy numbers, lists and arrays, and store plain Python values.
Whole = Annotated[int, BeforeValidator(whole_number)]
Wholes = Annotated[tuple[int, ...], BeforeValidator(whole_numbers)]
Pair = Annotated[tuple[int, int], BeforeValidator(pair)]
Names = Annotated[tuple[str, ...], BeforeValidator(names)]
RepeatableNames = Annotated[tuple[str, ...], BeforeValidator(repeatable_names)]
PathText = Annotated[str, BeforeValidator(path_text)]
WholeOrText = Annotated[int | str, BeforeValidator(whole_number_or_text)]


@dataclass(frozen=True)
class OptionRow:
    """One row of a table of options.

    Attributes
    ----------
    name : str
        Name of the option in Python.
    flag : str
        Command-line flag of the option.
    values : str
        Allowed values, or the form of a value.
    default : str
        Default value, or the default in words; empty for a required option.
    unit : str
        Unit of the value, or an empty string.
    help : str
        Description of the option.
    """

    name: str
    flag: str
    values: str
    default: str
    unit: str
    help: str


class BaseConfig(BaseModel):
    """A frozen set of options, which rejects unknown options and values of a wrong type.

    The attribute ``model_fields_set`` contains the names of the options that the user set; see `merged`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=()
    )
    _inherited_from: str = PrivateAttr("")
    _inherited_fields: frozenset[str] = PrivateAttr(frozenset())

    if not TYPE_CHECKING:  # type checkers know the fields as parameters

        def __init__(self, **options: Any) -> None:
            """Validate options. An invalid option raises a `HsifeatError` with a one-line message."""
            try:
                super().__init__(**options)
            except ValidationError as error:
                raise HsifeatError(self._message(error.errors()[0])) from error

        # pydantic does not call this method for a model within another model, whose errors it collects.
        __init__.__pydantic_base_init__ = True

    @property
    def inherited_from(self) -> str:
        """Source of the options that the user did not set, such as ``the preset dift``; empty if these options have their defaults."""
        return self._inherited_from

    @property
    def inherited_fields(self) -> frozenset[str]:
        """Names of the options that the source in `inherited_from` sets, including options that the user overrides."""
        return self._inherited_fields

    @classmethod
    def from_options(cls, options: Mapping[str, Any], *, source: str = "") -> Self:
        """Validate options and return a config. Options with the value None count as not set.

        Parameters
        ----------
        options : mapping of str to object
            Maps the names of options to values.
        source : str
            Source of the options, such as ``the preset dift: extract.``. Error messages start with this text.

        Raises
        ------
        HsifeatError
            If an option is unknown, or if a value is not allowed. The message has one line.
        """
        try:
            return cls.model_validate({name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            raise HsifeatError(source + cls._message(error.errors()[0])) from error

    @classmethod
    def check_option(cls, name: str, value: object) -> None:
        """Raise `HsifeatError` if `value` is not allowed for the option `name`."""
        try:
            cls.model_validate({name: value})
        except ValidationError as error:
            for problem in error.errors():
                if problem["loc"][:1] == (name,):
                    raise HsifeatError(cls._message(problem)) from error

    @classmethod
    def merged(cls, base: Self, options: Mapping[str, Any], *, inherited_from: str = "") -> Self:
        """Validate options, and take all other options from the config `base`.

        The ``model_fields_set`` of the result contains only the options in `options`, not the options from `base`. This
        method does not check whether options conflict with each other.

        Parameters
        ----------
        base : BaseConfig
            Source of the options that are not set.
        options : mapping of str to object
            Maps the names of options to values. None counts as not set.
        inherited_from : str
            Description of `base` for messages, such as ``the preset dift``.
        """
        explicit = cls.from_options(options)
        values = {
            name: getattr(explicit if name in explicit.model_fields_set else base, name) for name in cls.model_fields
        }
        config = cast("Self", cls.model_construct(_fields_set=set(explicit.model_fields_set), **values))
        config._inherited_from = inherited_from  # noqa: SLF001  # of this class
        config._inherited_fields = frozenset(base.model_fields_set)  # noqa: SLF001
        return config

    def with_values(self, **values: Any) -> Self:
        """Return a copy with new values of some options and the same ``model_fields_set``."""
        copy = cast("Self", self.model_construct(_fields_set=set(self.model_fields_set), **{**dict(self), **values}))
        for name in self.__private_attributes__:
            setattr(copy, name, getattr(self, name))
        return copy

    @classmethod
    def _message(cls, error: ErrorDetails) -> str:
        path = [str(part) for part in error["loc"]]
        name = ".".join(path)
        if error["type"] == "extra_forbidden":
            return f"{name}: unknown option; {suggest_names(path[-1], cls.model_fields, count=len(cls.model_fields))}"
        if error["type"] == "missing":
            return f"{name}: required, but not set"
        if error["type"] == "value_error":
            return f"{name}: {error['msg'].removeprefix('Value error, ')}"
        return f"{name}: expected {_words(error)}; found {format_value(error['input'])}"


def _words(error: ErrorDetails) -> str:
    """Describe the allowed values of an option, based on an error of pydantic."""
    context = error.get("ctx", {})
    kinds = {
        "string_type": "text",
        "bool_type": "True or False",
        "int_type": "a whole number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "dict_type": "a section of options",
        "list_type": "a list",
        "greater_than_equal": f"at least {context.get('ge')}",
        "greater_than": f"more than {context.get('gt')}",
        "less_than_equal": f"at most {context.get('le')}",
        "literal_error": str(context.get("expected", "")).replace("'", ""),
        "expected": str(context.get("words", "")),
    }
    return kinds.get(error["type"], error["msg"])


def config_table(config: type[BaseConfig]) -> list[OptionRow]:
    """List the options of a config class, for the reference page.

    Examples
    --------
    >>> class Tea(BaseConfig):
    ...     minutes: Annotated[Whole, option("Time to steep, in minutes.", unit="min", ge=1)] = 3
    >>> row = config_table(Tea)[0]
    >>> row.flag, row.values, row.default, row.unit
    ('--minutes', 'whole number', '3', 'min')
    """
    return [
        OptionRow(name, flag_of(name, field), values_of(field), default_of(field), detail(field, "unit"), field.description or "")
        for name, field in config.model_fields.items()
    ]  # fmt: skip


def detail(field: FieldInfo, name: str) -> str:
    """Return the text that the `option` call of a field passes as the argument `name`, such as ``unit``; empty if none."""
    extra: Any = field.json_schema_extra
    return str(extra["x-option"][name]) if isinstance(extra, dict) else ""


def flag_of(name: str, field: FieldInfo) -> str:
    """Return the command-line flag of a field, such as ``--class-label``."""
    return detail(field, "flags") or f"--{name.replace('_', '-')}"


def default_of(field: FieldInfo) -> str:
    """Return the default of a field in words, or an empty string for a required field."""
    if text := detail(field, "default"):
        return text
    if field.is_required():
        return ""
    if isinstance(field.default, tuple):
        return ",".join(map(str, field.default))
    words = {None: "none", True: "yes", False: "no"}
    # The type is checked too, because 1 equals True.
    return words[field.default] if field.default is None or isinstance(field.default, bool) else str(field.default)


def values_of(field: FieldInfo) -> str:
    """Describe the allowed values of a field in words."""
    if text := detail(field, "metavar"):
        return text
    kinds = list(plain_types(field.annotation))
    if get_origin(kinds[0]) is Literal:
        return " | ".join(map(str, get_args(kinds[0])))
    words = {int: "whole number", float: "number", str: "text", bool: "yes | no"}
    return " or ".join(dict.fromkeys(words.get(kind, str(kind)) for kind in kinds))


def plain_types(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union type. None is skipped, and ``Annotated`` types are unwrapped.

    >>> list(plain_types(Annotated[int, "px"] | str | None))
    [<class 'int'>, <class 'str'>]
    """
    if get_origin(annotation) is Annotated:
        yield from plain_types(get_args(annotation)[0])
    elif get_origin(annotation) is None or get_origin(annotation) in {tuple, Literal}:
        if annotation is not type(None):
            yield annotation
    else:
        for member in get_args(annotation):
            yield from plain_types(member)
