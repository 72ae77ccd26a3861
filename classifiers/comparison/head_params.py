"""Parameters of heads in a benchmark: plain values that a command line and a JSON file can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from classifiers.heads.registry import make_head
from hsifeat.base_config import expected_error
from hsifeat.errors import HeadError


def plain_params(value: object) -> dict[str, dict[str, Any]]:
    """Validate parameters by head and name, and return them with plain values and lists as tuples.

    >>> plain_params({"mlp": {"hidden": [64, 32]}, "svm": {"C": np.float64(10)}})
    {'mlp': {'hidden': (64, 32)}, 'svm': {'C': 10.0}}
    """
    heads = value if isinstance(value, Mapping) else {}
    if not heads or not all(isinstance(params, Mapping) for params in heads.values()):
        raise expected_error("parameters by head and name, such as {'svm': {'C': 10}}")
    return {
        str(head): {str(name): _plain(item) for name, item in params.items()}
        for head, params in heads.items()
        if params
    }


# Field type of an option.
HeadParams = Annotated[dict[str, dict[str, Any]], BeforeValidator(plain_params)]


def check_head_params(params: Mapping[str, Mapping[str, Any]], heads: Sequence[str]) -> None:
    """Check parameters before a benchmark.

    Raises
    ------
    HeadError
        A head is not compared, or a parameter is unknown, has a wrong value, or is set by each run.
    """
    for head, values in params.items():
        if head not in heads:
            raise HeadError(
                f"parameters are set for the head {head}, which is not compared; compared: {', '.join(heads)}"
            )
        if "random_state" in values:
            raise HeadError(f"random_state of the head {head} is the seed of each run: set the number of seeds instead")
        make_head(head, **values)


def assignments(params: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return parameters as the values of ``--set``.

    >>> assignments({"mlp": {"hidden": (64,), "validation_fraction": None}, "svm": {"C": 10.0, "gamma": "scale"}})
    ['mlp.hidden=64,', 'mlp.validation_fraction=none', 'svm.C=10.0', 'svm.gamma=scale']
    """
    return [f"{head}.{name}={_text(value)}" for head, values in params.items() for name, value in values.items()]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise expected_error("parameters that are numbers, text, true, false, none, or lists or dicts of these")


def _text(value: Any) -> str:
    """Format a value so that ``--set`` reads the same value."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.isidentifier() and value.lower() not in _WORDS else json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple) and value and all(type(item) is int for item in value):
        return ",".join(map(str, value)) + ("," if len(value) == 1 else "")
    return json.dumps(value)


# Text that means another value without quotes.
_WORDS = {"none", "null", "true", "false", "nan", "inf", "infinity"}
