"""Loading of classes that packages register as entry points, such as heads and noise policies."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TypeVar

from hsifeat.errors import HsifeatError, error_summary

T = TypeVar("T")


def load_subclass(entry: EntryPoint, base: type[T], noun: str, error_class: type[HsifeatError]) -> type[T]:
    """Import the class that an entry point names.

    Parameters
    ----------
    entry : EntryPoint
        The entry point.
    base : type
        Required base class.
    noun : str
        Kind of the class for error messages, such as ``head``.
    error_class : type
        Class of the errors to raise.

    Raises
    ------
    HsifeatError
        If the class can't be imported, or is not a subclass of `base`. The raised error is an `error_class`.

    Examples
    --------
    >>> load_subclass(EntryPoint("ordered", "collections:OrderedDict", "hsifeat.heads"), dict, "head", HsifeatError)
    <class 'collections.OrderedDict'>
    """
    try:
        loaded = entry.load()
    except Exception as error:  # another package's code may raise anything
        raise error_class(
            f"the {noun} {entry.name} can't be loaded: {error_summary(error)}; install what its package needs, or remove the "
            "package"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise error_class(f"the {noun} {entry.name} is {entry.value}, which is no subclass of {base.__name__}")
    return loaded
