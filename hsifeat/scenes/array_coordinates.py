"""Georeference of an `xarray.DataArray` according to its coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import BandSubset
from hsifeat.scenes.georeference import Georeference, is_wkt
from hsifeat.scenes.readers.cf_georeference import (
    axis_coordinates,
    is_rotated,
    read_cf_georeference,
    read_gdal_transform,
)
from hsifeat.scenes.readers.coordinate_units import parse_unit
from hsifeat.scenes.readers.pixel_coordinates import count_pixels, pixel_axes, pixel_georeference
from hsifeat.scenes.readers.raster import FileVariable
from hsifeat.scenes.readers.scopes import find_reference
from hsifeat.scenes.readers.spectrum import parse_numbers
from hsifeat.types import Cube

ARRAY_KEY = " array"
"""Key of an array among its coordinates; no coordinate has this name."""

# Names of coordinates that are longitudes or latitudes, with or without a unit.
_DEGREES = frozenset({"lon", "lat", "longitude", "latitude"})
# Names of coordinates that state the position of each pixel if they have two dimensions.
_PLACES = frozenset({"x", "y", "xc", "yc", "lon", "lat", "longitude", "latitude"})
# Whole numbers and halves from here on are too large for pixel coordinates.
_MAX_PIXELS = 100_000


def coordinate_variables(array: Any) -> dict[str, FileVariable]:
    """Return the coordinates of an `xarray.DataArray` by name. An array of another library has none."""
    coords = getattr(array, "coords", None)
    if not isinstance(coords, Mapping):
        return {}
    return {str(key): FileVariable(tuple(map(str, c.dims)), c, dict(c.attrs)) for key, c in coords.items()}


@dataclass(frozen=True)
class _Position:
    """What an array states about its position.

    Attributes
    ----------
    georeference : Georeference or None
        Georeference of the array; None if it is unknown.
    notes : tuple of str
        Notes on metadata that could not be read or are ambiguous.
    problem : str
        Why the position or the CRS is unknown although the array states it; empty if it is known, or if the array states
        nothing.
    has_coordinates : bool
        Whether the array has coordinates of rows and columns other than the indices 0, 1, 2 and so on.
    numbers_pixels : bool
        Whether the georeference may be in pixel coordinates instead of map coordinates.
    """

    georeference: Georeference | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""
    has_coordinates: bool = False
    numbers_pixels: bool = False


def coordinate_georeference(
    array: Any, scene_grid: Georeference, name: str
) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the georeference of an array from its coordinates and its grid mapping, as from a CF file.

    Without coordinates of rows and columns, the attribute ``GeoTransform`` of the grid mapping is used. Without a CRS in the
    grid mapping, the CRS is that of the attribute ``crs``, or of the scene.

    Parameters
    ----------
    array : array-like of shape (rows, cols, bands)
        The array.
    scene_grid : Georeference
        Georeference of the scene.
    name : str
        Name of the array, for messages.

    Returns
    -------
    georeference : Georeference or None
        Georeference of the array. None if it states no position, like a NumPy array, or if its coordinates are the indices
        0, 1, 2 and so on.
    notes : tuple of str
        Notes on metadata that could not be read or are ambiguous, and on a CRS that is taken from the scene.

    Raises
    ------
    SceneError
        If the coordinates are not evenly spaced numbers, or have two dimensions. If the attribute ``crs`` does not describe a
        CRS.
    """
    if scene_grid.crs is None and (axes := array_pixel_axes(array)):
        return pixel_georeference(axes, name), ()
    position = _read_position(array, name)
    if position.problem:
        raise SceneError(
            f"{name}: {position.problem}, so its place is unknown: give array.values if it is on the pixels of the scene"
        )
    georeference, notes = position.georeference, position.notes
    if georeference is not None and georeference.crs is None and scene_grid.crs is not None:
        notes += (f"{name}: the array states no CRS; its coordinates are taken to be in that of the scene",)
        georeference = replace(georeference, crs=scene_grid.crs)
    return georeference, notes


