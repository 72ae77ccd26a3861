"""Georeference of a variable according to the CF conventions, from its grid mapping and coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.longitudes import whole_turn
from hsifeat.scenes.readers.coordinate_units import coordinate_scale, parse_unit, unit_of_crs
from hsifeat.scenes.readers.pixel_coordinates import Transform, count_pixels, part_of_grid
from hsifeat.scenes.readers.raster import FileVariable
from hsifeat.scenes.readers.scopes import find_reference
from hsifeat.scenes.readers.spectrum import parse_numbers

if TYPE_CHECKING:
    from pyproj import CRS

# Largest rounding error of coordinates from which a transform is computed, as a fraction of a cell.
_MAX_ROUNDING = 0.25
# Largest difference between coordinates and the attribute `GeoTransform`, as a fraction of a cell.
_MAX_SHIFT = 0.1
# Coordinates of an axis that are not named like its dimension have one of these standard names or names (CF, section 5).
_STANDARD_NAMES = {
    "y": {"latitude", "grid_latitude", "projection_y_coordinate"},
    "x": {"longitude", "grid_longitude", "projection_x_coordinate"},
}
_AXIS_NAMES = {"y": {"y", "yc", "lat", "latitude", "northing"}, "x": {"x", "xc", "lon", "longitude", "easting"}}
_DISAGREE = (
    "its coordinates and its GeoTransform disagree, as in GDAL's files with a rotated grid; the coordinates are used, which may be "
    "wrong"
)


def read_cf_georeference(
    variable_name: str, dims: Sequence[str], variables: Mapping[str, FileVariable], name: str
) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the georeference of a variable.

    The CRS is read from the grid mapping of the variable. The transform is computed from the coordinates of rows and
    columns, which are converted from their unit to that of the CRS. A single row or column has its position from its
    coordinate, and its size from GDAL's attribute ``GeoTransform``. If there are no coordinates, or if they are not evenly spaced
    but each lies in its cell of the grid of ``GeoTransform``, the transform is that of ``GeoTransform``. Coordinates in pixels,
    as `hsifeat.Features.to_xarray` writes them for a rotated grid, say which part of this grid the variable has.

    Parameters
    ----------
    variable_name : str
        Path of the variable. The grid mapping is looked up in the group of the variable and the parents of this group.
    dims : sequence of str
        Paths of the dimensions of the variable, starting with rows and columns.
    variables : mapping of str to FileVariable
        All variables of the file, by path.
    name : str
        Name of the file, for notes.

    Returns
    -------
    georeference : Georeference or None
        Georeference of the grid; None without a usable transform.
    notes : tuple of str
        Notes on metadata that could not be read or is ambiguous.
    """
    variable = variables[variable_name]
    reference = str(variable.attrs.get("grid_mapping", "")).split(":")[0].strip()
    mapping_name = find_reference(reference or "spatial_ref", variable_name, variables)
    mapping = None if mapping_name is None else variables[mapping_name]
    y, x = (None if key is None else variables[key] for key in axis_coordinates(dims, variables))
    units = ["" if axis is None else axis.unit.strip() for axis in (x, y)]
    crs, has_wkt, notes = _read_crs(variable, mapping, units, name)
    if reference and mapping is None:
        notes += (
            f"{name}: has no grid mapping {reference!r} in the group of {variable_name} or in its parents; it is ignored",
        )
    scales, unit_notes = _axis_scales(units, crs, has_wkt, name)
    notes += unit_notes
    gdal_transform = None if mapping is None else read_gdal_transform(mapping)
    in_pixels = count_pixels(y) and count_pixels(x)
    if gdal_transform is not None and not has_wkt and not in_pixels:
        # Its unit is that of the CRS in the file, which is that of the coordinates if the file has no WKT.
        gdal_transform = None if None in scales else _scale(gdal_transform, scales)
    rows, cols = (variable.array.shape[variable.dims.index(dim)] for dim in dims[:2])
    rotated = gdal_transform is not None and is_rotated(gdal_transform, rows, cols)
    transform, problem = _coordinate_transform(y, x, scales, crs, None if rotated else gdal_transform)
    if transform is not None and gdal_transform is not None:
        if difference := _difference(transform, gdal_transform, rows, cols):
            notes += (f"{name}: {difference}",)
    elif in_pixels and gdal_transform is not None:
        transform, problem = part_of_grid(gdal_transform, y, x)
    elif gdal_transform is not None:
        transform = _grid_of_coordinates(gdal_transform, y, x, scales)
        if y is None and x is None:
            part = "which is wrong if the array is a part of a larger one"
            notes += (
                f"{name}: without coordinates of rows and columns, the array lies at the GeoTransform of {mapping_name}, {part}",
            )
    if transform is None:
        in_degrees = units[0].lower().startswith("deg")
        if crs is None and gdal_transform is None and (not problem or in_pixels or None in scales):
            return None, notes
        reason = problem or "has no coordinates of rows and columns"
        what = "a CRS" if crs is not None else "coordinates in degrees" if in_degrees else "coordinates"
        return None, (*notes, f"{name}: has {what}, but {reason}; its georeference is ignored")
    return Georeference(None if crs is None else crs.to_wkt(), transform), notes


