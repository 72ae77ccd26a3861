"""Coordinates and grid mappings of planes, with the attributes of the CF conventions and of GDAL."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hsifeat.scenes import Georeference

if TYPE_CHECKING:
    import xarray


def cell_centres(name: str, cells: int, stride: int, georeference: Georeference | None) -> xarray.Variable:
    """Return the coordinates of cell centres along an axis.

    If the scene has a georeference and is not rotated, these are map coordinates. Otherwise, these are positions in
    scene pixels, where the centre of the first pixel is 0.

    Parameters
    ----------
    name : str
        Name of the axis, which starts with ``y`` or ``x``.
    cells : int
        Number of cells along the axis.
    stride : int
        Side of a cell in scene pixels.
    georeference : Georeference or None
        Georeference of the scene.
    """
    import xarray

    axis = name[0]
    edges_px = (np.arange(cells) + 0.5) * stride
    if georeference is None or georeference.is_rotated:
        attributes = {
            "long_name": f"{'row' if axis == 'y' else 'column'} of the cell's centre, in scene pixels",
            "units": "1",
            "axis": axis.upper(),
            "stride": stride,
        }
        return xarray.Variable(name, edges_px - 0.5, attributes)
    a, _, c, _, e, f = georeference.transform
    step, origin = (e, f) if axis == "y" else (a, c)
    attributes = {"long_name": f"{axis} of the cell's centre, in units of the CRS", **_axis(georeference, axis.upper())}
    return xarray.Variable(name, origin + step * edges_px, {**attributes, "stride": stride})


def grid_mapping_name(stride: int) -> str:
    """Return the name of the grid mapping of planes with cells of `stride` x `stride` scene pixels.

    >>> grid_mapping_name(1), grid_mapping_name(4)
    ('spatial_ref', 'spatial_ref_s4')
    """
    return "spatial_ref" if stride == 1 else f"spatial_ref_s{stride}"


def grid_mapping(georeference: Georeference, stride: int) -> xarray.Variable:
    """Return a grid mapping: a scalar variable whose attributes describe the CRS and the transform.

    The attributes of the CF conventions, section 5.6, describe the CRS. The attributes ``crs_wkt`` and ``spatial_ref``
    have the CRS as WKT. The transform is in GDAL's attribute ``GeoTransform``.

    Parameters
    ----------
    georeference : Georeference
        Georeference of the scene.
    stride : int
        Side of a cell in scene pixels.
    """
    import xarray
    from pyproj import CRS

    attributes: dict[str, Any] = {}
    if georeference.crs is not None:
        # NetCDF has no lists, such as the two standard parallels of a conic projection.
        described = CRS(georeference.crs).to_cf()
        attributes = {key: np.asarray(value) if isinstance(value, list) else value for key, value in described.items()}
        attributes |= {"crs_wkt": georeference.crs, "spatial_ref": georeference.crs}
    a, b, c, d, e, f = georeference.transform
    cell = (c, a * stride, b * stride, f, d * stride, e * stride)
    return xarray.Variable(
        (), np.int32(0), {**attributes, "GeoTransform": " ".join(repr(float(part)) for part in cell)}
    )


def _axis(georeference: Georeference, axis: str) -> dict[str, Any]:
    """Return the CF attributes of the axis ``X`` or ``Y`` of a CRS, such as its standard name and units."""
    from pyproj import CRS

    if georeference.crs is None:
        return {"axis": axis}
    crs = CRS(georeference.crs)
    attributes = next((dict(one) for one in crs.cs_to_cf() if one.get("axis") == axis), {"axis": axis})
    if crs.is_geographic and not math.isclose(crs.axis_info[0].unit_conversion_factor, math.radians(1), rel_tol=1e-8):
        attributes["units"] = crs.axis_info[0].unit_name  # pyproj calls grads degrees, too
    return attributes
