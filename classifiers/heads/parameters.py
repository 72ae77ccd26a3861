"""What parameters of heads may be: kinds and ranges that constructors declare, checked before anything is read.

scikit-learn's estimators take any value when they are made. So a head declares by the annotations of its constructor what
`fit` can use, and `make_head`, where the words of a command line come in, holds values against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from hsifeat.errors import HeadError

Whole = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Leaves = Annotated[int, Field(ge=2)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Components = Count | None
Widths = tuple[Count, ...]
Seed = Annotated[int, Field(ge=0, lt=2**32)] | np.random.RandomState | None
ClassWeight = dict[Any, NotNegative] | Literal["balanced"] | None

_CONFIG = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False, strict=True)
_KINDS = {int: "a whole number", float: "a number", str: "a word", bool: "true or false", NoneType: "none"}
_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def check_params(head: str, cls: type, params: Mapping[str, Any]) -> None:
    """Refuse values that the constructor of a head does not declare.

    Parameters
    ----------
    head : str
        Its name.
    cls : type
        Its class; a parameter without an annotation takes anything.
    params : mapping
        Values by the names of parameters.

    Raises
    ------
    HeadError
        Naming the parameter, what was found, what is allowed, and the default.
    """
    try:
        declared = signature(cls, eval_str=True).parameters
    except NameError:  # another package's head, whose annotations are for type checkers only
        return
    for name, value in params.items():
        hint = declared[name].annotation
        hint = Any if hint is Parameter.empty else hint
        plain = value.item() if isinstance(value, np.generic) else value
        try:
            TypeAdapter(hint, config=_CONFIG).validate_python(plain)
        except ValidationError as error:
            raise HeadError(
                f"{name} of the head {head} is {plain!r}; allowed: {allowed(hint)}; "
                f"the default is {name}={written(declared[name].default)}"
            ) from error


def allowed(hint: Any) -> str:
    """Say in words what an annotation allows.

    >>> allowed(Components), allowed(Widths | None)
    ('a whole number from 1, or none', 'a list such as 64,32 or 64, with each a whole number from 1, or none')
    >>> allowed(Share | Literal["auto"])
    'a number from 0 to 1, or auto'
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        bounds = [one for info in inner[1:] if isinstance(info, FieldInfo) for one in info.metadata]
        told = [
            f"{word} {getattr(one, name)}" for one in bounds for name, word in _BOUNDS.items() if hasattr(one, name)
        ]
        return " ".join([allowed(inner[0]), *told])
    if origin in (Union, UnionType):
        return ", or ".join(allowed(one) for one in inner)
    if origin is Literal:
        return ", or ".join(map(str, inner))
    if origin is tuple:
        return f"a list such as 64,32 or 64, with each {allowed(inner[0])}"
    if origin is dict:
        return 'weights by label such as {"1": 2.5, "2": 1}'
    return _KINDS.get(hint) or str(getattr(hint, "__name__", hint))


def written(value: Any) -> str:
    """Write a value as a command line gives it.

    >>> [written(value) for value in (None, True, (128, 32), (64,), "auto", 0.5)]
    ['none', 'true', '128,32', '64,', 'auto', '0.5']
    """
    if isinstance(value, tuple):
        return ",".join(map(written, value)) + ("," if len(value) == 1 else "")
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
