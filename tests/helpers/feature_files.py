"""Files of features in several formats, and the values of the planes of a store."""

from __future__ import annotations

import netCDF4
import numpy as np
import rasterio
import zarr
from rasterio import Affine

WHERE = Affine(10, 0, 500_000, 0, -10, 4_000_000)  # of `placed_scene`


def values_of(store):
    return {str(plane.id): np.asarray(store.plane(plane.id)[:]) for plane in store.planes}


def write_npy(path, values):
    np.save(path, values)


def write_channels_first(path, values):
    np.save(path, values.transpose(2, 0, 1)[None])


def write_tif(path, values):
    size = {"height": values.shape[0], "width": values.shape[1], "count": values.shape[2], "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=WHERE, tiled=True, **size) as file:
        file.write(values.transpose(2, 0, 1))


def write_netcdf(path, values):
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip(("channel", "y", "x"), values.transpose(2, 0, 1).shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("embedding", values.dtype, ("channel", "y", "x"))[:] = values.transpose(2, 0, 1)


def write_zarr(path, values):
    group = zarr.open_group(path, mode="w")
    group.create_array("embedding", data=values, dimension_names=("y", "x", "channel"))


FORMATS = {
    "encoder.npy": write_npy, "first.npy": write_channels_first, "encoder.tif": write_tif,
    "encoder.nc": write_netcdf, "encoder.zarr": write_zarr,
}  # fmt: skip
