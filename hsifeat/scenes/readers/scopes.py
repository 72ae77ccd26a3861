"""Lookup of names that a variable refers to: first in the variable's group, then in the group's parents, as in netCDF.

Variables and dimensions are named by their path from the root of the file, such as ``swir/reflectance``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence


def group_of(name: str) -> str:
    """Return the path of the group that contains a variable; the path of the root group is an empty string."""
    return name.rpartition("/")[0]


def enclosing_groups(group: str) -> Iterator[str]:
    """Yield a group and its parents, up to the root.

    >>> list(enclosing_groups("a/b"))
    ['a/b', 'a', '']
    """
    while group:
        yield group
        group = group_of(group)
    yield ""


def join(group: str, name: str) -> str:
    """Return the path of a variable or dimension in a group."""
    return f"{group}/{name}".strip("/")


def find_reference(reference: str, name: str, names: Iterable[str]) -> str | None:
    """Return the path of the variable that an attribute refers to, or None if no such variable exists.

    Parameters
    ----------
    reference : str
        Name as stored: an absolute path, a relative path, or a name that is looked up in the group of `name` and the
        parents of this group.
    name : str
        Path of the variable with the attribute.
    names : iterable of str
        Paths of all variables.

    Examples
    --------
    >>> names = ["crs", "a/crs", "b/cube"]
    >>> find_reference("crs", "a/cube", names), find_reference("crs", "b/cube", names), find_reference("../crs", "a/cube", names)
    ('a/crs', 'crs', 'crs')
    """
    known = set(names)
    if reference.startswith("/"):
        return reference.strip("/") if reference.strip("/") in known else None
    group = group_of(name)
    if reference.startswith("."):
        parts = group.split("/") if group else []
        for part in reference.split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part != ".":
                parts.append(part)
        return "/".join(parts) if "/".join(parts) in known else None
    return next((path for g in enclosing_groups(group) if (path := join(g, reference)) in known), None)


def nearest(candidates: Sequence[str], name: str, cubes: Iterable[str]) -> tuple[str, ...]:
    """Return the candidates that lie in the group nearest to the variable `name`.

    The group of the variable is searched first, then each parent of this group, then the attributes of the variable, whose paths begin with its own. If none of these groups has a candidate,
    the rest of the file is searched. There, a candidate is left out if a branch without the variable contains the
    candidate and a cube, because the candidate probably describes that cube. A branch is a group with all its subgroups.

    Parameters
    ----------
    candidates : sequence of str
        Paths of variables that may describe the variable `name`.
    name : str
        Path of the variable.
    cubes : iterable of str
        Paths of all arrays of three or more dimensions.

    Examples
    --------
    >>> nearest(["vnir/wavelength", "wavelength"], "swir/cube", ["vnir/cube", "swir/cube"])
    ('wavelength',)
    >>> nearest(["vnir/wavelength"], "swir/cube", ["vnir/cube", "swir/cube"])
    ()
    >>> nearest(["info/wavelength"], "data/cube", ["data/cube"])
    ('info/wavelength',)
    """
    group, others = group_of(name), [cube for cube in cubes if cube != name]
    for enclosing in enclosing_groups(group):
        if own := tuple(candidate for candidate in candidates if group_of(candidate) == enclosing):
            return own
    if own := tuple(candidate for candidate in candidates if group_of(candidate) == name):
        return own
    return tuple(c for c in candidates if not any(cube.startswith(f"{_branch(c, group)}/") for cube in others))


def _branch(candidate: str, group: str) -> str:
    """Return the topmost group that contains `candidate` but does not contain `group`."""
    enclosing = set(enclosing_groups(group))
    return [g for g in enclosing_groups(group_of(candidate)) if g not in enclosing][-1]


def locate_dimension(dim: str, size: int, group: str, arrays: Mapping[str, tuple[Sequence[str], Sequence[int]]]) -> str:
    """Return the path of a dimension in a format such as Zarr, in which arrays name their dimensions without a path.

    Parameters
    ----------
    dim : str
        Name of the dimension.
    size : int
        Length of the dimension.
    group : str
        Group of an array with this dimension.
    arrays : mapping of str to (dims, shape)
        Dimension names and shapes of all arrays, by path.

    Returns
    -------
    str
        Path of the dimension. `group` and then each parent group are searched for the coordinates of the dimension: a vector
        with the name and the length of the dimension. The dimension belongs to the first group that has such a vector. If no
        group has one, the same groups are searched again in reverse order, from the root, for an array with a dimension of
        this name and length. The dimension belongs to the first group that has such an array.
    """
    enclosing = list(enclosing_groups(group))
    for candidate in enclosing:
        dims, shape = arrays.get(join(candidate, dim), ((), ()))
        if tuple(dims) == (dim,) and tuple(shape) == (size,):
            return join(candidate, dim)
    users = {group_of(name) for name, (dims, shape) in arrays.items() if (dim, size) in zip(dims, shape, strict=False)}
    return join(next((g for g in reversed(enclosing) if g in users), group), dim)