def _read_crs(
    variable: FileVariable, mapping: FileVariable | None, units: Sequence[str], name: str
) -> tuple[CRS | None, bool, tuple[str, ...]]:
    """Return the CRS, whether the file states it as WKT or as a URL, and notes.

    `units` are the units of x and y. Without WKT, they are also the units of false easting and northing (CF, appendix F).
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    # GDAL writes the CRS of a Zarr array to an attribute of the array.
    gdal_crs = variable.attrs.get("_CRS")
    attrs: dict[str, Any] = mapping.attrs if mapping is not None else gdal_crs if isinstance(gdal_crs, dict) else {}
    if mapping is None and not attrs:
        return None, False, ()
    try:
        text = next((attrs[key] for key in ("crs_wkt", "spatial_ref", "wkt", "url") if attrs.get(key)), None)
        if text is not None:
            return CRS.from_user_input(text), True, ()
        crs = CRS.from_cf(attrs)
        scales = [coordinate_scale(unit, crs) or 1.0 for unit in units]
        origin = {
            key: float(attrs[key]) * scale
            for key, scale in zip(("false_easting", "false_northing"), scales, strict=True)
            if key in attrs
        }
        return CRS.from_cf({**attrs, **origin}), False, ()
    except (CRSError, KeyError, TypeError, ValueError):
        return None, False, (f"{name}: its grid mapping can't be read; its CRS is ignored",)


def _axis_scales(
    units: Sequence[str], crs: CRS | None, has_wkt: bool, name: str
) -> tuple[tuple[float | None, ...], tuple[str, ...]]:
    """Return the factors that convert x and y to the unit of the CRS, and notes if WKT and coordinates have different units.

    A factor is None if a unit can't be converted.
    """
    scales = tuple(coordinate_scale(unit, crs) for unit in units)
    if crs is None:
        # Without a CRS, coordinates in an unknown unit are not converted.
        known = [unit.lower().startswith("1") or parse_unit(unit) is not None for unit in units]
        return tuple(scale if seen else 1.0 for scale, seen in zip(scales, known, strict=True)), ()
    if not has_wkt or None in scales or scales == (1.0, 1.0):
        return scales, ()
    unit_name = unit_of_crs(crs)[2]
    note = f"{name}: its coordinates are in {' and '.join(dict.fromkeys(units))}, but its CRS is in {unit_name}"
    if all(unit.lower().startswith("deg") for unit in units):
        return (1.0, 1.0), (f"{note}; they are taken in {unit_name}, as GDAL and pyproj write them",)
    return scales, (f"{note}; they are converted",)


def read_gdal_transform(mapping: FileVariable) -> Transform | None:
    """Parse GDAL's attribute ``GeoTransform`` of a grid mapping; return None if it is missing, or has no inverse."""
    text = mapping.attrs.get("GeoTransform", "")
    parts = parse_numbers(text.split() if isinstance(text, str) else np.ravel(text))
    if len(parts) != 6 or not np.isfinite(parts).all():
        return None
    c, a, b, f, d, e = map(float, parts)
    return (a, b, c, d, e, f) if a * e != b * d else None


