"""Coordinates in pixels of a scene, as `hsifeat.Features.to_xarray` writes them without a georeference and for a rotated grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.readers.raster import FileVariable
from hsifeat.scenes.readers.spectrum import parse_numbers

Transform = tuple[float, float, float, float, float, float]
"""Affine transform from columns and rows to map coordinates: a, b, c, d, e, f, as in the affine package."""


def count_pixels(axis: FileVariable | None) -> bool:
    """Return whether coordinates are in pixels of a scene, as `hsifeat.Features.to_xarray` writes them.

    It does so for a rotated grid, and for a scene without a georeference.
    """
    return axis is not None and axis.unit == "1" and "stride" in axis.attrs


def pixel_axes(dims: Sequence[str], variables: Mapping[str, FileVariable]) -> tuple[FileVariable, ...]:
    """Return the coordinates of rows and columns if they are in pixels of a scene, otherwise an empty tuple.

    `dims` starts with the dimensions of rows and columns.
    """
    axes = tuple(variables[dim] for dim in dims[:2] if dim in variables and count_pixels(variables[dim]))
    return axes if len(axes) == 2 else ()


def pixel_georeference(axes: Sequence[FileVariable], name: str) -> Georeference:
    """Return the position of cells in pixels of a scene; that of the scene itself is `hsifeat.scenes.pixel_grid.PIXELS`.

    Parameters
    ----------
    axes : sequence of FileVariable
        Coordinates of rows and columns, as `pixel_axes` returns them.
    name : str
        Name of the file or array, for messages.

    Raises
    ------
    SceneError
        If the coordinates are not evenly spaced, or their attribute ``stride`` is no positive number.
    """
    y, x = axes
    cells, problem = _cells_in_pixels(y, x)
    if problem:
        raise SceneError(
            f"{name}: has coordinates in pixels of a scene, but {problem}, so its place is unknown: remove the coordinates if "
            "it is on the pixels of the scene"
        )
    (width, left, _), (height, top, _) = cells
    return Georeference(None, (width, 0.0, left - 0.5, 0.0, height, top - 0.5))


def part_of_grid(grid: Transform, y: FileVariable | None, x: FileVariable | None) -> tuple[Transform | None, str]:
    """Return the transform of a part of a grid from the positions of its cells, and an empty text.

    Parameters
    ----------
    grid : tuple of float
        Transform of the whole grid.
    y, x : FileVariable or None
        Coordinates of rows and columns in pixels.

    Returns
    -------
    transform : tuple of float or None
        The transform; None if the coordinates can't be used.
    problem : str
        Why they can't be used; an empty text if they can.
    """
    cells, problem = _cells_in_pixels(y, x)
    if problem:
        return None, problem
    (width, left), (height, top) = ((step / stride, first / stride) for step, first, stride in cells)
    a, b, c, d, e, f = grid
    return (a * width, b * height, c + a * left + b * top, d * width, e * height, f + d * left + e * top), ""


def _cells_in_pixels(y: FileVariable | None, x: FileVariable | None) -> tuple[list[tuple[float, float, float]], str]:
    """Return the positions of cells in pixels of a scene, and an empty text.

    `y` and `x` are the centres of the cells, where the centre of the first pixel is 0. For x, then for y, the result has the side
    of a cell, the distance of the edge of the first cell from that of the scene, and the stride. If the centres are not evenly
    spaced, or their attribute ``stride`` is no positive number, return an empty list and the reason.
    """
    cells = []
    for axis in filter(None, (x, y)):
        values, strides = np.array(axis.values()), parse_numbers(np.ravel(axis.attrs["stride"]))
        if len(strides) != 1 or not 0 < strides[0] < np.inf or not len(values):
            return [], f"the attribute stride of its coordinates is no positive number: {axis.attrs['stride']!r:.40}"
        stride = float(strides[0])
        step = (values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else stride
        if step == 0 or not np.allclose(np.diff(values), step):
            return [], "its coordinates are not evenly spaced"
        cells.append((float(step), float(values[0] + 0.5 - step / 2), stride))
    return cells, ""
