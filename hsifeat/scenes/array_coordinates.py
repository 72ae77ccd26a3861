"""Georeference of an `xarray.DataArray` according to its coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference, as_wkt
from hsifeat.scenes.readers.cf_georeference import read_cf_georeference
from hsifeat.scenes.readers.raster import FileVariable

ARRAY_KEY = " array"
"""Key of an array among its coordinates; no coordinate has this name."""


def coordinate_variables(array: Any) -> dict[str, FileVariable]:
    """Return the coordinates of an `xarray.DataArray` by name. An array of another library has none."""
    coords = getattr(array, "coords", None)
    if not isinstance(coords, Mapping):
        return {}
    return {str(key): FileVariable(tuple(map(str, c.dims)), c, dict(c.attrs)) for key, c in coords.items()}


def coordinate_georeference(
    array: Any, scene_grid: Georeference, name: str
) -> tuple[Georeference | None, tuple[str, ...]]:
    """Read the georeference of an array from its coordinates and its grid mapping, as from a CF file.

    Without a grid mapping, the CRS is that of the attribute ``crs``, or of the scene.

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
        Georeference of the array. None if it has no coordinates of rows and columns, like a NumPy array, or if these are the
        indices 0, 1, 2 and so on.
    notes : tuple of str
        Notes on metadata that could not be read or are ambiguous, and on a CRS that is taken from the scene.

    Raises
    ------
    SceneError
        If the coordinates are not evenly spaced numbers. If the attribute ``crs`` does not describe a CRS.
    """
    dims, coords = getattr(array, "dims", ()), getattr(array, "coords", None)
    if not isinstance(dims, tuple) or not isinstance(coords, Mapping) or not set(dims[:2]) <= set(coords):
        return None, ()
    if all(np.array_equal(coords[dim], np.arange(len(coords[dim]))) for dim in dims[:2]):
        return None, ()
    variables = coordinate_variables(array)
    # xarray moves the name of the grid mapping to `encoding` if it decodes it.
    reference = array.encoding.get("grid_mapping", array.attrs.get("grid_mapping"))
    attrs = {"grid_mapping": reference} if reference in variables else {}
    variables[ARRAY_KEY] = FileVariable(tuple(map(str, dims)), array, attrs)
    georeference, notes = read_cf_georeference(ARRAY_KEY, [str(dim) for dim in dims], variables, name)
    if georeference is None:
        raise SceneError(
            f"{name}: the coordinates {dims[0]} and {dims[1]} of the array are not two or more evenly spaced numbers each, so its place "
            "is unknown: give array.values if it is on the pixels of the scene"
        )
    if georeference.crs is None and isinstance(array.attrs.get("crs"), str):  # as older versions of xarray state it
        georeference = replace(georeference, crs=as_wkt(array.attrs["crs"]))
    if georeference.crs is None and scene_grid.crs is not None:
        notes += (f"{name}: the array states no CRS; its coordinates are taken to be in that of the scene",)
        georeference = replace(georeference, crs=scene_grid.crs)
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
    if grid is None:
        return
    found, _ = coordinate_georeference(array, grid, f"{name}: {kind}")
    rows, cols = map(int, array.shape[:2])
    if found is not None and not grid.same_grid(found, rows, cols):
        y = array.dims[0]
        raise SceneError(
            f"{name}: the {kind} has coordinates of another grid than the georeference: {found.crs_name}, {found.transform} instead of "
            f"{grid.crs_name}, {grid.transform}: sort them, as in array.sortby({str(y)!r}, ascending=False), correct the coordinates or the georeference, or give "
            "array.values if the georeference is right"
        )
