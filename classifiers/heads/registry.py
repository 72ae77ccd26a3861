"""Heads by name. The built-in ones are registered by entry point like those of third parties."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from classifiers.heads.base import Head
from classifiers.heads.parameters import check_params
from classifiers.layout import Layout
from hsifeat.errors import HeadError, suggest_names

GROUP, OURS = "hsifeat.heads", "hsifeat"


def head_names() -> list[str]:
    """Return the names that `make_head` knows, in alphabetical order."""
    return sorted(_registered())


def head_class(name: str) -> type[Head]:
    """Return the class of a head by its name.

    Raises
    ------
    HeadError
        If no installed package registers the name, or its class can't be imported.
    """
    registered = _registered()
    if name not in registered:
        raise HeadError(f"no head is named {name!r}; {suggest_names(name, sorted(registered))}")
    try:
        loaded = registered[name].load()
    except (ImportError, AttributeError) as error:
        raise HeadError(
            f"head {name!r} is registered as {registered[name].value} but can't be imported: {error}; "
            "install what it needs or remove its package"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Head)):
        raise HeadError(f"head {name!r} is registered as {registered[name].value}, which is no subclass of Head")
    return loaded


def registered_name(head: Head) -> str:
    """Return the name under which the class of a head is registered.

    Raises
    ------
    HeadError
        If it is not registered.
    """
    cls = type(head)
    value = f"{cls.__module__}:{cls.__qualname__}"
    for name, entry in sorted(_registered().items()):
        if entry.value == value:
            return name
    raise HeadError(f"{value} is not a registered head; add it to the entry points of group {GROUP!r}")


def head_distribution(name: str) -> dict[str, str]:
    """Return the name and version of the package that registers a head, as ``{name: version}``; nothing for our own heads."""
    found = _registered()[name].dist
    return {} if found is None or found.name == OURS else {found.name: found.version}


def make_head(name: str, layout: Layout | None = None, **params: Any) -> Head:
    """Make an unfitted head.

    Parameters
    ----------
    name : str
        One of `head_names`.
    layout : Layout or None
        Which columns of the table are what. None treats all columns alike.
    **params
        Parameters of the head; what is left out keeps its default.

    Returns
    -------
    Head
        A scikit-learn classifier.

    Raises
    ------
    HeadError
        If the head or a parameter is unknown, or a value is not what the head declares.
    """
    cls = head_class(name)
    allowed = sorted(set(cls().get_params(deep=False)) - {"layout"})
    for param in params:
        if param not in allowed:
            raise HeadError(f"head {name!r} has no parameter {param!r}; allowed: {', '.join(allowed)}")
    given = {param: tuple(value) if isinstance(value, list) else value for param, value in params.items()}
    check_params(name, cls, given)
    return cls(layout=layout, **given)


@cache
def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