def axis_coordinates(dims: Sequence[str], variables: Mapping[str, FileVariable]) -> tuple[str | None, str | None]:
    """Return the paths of the coordinates of rows and of columns; None for an axis without coordinates.

    The coordinates of an axis have the name of its dimension. Otherwise, they are a vector of numbers along this dimension with
    a name, ``standard_name`` or attribute ``axis`` of y or x, such as ``lat(y)`` (CF, section 5).

    Parameters
    ----------
    dims : sequence of str
        Paths of the dimensions, starting with rows and columns.
    variables : mapping of str to FileVariable
        All variables, by path.
    """
    y, x = (
        dim if dim in variables else next(filter(partial(_is_axis, dim, axis, variables), sorted(variables)), None)
        for dim, axis in zip(dims[:2], ("y", "x"), strict=True)
    )
    return y, x


def _is_axis(dim: str, axis: str, variables: Mapping[str, FileVariable], key: str) -> bool:
    variable = variables[key]
    if variable.dims != (dim,) or variable.array.dtype.kind not in "iuf":
        return False
    return (
        key.rpartition("/")[2].lower() in _AXIS_NAMES[axis]
        or variable.attrs.get("standard_name") in _STANDARD_NAMES[axis]
        or str(variable.attrs.get("axis", "")).lower() == axis
    )


def _scale(transform: Transform, scales: Sequence[float | None]) -> Transform:
    a, b, c, d, e, f = transform
    x, y = (scale or 1.0 for scale in scales)
    return a * x, b * x, c * x, d * y, e * y, f * y


def is_rotated(grid: Transform, rows: int, cols: int) -> bool:
    """Return whether a grid is rotated by more than a tenth of a cell.

    Parameters
    ----------
    grid : tuple of float
        Transform of the grid.
    rows, cols : int
        Size of the grid in cells.
    """
    a, b, _, d, e, _ = grid
    return abs(b) * rows > _MAX_SHIFT * abs(a) or abs(d) * cols > _MAX_SHIFT * abs(e)


def _difference(transform: Transform, grid: Transform, rows: int, cols: int) -> str:
    """Describe how the transform of coordinates contradicts that of the attribute ``GeoTransform``; an empty text if it does not.

    GDAL's transform always orders rows from north to south. A slice in xarray keeps the GeoTransform of the whole array, so that
    coordinates may be those of a part.
    """
    (a, _, c, _, e, f), (width, _, left, _, height, top) = transform, grid
    if is_rotated(grid, rows, cols):
        return _DISAGREE
    shifts = {"column": (c - left) / width, "row": (f - top) / height}
    growth = max(cols * abs(abs(a / width) - 1), rows * abs(abs(e / height) - 1))
    single = {"column": cols == 1, "row": rows == 1}
    fractions = [abs(shift - round(shift)) for axis, shift in shifts.items() if not single[axis]]
    if max(growth, *fractions, 0.0) > _MAX_SHIFT:
        return _DISAGREE
    moved = [f"one {axis}" for axis, shift in shifts.items() if single[axis] and abs(shift) > _MAX_SHIFT]
    if not moved:
        return ""
    return (
        f"has {' and '.join(moved)} at another place than its GeoTransform states: the coordinate gives the place, and the GeoTransform "
        "the size of the cell, which is wrong if it is the mean of several"
    )


def _grid_of_coordinates(
    grid: Transform, y: FileVariable | None, x: FileVariable | None, scales: Sequence[float | None]
) -> Transform | None:
    """Return the transform of a grid with its rows in the order of their coordinates; None if coordinates contradict the grid.

    The coordinates of rows and columns are `y` and `x` times `scales`. Each may differ from the centre of its cell by up to half a
    cell. In a part of the grid, or in parts with gaps, the differences are larger. A slice in xarray keeps the GeoTransform of the
    whole array.
    """
    a, b, c, d, e, f = grid
    if x is not None and not _lie_in_cells(x, scales[0], c, a):
        return None
    if y is None or _lie_in_cells(y, scales[1], f, e):
        return grid
    rows = y.array.shape[0]
    return (a, -b, c + b * rows, d, -e, f + e * rows) if _lie_in_cells(y, scales[1], f + e * rows, -e) else None


