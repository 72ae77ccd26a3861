"""Parameters of heads in a benchmark: plain values that a command line and a JSON file can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from hsifeat.base_config import expected_error


def plain_params(value: object) -> dict[str, dict[str, Any]]:
    """Validate parameters of heads, and convert their values to plain Python values.

    `value` maps names of heads to dicts of their parameters. Lists and arrays become tuples.

    >>> import numpy as np
    >>> plain_params({"mlp": {"hidden": [64, 32]}, "svm": {"C": np.float64(10)}})
    {'mlp': {'hidden': (64, 32)}, 'svm': {'C': 10.0}}
    """
    if not isinstance(value, Mapping) or not all(isinstance(params, Mapping) for params in value.values()):
        raise expected_error("parameters by head and name, such as {'svm': {'C': 10}}")
    return {str(head): plain_head_params(params) for head, params in value.items() if params}


def plain_head_params(value: object) -> dict[str, Any]:
    """Validate parameters of one head, and convert their values to plain Python values. Lists and arrays become tuples.

    >>> plain_head_params({"hidden": [64, 32]})
    {'hidden': (64, 32)}
    """
    if not isinstance(value, Mapping):
        raise expected_error("parameters by name, such as {'C': 10}")
    return {str(name): _plain(item) for name, item in value.items()}


# Field type of an option.
HeadParams = Annotated[dict[str, dict[str, Any]], BeforeValidator(plain_params)]


def assignments(params: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Format parameters of heads as values of the option ``--set``, one text per parameter.

    >>> assignments({"mlp": {"hidden": (64,), "validation_fraction": None}, "svm": {"C": 10.0, "gamma": "scale"}})
    ['mlp.hidden=64,', 'mlp.validation_fraction=none', 'svm.C=10.0', 'svm.gamma=scale']
    """
    return [f"{head}.{name}={_text(value)}" for head, values in params.items() for name, value in values.items()]


def _plain(value: Any) -> Any:
    # NumPy scalars and arrays have `tolist`. Importing NumPy to check their type would slow down `hsifeat --help`.
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise expected_error("parameters that are numbers, text, true, false, none, or lists or dicts of these")


def _text(value: Any) -> str:
    """Format a parameter value as text that ``--set`` converts back to the same value."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.isidentifier() and value.lower() not in _WORDS else json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple) and value and all(type(item) is int for item in value):
        return ",".join(map(str, value)) + ("," if len(value) == 1 else "")
    return json.dumps(value)


# Words that the command line converts to other values unless they are quoted.
_WORDS = {"none", "null", "true", "false", "nan", "inf", "infinity"}
