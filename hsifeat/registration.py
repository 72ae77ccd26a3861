"""Lookup of objects that packages register as entry points, such as heads and noise policies."""

from __future__ import annotations

from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, TypeVar

from hsifeat.errors import HsifeatError, error_summary

T = TypeVar("T")
OWN_DISTRIBUTION = "hsifeat"


class ConflictingEntryPoint(EntryPoint):
    """Placeholder for an entry point that several packages register under the same name. Loading it raises an error.

    Parameters
    ----------
    entry, other : EntryPoint
        Entry points of two packages.
    """

    def __init__(self, entry: EntryPoint, other: EntryPoint) -> None:
        super().__init__(entry.name, entry.value, entry.group)
        packages = " and ".join(sorted({package_of(entry), package_of(other)}))
        vars(self).update(problem=f"{packages} register {entry.name!r} in {entry.group} each: uninstall one of them")

    def load(self) -> Any:
        """Raise a `HsifeatError` that names the packages that register the entry point."""
        raise HsifeatError(vars(self)["problem"])


def registered_entries(group: str) -> dict[str, EntryPoint]:
    """Return a dict that maps names to the entry points of a group, in alphabetical order of the names.

    If several packages register different objects under one name, the name is mapped to a `ConflictingEntryPoint`.

    >>> list(registered_entries("hsifeat.executors"))
    ['dask']
    """
    entries: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group)):
        other = entries.setdefault(entry.name, entry)
        if other.value != entry.value:
            entries[entry.name] = ConflictingEntryPoint(entry, other)
    return entries


def package_of(entry: EntryPoint) -> str:
    """Return a text such as ``package hsifeat``, which names the package that registers an entry point."""
    return f"package {entry.dist.name if entry.dist else entry.module}"


def distribution_of(entry: EntryPoint) -> dict[str, str]:
    """Return the name and version of the package that registers an entry point, as ``{name: version}``; empty for hsifeat itself."""
    return {} if entry.dist is None else _name_and_version(entry.dist)


@cache
def _name_and_version(distribution: Distribution) -> dict[str, str]:
    # Reading takes milliseconds, and a benchmark needs it for each run.
    name = distribution.name
    return {} if name == OWN_DISTRIBUTION else {name: distribution.version}


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
        If the class can't be imported, or is not a subclass of `base`. The error has the class `error_class`.

    Examples
    --------
    >>> load_subclass(EntryPoint("ordered", "collections:OrderedDict", "hsifeat.heads"), dict, "head", HsifeatError)
    <class 'collections.OrderedDict'>
    """
    try:
        loaded = entry.load()
    except HsifeatError as error:
        raise error_class(f"the {noun} {entry.name} can't be loaded: {error}") from error
    except Exception as error:  # another package's code may raise anything
        raise error_class(
            f"the {noun} {entry.name} can't be loaded: {error_summary(error)}; install what its package needs, or remove the "
            "package"
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise error_class(f"the {noun} {entry.name} is {entry.value}, which is no subclass of {base.__name__}")
    return loaded
