"""Find heads by name among the entry points of installed packages.

Built-in heads are in the same entry point group as the heads of other packages.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from classifiers.heads.base import Head, ProbabilisticHead
from classifiers.heads.parameters import check_params
from classifiers.heads.weighing import WeighingHead
from classifiers.layout import Layout
from hsifeat.errors import HeadError, allowed_names, suggest_names
from hsifeat.formatting import format_value
from hsifeat.registration import distribution_of, load_subclass, registered_entries

GROUP = "hsifeat.heads"


def head_names() -> list[str]:
    """Return the names of all installed heads, sorted.

    >>> "film" in head_names()
    True
    """
    return sorted(_registered())


def head_class(name: str) -> type[Head]:
    """Return the class of the head with the name `name`.

    Raises
    ------
    HeadError
        If no installed package registers the name. If the registered class can't be imported.

    Examples
    --------
    >>> head_class("svm").__name__
    'SVMClassifier'
    """
    registered = _registered()
    if not isinstance(name, str) or name not in registered:
        raise HeadError(f"no head is named {format_value(name)}; {suggest_names(str(name), sorted(registered))}")
    return load_subclass(registered[name], Head, "head", HeadError)  # type: ignore[type-abstract]


def registered_name(head: Head) -> str:
    """Return the name of a head from its class.

    Raises
    ------
    HeadError
        If the class is not registered.
    """
    cls = type(head)
    value = f"{cls.__module__}:{cls.__qualname__}"
    for name, entry in sorted(_registered().items()):
        if entry.value == value:
            return name
    raise HeadError(f"{value} is not a registered head; add it to the entry points of group {GROUP!r}")


def head_distribution(name: str) -> dict[str, str]:
    """Return the name and version of the package that provides a head, as ``{name: version}``.

    For a built-in head, the dict is empty.
    """
    return distribution_of(_registered()[name])


def describe_head(name: str) -> dict[str, Any]:
    """Return the properties of a head as a dict.

    Parameters
    ----------
    name : str
        One of `head_names`.

    Returns
    -------
    dict
        - ``name``: name of the head.
        - ``summary``: first line of the docstring of the class.
        - ``needs``: list of the column kinds that the head requires.
        - ``wants``: list of the column kinds that the head uses if the table has them.
        - ``advice``: when to use the head.
        - ``probabilities``: whether the head predicts class probabilities.
        - ``weights``: whether the head accepts row weights.
        - ``parameters``: dict that maps each parameter to its default value.
        - ``package``: ``{name: version}`` of the package that provides the head; empty for a built-in head.

    Raises
    ------
    HeadError
        If the head is unknown or can't be imported.

    Examples
    --------
    >>> describe_head("svm")["summary"]
    'Support vector machine with an RBF kernel (Cortes and Vapnik, Mach. Learn. 1995)'
    """
    cls = head_class(name)
    return {
        "name": name,
        "summary": (cls.__doc__ or "").strip().partition("\n")[0].rstrip("."),
        "needs": cls.missing_kinds(),
        "wants": sorted(cls.wants),
        "advice": cls.advice,
        "probabilities": issubclass(cls, ProbabilisticHead),
        "weights": issubclass(cls, WeighingHead),
        "parameters": {key: value for key, value in cls().get_params(deep=False).items() if key != "layout"},
        "package": head_distribution(name),
    }


def as_head_params(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parameters of a head as a dict.

    Raises
    ------
    HeadError
        If `params` is not a dict with str keys. If it sets ``layout``, which a head gets from its table, or ``name``.
    """
    params = {} if params is None else params
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise HeadError(f"parameters are a dict by name such as {{'C': 10}}; found {format_value(params)}")
    if "layout" in params:
        raise HeadError("the layout of a head is that of its table, and is no parameter to set: leave it out")
    if "name" in params:
        raise HeadError("the name of a head is no parameter: choose another head with `head`")
    return dict(params)


def make_head(name: str, layout: Layout | None = None, **params: Any) -> Head:
    """Make an unfitted head.

    Parameters
    ----------
    name : str
        One of `head_names`.
    layout : Layout or None
        Description of the table's columns. [default: unknown, so all columns are treated alike]
    **params
        Parameters of the head. Parameters that are not passed have their defaults.

    Returns
    -------
    Head
        A scikit-learn classifier.

    Raises
    ------
    HeadError
        If the head or a parameter is unknown. If `layout` is not a `Layout`. If a value has a wrong type or is out of
        range.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(20, 4))
    >>> y = np.arange(20) % 2
    >>> head = make_head("lda").fit(X + 5 * y[:, None], y)
    >>> head.predict([[0.0] * 4, [5.0] * 4]).tolist()
    [0, 1]
    """
    cls = head_class(name)
    allowed = sorted(set(cls().get_params(deep=False)) - {"layout"})
    if not isinstance(layout, Layout | None):
        raise HeadError(
            f"the layout of the head {name!r} describes the columns of a table, such as PixelTable.layout, and is no parameter to set; found "
            f"{layout!r}"
        )
    for param in params:
        if param not in allowed:
            raise HeadError(f"head {name!r} has no parameter {param!r}; {allowed_names(allowed)}")
    values = {param: tuple(value) if isinstance(value, list) else value for param, value in params.items()}
    check_params(name, cls, values)
    return cls(layout=layout, **values)


@cache
def _registered() -> dict[str, EntryPoint]:
    return registered_entries(GROUP)