def _lie_in_cells(axis: FileVariable, scale: float | None, start: float, step: float) -> bool:
    """Return whether each coordinate lies in its cell of the grid with this start and step.

    Coordinates with two dimensions, and the indices 0, 1, 2 and so on in a unit that can't be converted, are not checked.
    """
    if len(axis.array.shape) != 1:
        return True
    values = np.array(axis.values())
    if scale is None:
        return np.array_equal(values, np.arange(len(values)))
    centres = (start + step * (np.arange(len(values)) + 0.5)) / scale
    # float32 holds northings in steps of half a metre.
    dtype = np.dtype(axis.array.dtype)
    is_rounded = dtype.kind == "f" and np.array_equal(values.astype(dtype), centres.astype(dtype))
    return is_rounded or bool(np.all(np.abs(values - centres) <= abs(step / scale) / 2))


def _unwrapped(longitudes: NDArray[np.floating], turn: float) -> NDArray[np.floating]:
    """Return longitudes without the jump from 360 to 0, or from 180 to -180, that a scene may contain.

    `turn` is 360 degrees in the unit of the longitudes.
    """
    unwrapped: NDArray[np.floating] = np.unwrap(longitudes, period=turn)
    if np.array_equal(unwrapped, longitudes):
        return longitudes
    turns: NDArray[np.floating] = np.floor(unwrapped[0] / turn + 0.5)
    return unwrapped - turn * turns


def _coordinate_transform(
    y: FileVariable | None,
    x: FileVariable | None,
    scales: Sequence[float | None],
    crs: CRS | None,
    grid: Transform | None,
) -> tuple[Transform | None, str]:
    """Compute the transform from the coordinates of pixel centres, x and y times `scales`.

    `grid` is the transform of GDAL's attribute if it is not rotated, or None. It gives the size of a single row or column.
    Return the transform and an empty text. If the coordinates define no transform, return None and the reason. The reason
    is empty if the file has no coordinates.
    """
    if y is None or x is None:
        known = y or x
        return None, "" if known is None else f"has coordinates of {known.dims[0]} only"
    turn = None
    if crs is None:
        turn = 360.0 if x.unit.lower().startswith("deg") else None
    elif crs.is_geographic:
        turn = whole_turn(crs.to_wkt())
    width, height = (None, None) if grid is None else (grid[0], grid[4])
    x_cells, x_problem = _cells(x, scales[0], width, turn)
    y_cells, y_problem = _cells(y, scales[1], height, None)
    if x_cells is None or y_cells is None:
        return None, x_problem or y_problem
    (a, c), (e, f) = x_cells, y_cells
    return (a, 0.0, c, 0.0, e, f), ""


def _cells(
    axis: FileVariable, scale: float | None, size: float | None, turn: float | None
) -> tuple[tuple[float, float] | None, str]:
    """Return the side of a cell and the edge of the first cell, and an empty text; None and the reason if they are unknown.

    `size` is the side of a single cell, or None, and `turn` is 360 degrees in the unit of the CRS for longitudes, or None.
    """
    values = np.array(axis.values()) if len(axis.array.shape) == 1 else np.empty(0)
    if not np.isfinite(values).all():
        return None, "its coordinates are not finite numbers"
    if len(values) < 2 and (size is None or not len(values)):
        return None, "has too few coordinates to define the pixel size"
    if scale is None:
        return None, f"its coordinates are in {axis.unit}"
    if len(values) == 1 and size is not None:
        return (size, float(values[0] * scale - size / 2)), ""
    dtype = np.dtype(axis.array.dtype)
    rounding = float(np.spacing(np.abs(values).max().astype(dtype))) if dtype.kind == "f" else 0.0
    if turn is not None:
        values = _unwrapped(values, turn / scale)
    step = (values[-1] - values[0]) / (len(values) - 1)
    # Steps of float32 coordinates can differ by the distance between adjacent float32 numbers.
    tolerance = max(1e-3 * abs(step), min(rounding, _MAX_ROUNDING * abs(step)))
    if step == 0 or np.abs(np.diff(values) - step).max() > tolerance:
        return None, "its coordinates are not evenly spaced"
    # Conversion after the subtraction keeps more digits of the step.
    return (float(step * scale), float((values[0] - step / 2) * scale)), ""
