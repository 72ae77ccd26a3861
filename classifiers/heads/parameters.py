"""Types of head parameters, and a check of parameter values against these types.

The constructor of a scikit-learn estimator accepts any value; only `fit` reports wrong values. `make_head` reports them
before any data are read: it checks each value against the type and range in the annotation of the parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from inspect import signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from hsifeat.errors import HeadError

# Numbers beyond these bounds are typing errors: such a fit would not end, would not fit into memory, or would learn nothing.
Whole = Annotated[int, Field(ge=0, le=1_000_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Rounds = Annotated[int, Field(ge=1, le=100_000)]
Units = Annotated[int, Field(ge=1, le=65_536)]
Depth = Annotated[int, Field(ge=1, le=100)]
Threads = Annotated[int, Field(ge=-1, le=1024)]
Members = Annotated[int, Field(ge=1, le=1000)]
Leaves = Annotated[int, Field(ge=2, le=131_072)]  # the largest number of LightGBM
BatchRows = Annotated[int, Field(ge=2, le=1_000_000)]
Positive = Annotated[float, Field(ge=1e-9, le=1_000_000_000)]
NotNegative = Annotated[float, Field(ge=0, le=1_000_000_000)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]  # larger numbers overflow float32
Fraction = Annotated[float, Field(ge=1e-6, le=1)]
Strength = Literal[0] | Annotated[float, Field(ge=1e-3, le=1000)]  # of a Dirichlet distribution, in float32
HeldShare = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Components = Count | None
Widths = tuple[Units, ...]
Vote = Literal["mean", "majority"]
Seed = Annotated[int, Field(ge=0, lt=2**32)] | np.random.RandomState | None
ClassWeight = dict[Any, Weight] | Literal["balanced"] | None

_CONFIG = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False, strict=True)
_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false", NoneType: "none"}
_BOUND_WORDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def check_params(head: str, cls: type, params: Mapping[str, Any]) -> None:
    """Check parameter values against the declared types and ranges of a head.

    Parameters
    ----------
    head : str
        Name of the head.
    cls : type
        Class of the head. A parameter without an annotation accepts any value.
    params : mapping
        Maps names of parameters to their values.

    Raises
    ------
    HeadError
        If a value is not allowed. The message names the parameter, the value, the allowed values and the default.
    """
    for name, value in params.items():
        plain = value.item() if isinstance(value, np.generic) else value
        try:
            _validator(cls, name).validate_python(plain)
        except ValidationError as error:
            hint = _hints(cls)[name]
            raise HeadError(
                f"{name} of the head {head} is {plain!r}; allowed: {describe_type(hint)}; "
                f"the default is {name}={format_value(signature(cls).parameters[name].default)}"
            ) from error


@cache
def _validator(cls: type, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_hints(cls).get(name, Any), config=_CONFIG)


@cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        # A dataclass annotates parameters as fields; any other class annotates them in its constructor.
        return get_type_hints(cls if is_dataclass(cls) else cls.__init__, include_extras=True)  # type: ignore[misc]
    except NameError:  # another package's head has annotations that exist for type checkers only
        return {}


def describe_type(hint: Any) -> str:
    """Describe in words which values an annotation allows.

    >>> describe_type(Components), describe_type(Widths | None)
    ('a whole number from 1 to 1000000, or none', 'a list of numbers, such as 64,32, each a whole number from 1 to 65536, or none')
    >>> describe_type(Share | Literal["auto"])
    'a number from 0 to 1, or auto'
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [bound for info in inner[1:] if isinstance(info, FieldInfo) for bound in info.metadata]
        limits = [
            f"{word} {getattr(bound, name)}"
            for bound in bounds
            for name, word in _BOUND_WORDS.items()
            if hasattr(bound, name)
        ]
        return " ".join([describe_type(inner[0]), *limits])
    if origin in (Union, UnionType):
        return ", or ".join(describe_type(one) for one in inner)
    if origin is Literal:
        return ", or ".join(map(str, inner))
    if origin is tuple:
        return f"a list of numbers, such as 64,32, each {describe_type(inner[0])}"
    if origin is dict:
        return 'weights by label such as {"1": 2.5, "2": 1}'
    return _TYPE_NAMES.get(hint) or str(getattr(hint, "__name__", hint))


def format_value(value: Any) -> str:
    """Format a parameter value as text that the command line accepts.

    >>> [format_value(value) for value in (None, True, (128, 32), (64,), "auto", 0.5)]
    ['none', 'true', '128,32', '64,', 'auto', '0.5']
    """
    if isinstance(value, tuple):
        return ",".join(map(format_value, value)) + ("," if len(value) == 1 else "")
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
