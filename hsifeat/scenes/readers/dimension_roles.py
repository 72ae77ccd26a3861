"""Detection of the row, column and band axes of a variable from dimension names and coordinates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hsifeat.scenes.readers.raster import FileVariable

_BANDS = {
    "band", "bands", "nbands", "n_bands", "wavelength", "wavelengths", "wl", "wave", "lambda", "channel", "channels",
    "spectral", "spectral_band", "spectral_bands", "spectral_channel", "spectral_channels", "number_of_bands",
}  # fmt: skip
_ROWS = {
    "y", "row", "rows", "line", "lines", "lat", "latitude", "northing", "downtrack", "along_track", "number_of_lines",
    "height", "ny", "yc", "projection_y_coordinate", "south_north",
}  # fmt: skip
_COLS = {
    "x", "col", "cols", "column", "columns", "sample", "samples", "lon", "longitude", "easting", "crosstrack",
    "cross_track", "across_track", "pixels_per_line", "width", "nx", "xc", "projection_x_coordinate", "west_east",
}  # fmt: skip
_COORDINATE_NAMES = {"lat", "latitude", "lon", "longitude", "latitudes", "longitudes"}


def is_coordinate(name: str, variable: FileVariable) -> bool:
    """Return whether a variable contains latitudes or longitudes of pixels."""
    last = name.rpartition("/")[2].lower()
    return bool({last, str(variable.attrs.get("standard_name", ""))} & _COORDINATE_NAMES)


def squeeze_axes(variable: FileVariable, ndim: int) -> tuple[int, ...]:
    """Leave out surplus axes of length 1, such as a time axis, and return the indices of the other axes.

    Parameters
    ----------
    variable : FileVariable
        A variable of `ndim` or more dimensions.
    ndim : int
        Number of axes to keep. If too few axes have length 1, more axes are kept.
    """
    axes = list(range(len(variable.array.shape)))
    # Axes that are not named like rows, columns or bands are removed first.
    single = sorted(
        (axis for axis in axes if variable.array.shape[axis] == 1), key=lambda a: bool(_role(variable, a, {}))
    )
    for axis in single[: max(len(axes) - ndim, 0)]:
        axes.remove(axis)
    return tuple(axes)


def find_axis_order(
    variable: FileVariable, axes: tuple[int, ...], variables: Mapping[str, FileVariable], name: str
) -> tuple[tuple[int, ...], bool, tuple[str, ...]]:
    """Find which axes of a variable are rows, columns and bands.

    Parameters
    ----------
    variable : FileVariable
        The variable.
    axes : tuple of int
        Axis indices of the variable, from `squeeze_axes`.
    variables : mapping of str to FileVariable
        All variables of the file, by name. A variable with the name of a dimension contains the coordinates of that
        dimension.
    name : str
        Name of the file, for notes.

    Returns
    -------
    axes : tuple of int
        Axis indices in the order rows, columns, bands. If the file does not define this order, the argument `axes` is
        returned unchanged.
    ordered : bool
        Whether dimension names and coordinates define the order.
    notes : tuple of str
        Notes on axes that were assigned to rows, columns or bands by elimination.
    """
    if not variable.dims:
        return axes, False, ()
    roles = {axis: _role(variable, axis, variables) for axis in axes}
    by_role = {role: axis for axis, role in roles.items() if role}
    if len(by_role) != sum(map(bool, roles.values())) or not by_role:
        return axes, False, ()
    expected = ["rows", "cols", "bands"][: len(axes)] if len(axes) == 3 else ["rows", "cols"]
    if not set(by_role) <= set(expected) or len(expected) != len(axes):
        return axes, False, ()
    # One axis without a role gets the missing role. Two such axes are rows and columns, in the order of the file.
    other_axes = [axis for axis in axes if not roles[axis]]
    other_roles = [role for role in expected if role not in by_role]
    if len(other_axes) == 2 and "bands" in other_roles:
        return axes, False, ()
    notes = tuple(
        f"{name}: assumed its dimension {variable.dims[axis]} to be {role}"
        for role, axis in zip(other_roles, other_axes, strict=True)
    )
    by_role |= dict(zip(other_roles, other_axes, strict=True))
    return tuple(by_role[role] for role in expected), True, notes


def _role(variable: FileVariable, axis: int, variables: Mapping[str, FileVariable]) -> str:
    """Return the role of an axis: ``rows``, ``cols``, ``bands``, or an empty string if unknown."""
    if not variable.dims:
        return ""
    dim = variable.dims[axis]
    coordinate = variables.get(dim)
    return role_of_dimension(dim, {} if coordinate is None else coordinate.attrs)


def role_of_dimension(dimension: str, attrs: Mapping[str, Any]) -> str:
    """Return the role of a dimension: ``rows``, ``cols``, ``bands``, or an empty string if unknown.

    Parameters
    ----------
    dimension : str
        Name of the dimension.
    attrs : mapping of str to object
        Attributes of its coordinates. Of those of the CF conventions, ``axis`` and ``standard_name`` are used.

    Examples
    --------
    >>> role_of_dimension("a", {"axis": "X"}), role_of_dimension("a", {"standard_name": "latitude"})
    ('cols', 'rows')
    """
    letter = str(attrs.get("axis", "")).upper()
    names = role_of_name(dimension), role_of_name(str(attrs.get("standard_name", "")))
    for role, role_letter in (("bands", "-"), ("rows", "Y"), ("cols", "X")):
        if role in names or letter == role_letter:
            return role
    return ""


def role_of_name(dimension: str) -> str:
    """Return the role that the name of a dimension states: ``rows``, ``cols``, ``bands``, or an empty string if none.

    Names of `hsifeat.Features.to_xarray` may end with the stride of a plane.

    >>> role_of_name("latitude"), role_of_name("x_s4"), role_of_name("time")
    ('rows', 'cols', '')
    """
    name = re.sub(r"_s[0-9]+$", "", dimension.rpartition("/")[2].lower())
    return next((role for role, names in (("bands", _BANDS), ("rows", _ROWS), ("cols", _COLS)) if name in names), "")