def own_georeference(array: Any, name: str) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the georeference that an array states itself.

    Whole numbers and halves below 100,000 may be pixel coordinates, such as those of a crop, of every second pixel, or of means
    of pixels. They are not used as a georeference unless the array states a CRS, a ``GeoTransform`` with pixels of another size
    than 1, or a unit or ``standard_name`` of map coordinates.

    Parameters
    ----------
    array : array-like of shape (rows, cols, bands)
        The array.
    name : str
        Name of the array, for notes.

    Returns
    -------
    georeference : Georeference or None
        Georeference of the array; None if it states no usable position.
    notes : tuple of str
        Notes on metadata that could not be read or are ambiguous.
    """
    position = _read_position(array, name)
    georeference, notes = position.georeference, position.notes
    if position.problem:
        unknown = "the array has no georeference" if georeference is None else "its CRS is unknown"
        notes += (f"{name}: {position.problem}, so {unknown}",)
    elif position.numbers_pixels:
        return None, ()
    return georeference, notes


def check_coordinates(array: Any, grid: Georeference | None, name: str, kind: str) -> None:
    """Raise `SceneError` if an array has coordinates of rows and columns that are not those of a georeference.

    Parameters
    ----------
    array : array-like of shape (rows, cols, bands)
        The array.
    grid : Georeference or None
        Georeference that the array must have. If None, nothing is checked.
    name : str
        Name of the scene, for messages.
    kind : str
        What the array is, for messages.
    """
    if grid is None or not _read_position(array, name).has_coordinates:
        return
    found, _ = coordinate_georeference(array, grid, f"{name}: {kind}")
    rows, cols = map(int, array.shape[:2])
    if found is not None and not grid.same_grid(found, rows, cols):
        y = axis_coordinates([str(dim) for dim in array.dims], coordinate_variables(array))[0]
        raise SceneError(
            f"{name}: the {kind} has coordinates of another grid than the georeference: {found.crs_name}, {found.transform} instead of "
            f"{grid.crs_name}, {grid.transform}: sort them, as in array.sortby({y!r}, ascending=False), correct the coordinates or the georeference, or give "
            "array.values if the georeference is right"
        )


def companion_notes(companion: Any, grid: Georeference | None, name: str) -> tuple[str, ...]:
    """Return a note if the position of an `xarray.DataArray` is not used, or is unknown, when it is aligned with a scene by its shape.

    Parameters
    ----------
    companion : array-like of shape (rows, cols, bands)
        Companion image of the scene.
    grid : Georeference or None
        Georeference of the scene, refined to the pixels of the image.
    name : str
        Name of the scene, for the note.
    """
    if not isinstance(getattr(companion, "dims", None), tuple):
        return ()
    position = _read_position(companion, name)
    found = None if position.numbers_pixels else position.georeference
    by_shape = f"{name}: the companion image is aligned with the scene by its shape"
    if (found is None) != (grid is None):
        owner = "the scene" if grid is None else "the companion image"
        return (f"{by_shape}, because {owner} has no georeference",)
    if found is None or grid is None or position.has_coordinates or grid.same_grid(found, *companion.shape[:2]):
        return ()
    return (f"{by_shape}, although its GeoTransform states another place",)


def _read_position(array: Any, name: str) -> _Position:
    dims, coords = getattr(array, "dims", ()), getattr(array, "coords", None)
    if not isinstance(dims, tuple) or not isinstance(coords, Mapping):
        return _Position()
    variables = coordinate_variables(array)
    y, x = spatial = str(dims[0]), str(dims[1])
    if all(label in variables and variables[label].dims == (y,) for label in ("row", "col")):  # of `Features.to_xarray`
        return _Position(problem="its first axis is a list of pixels, with a row and a column for each")
    # xarray moves the name of the grid mapping to `encoding` if it decodes it.
    reference = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping"))
    attrs = {"grid_mapping": reference} if reference in variables else {}
    variables[ARRAY_KEY] = FileVariable(tuple(map(str, dims)), array, attrs)
    key = find_reference(str(attrs.get("grid_mapping", "spatial_ref")), ARRAY_KEY, variables)
    transform = None if key is None else variables[key].attrs.get("GeoTransform")
    variables = _with_counting_coordinates(variables, spatial, transform)
    keys = axis_coordinates(spatial, variables)
    variables |= {dim: variables[label] for dim, label in zip(spatial, keys, strict=True) if label is not None}
    has_coordinates = set(spatial) <= set(variables)
    grid = None if key is None else read_gdal_transform(variables[key])
    rotated = grid is not None and is_rotated(grid, *array.shape[:2])
    if key is not None and has_coordinates and min(array.shape[:2]) > 1 and not rotated:
        # A slice keeps the GeoTransform of the whole array.
        stated = {label: value for label, value in variables[key].attrs.items() if label != "GeoTransform"}
        variables[key] = replace(variables[key], attrs=stated)
    elif not has_coordinates and transform is None:
        two = [label for label, one in variables.items() if label.lower() in _PLACES and set(one.dims) == {y, x}]
        problem = f"the coordinates {' and '.join(two)} of the array have two dimensions" if two else ""
        known = [dim for dim in spatial if dim in variables and variables[dim].array.dtype.kind in "iuf"]
        return _Position(problem=f"the array has coordinates of {known[0]} only" if known and not two else problem)
    georeference, notes = read_cf_georeference(ARRAY_KEY, [str(dim) for dim in dims], variables, name)
    if georeference is None:
        what = f"the coordinates {y} and {x} of the array are not two or more evenly spaced numbers each"
        unread = f"the array has no coordinates, and the GeoTransform of {key} can't be read"
        if any(dim in variables for dim in spatial):
            unread = f"the coordinates of the array contradict the GeoTransform of {key}"
        problem = what if has_coordinates else unread
        # The message for files says the same.
        notes = tuple(note for note in notes if not note.endswith("; its georeference is ignored"))
        return _Position(None, notes, problem, has_coordinates)
    problem = ""
    if georeference.crs is None and array.attrs.get("crs") is not None:  # as older versions of xarray state it
        crs = _crs_wkt(array.attrs["crs"])
        georeference = replace(georeference, crs=crs)
        problem = "" if crs else f"the attribute crs of the array describes no CRS: {array.attrs['crs']!r:.60}"
    numbers_pixels = georeference.crs is None and _may_number_pixels([variables.get(dim) for dim in spatial], transform)
    return _Position(georeference, notes, problem, has_coordinates, numbers_pixels)


def _with_counting_coordinates(
    variables: dict[str, FileVariable], spatial: tuple[str, str], transform: Any
) -> dict[str, FileVariable]:
    """Return variables without those coordinates of rows and columns that do not state the position of an array.

    `spatial` are the dimensions of rows and columns, and `transform` is the attribute ``GeoTransform``, or None. Coordinates in
    pixels of a scene are kept if there is a transform; otherwise they are treated like other numbers. The indices 0, 1, 2 and
    so on are left out.
    """
    in_pixels = all(count_pixels(variables.get(dim)) for dim in spatial)
    if in_pixels and transform is not None:
        return variables
    known = {dim: variables[dim] for dim in spatial if dim in variables}
    if all(np.array_equal(np.asarray(one.array), np.arange(one.array.shape[0])) for one in known.values()):
        return {label: one for label, one in variables.items() if label not in known}
    return variables | {dim: replace(one, attrs={}) for dim, one in known.items()} if in_pixels else variables


def _may_number_pixels(axes: Iterable[FileVariable | None], transform: Any) -> bool:
    """Return whether coordinates of rows and columns without a CRS may be pixel coordinates.

    `transform` is the attribute ``GeoTransform`` of the array, or None.
    """
    stated = _numbers_of(transform)
    if len(stated) == 6 and (stated[1], stated[2], stated[4], abs(stated[5])) != (1, 0, 0, 1):
        return False
    known = [axis for axis in axes if axis is not None]
    if any("standard_name" in axis.attrs or parse_unit(axis.unit) is not None for axis in known):
        return False
    if any(axis.dims[0].lower() in _DEGREES for axis in known):
        return False
    halves = np.array([2 * value for axis in known for value in axis.values()])
    return bool(np.all(halves == np.round(halves)) and np.all(np.abs(halves) < 2 * _MAX_PIXELS))


def array_pixel_axes(array: Any) -> tuple[FileVariable, ...]:
    """Return the coordinates of rows and columns of an array if they are in pixels of a scene and alone state the position.

    Otherwise, or if the array is no `xarray.DataArray`, return an empty tuple.
    """
    dims, variables = getattr(array, "dims", ()), coordinate_variables(array)
    if not isinstance(dims, tuple) or any("GeoTransform" in one.attrs for one in variables.values()):
        return ()
    return pixel_axes([str(dim) for dim in dims], variables)


def check_pixel_numbers(axes: Sequence[FileVariable | None], cube: Cube, name: str, scene_name: str) -> None:
    """Raise `SceneError` if the coordinates of features contradict those of a scene, where both are pixel coordinates.

    Coordinates that ascend by 1 from 0, 0.5 or 1 only say in which direction the cells are counted. Without
    coordinates, the pixels of a scene are counted from 0.

    Parameters
    ----------
    axes : sequence of FileVariable or None
        Coordinates of rows and columns of the features; see `number_axes`.
    cube : array-like of shape (rows, cols, bands)
        Cube of the scene.
    name, scene_name : str
        Names of the features and of the scene, for messages.
    """
    for axis, (variable, own) in enumerate(zip(axes, number_axes(_whole_cube(cube)), strict=True)):
        found, own_values = (np.array([] if one is None else one.values()) for one in (variable, own))
        if variable is None or not len(found) or not np.isfinite(found).all() or np.array_equal(found, own_values):
            continue
        wanted = _numbers(own)
        if wanted is None:
            if not _may_number_pixels([variable], None):
                continue
            wanted = np.arange(int(cube.shape[axis]), dtype=np.float64)
        wanted_step = (wanted[-1] - wanted[0]) / (len(wanted) - 1) if len(wanted) > 1 else 1.0
        if _lie_on(found, variable.attrs, wanted, wanted_step):
            continue
        dim = variable.dims[0]
        raise SceneError(
            f"{name}: its coordinates {dim}, the centres of its cells, run from {found[0]:g} to {found[-1]:g}, but those of {scene_name} from {wanted[0]:g} to "
            f"{wanted[-1]:g}: sort them, as in array.sortby({dim!r}), take the same part of both arrays, or give array.values if "
            "the features are on the pixels of the scene"
        )


def _lie_on(
    found: NDArray[np.float64], attrs: Mapping[str, Any], wanted: NDArray[np.float64], wanted_step: float
) -> bool:
    """Return whether cells with the coordinates `found` cover the pixels of an axis with the coordinates `wanted`."""
    # A plain count has no position. Coordinates that hsifeat wrote, with the attribute `stride`, are those of the whole scene.
    is_count = found[0] in {0, 0.5, 1} and "stride" not in attrs
    if len(found) > 1:
        steps = [(found[-1] - found[0]) / (len(found) - 1)]
        is_count = is_count and steps[0] == 1
    else:  # the side of a single cell is its stride, or that of the whole axis
        steps = [len(wanted) * wanted_step, *parse_numbers(np.ravel(attrs.get("stride", [])))]
    for step in steps:
        cell = max(abs(step), abs(wanted_step))
        first = abs((found[0] - step / 2) - (wanted[0] - wanted_step / 2))
        last = abs((found[-1] + step / 2) - (wanted[-1] + wanted_step / 2))
        if step * wanted_step > 0 and (is_count or (first <= abs(wanted_step) / 4 and last < cell)):
            return True
    return False


def has_numbers(cube: Cube | None) -> bool:
    """Return whether a cube, or the cube from which its bands were selected, has coordinates of rows or of columns."""
    return any(_numbers(one) is not None for one in number_axes(_whole_cube(cube)))


def _whole_cube(cube: Any) -> Any:
    """Return the cube from which bands were selected; the cube itself if none were."""
    while isinstance(cube, BandSubset):
        cube = cube.source
    return cube


def number_axes(array: Any) -> tuple[FileVariable | None, FileVariable | None]:
    """Return the coordinates of rows and of columns of an array of shape (rows, cols, bands); None where it has none."""
    dims, variables = getattr(array, "dims", ()), coordinate_variables(array)
    if not isinstance(dims, tuple) or len(dims) != 3:
        return None, None
    return variables.get(str(dims[0])), variables.get(str(dims[1]))


def _numbers(coordinate: FileVariable | None) -> NDArray[np.float64] | None:
    """Return the values of a coordinate; None unless they are two finite numbers or more."""
    values = np.array([] if coordinate is None else coordinate.values())
    return values if len(values) > 1 and np.isfinite(values).all() else None


def _numbers_of(transform: Any) -> NDArray[np.float64]:
    """Return the numbers of an attribute ``GeoTransform``, which may be a text. The array is empty without one."""
    return parse_numbers(
        transform.split() if isinstance(transform, str) else np.ravel([] if transform is None else transform)
    )


def _crs_wkt(crs: Any) -> str | None:
    """Return a CRS, such as a text, an EPSG code or an object of pyproj or rasterio, as WKT; None if it is no CRS."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if isinstance(crs, str) and is_wkt(crs):
        return crs
    try:
        return str(CRS.from_user_input(int(crs) if isinstance(crs, np.integer) else crs).to_wkt())
    except (CRSError, TypeError):
        return None
