"""Functions that write an array with other libraries, in each format that hsifeat can read."""

import gzip

import h5py
import netCDF4
import numpy as np
import rasterio
import scipy.io
import spectral.io.envi
import xarray as xr
import zarr

ROWS, COLS, BANDS = 6, 7, 5
CUBE = np.random.default_rng(4).integers(-3000, 3000, (ROWS, COLS, BANDS)).astype(np.int16)


def mat5(path, array, name="img"):
    scipy.io.savemat(path, {name: array}, do_compression=True)


def mat73(path, array, name="img"):
    """Write a MATLAB 7.3 file as MATLAB does: with a user block, reversed axes, and the MATLAB class as an attribute."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset(name, data=array.T, chunks=True, compression="gzip")
        file[name].attrs["MATLAB_class"] = np.bytes_({"int16": "int16", "uint8": "uint8"}[str(array.dtype)])
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")


def mat_gz(path, array, name="img"):
    inner = path.with_suffix("")
    mat5(inner, array, name)
    path.write_bytes(gzip.compress(inner.read_bytes()))
    inner.unlink()


def tif(path, array, driver="GTiff", **options):
    bands = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    where = rasterio.Affine(30, 0, 500000, 0, -30, 4000000)
    description = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver=driver, crs="EPSG:32611", transform=where, **description, **options) as file:
        file.write(bands)


def tiled_tif(path, array):
    tif(path, array, tiled=True, blockxsize=16, blockysize=16, compress="deflate", interleave="pixel")


def erdas(path, array):
    tif(path, array, driver="HFA")


def envi(path, array):
    spectral.io.envi.save_image(str(path), array, interleave="bil", ext=".img", dtype=array.dtype)


def netcdf(path, array, kind="NETCDF4"):
    with netCDF4.Dataset(path, "w", format=kind) as file:
        names = ("band", "y", "x")[-array.ndim :]
        stored = array.transpose(2, 0, 1) if array.ndim == 3 else array
        for name, size in zip(names, stored.shape, strict=True):
            file.createDimension(name, size)
        file.createVariable("img", stored.dtype, names)[:] = stored


def classic_netcdf(path, array):
    netcdf(path, array.astype(np.int16), "NETCDF3_CLASSIC")


def hdf5(path, array):
    with h5py.File(path, "w") as file:
        file["group/img"] = array


def zarr3(path, array):
    dims = ("y", "x", "band")[: array.ndim]
    xr.Dataset({"img": (dims, array)}).to_zarr(path, zarr_format=3, consolidated=False)


def zarr2(path, array):
    dims = ("x", "band", "y") if array.ndim == 3 else ("x", "y")
    stored = array.transpose(1, 2, 0) if array.ndim == 3 else array.T
    xr.Dataset({"img": (dims, stored)}).to_zarr(path, zarr_format=2, consolidated=True)


def zarr_array(path, array):
    zarr.save_array(path, array)


def zarr_group(path, array):
    zarr.open_group(path, mode="w").create_array("img", data=array, chunks=(3,) * array.ndim)


def npy(path, array):
    np.save(path, array)


def npz(path, array):
    np.savez_compressed(path, img=array, wavelengths=np.arange(3.0))


def stack(path, array):
    """Write a folder of single-band files, numbered without leading zeros."""
    path.mkdir()
    for band in range(array.shape[2]):
        tif(path / f"band_{band + 7}.tif", array[..., band])


FORMATS = {
    "mat5": ("x.mat", mat5),
    "mat73": ("x.mat", mat73),
    "mat.gz": ("x.mat.gz", mat_gz),
    "tif": ("x.tif", tif),
    "tif-tiled": ("x.tiff", tiled_tif),
    "erdas": ("x.img", erdas),
    "envi": ("x.hdr", envi),
    "netcdf4": ("x.nc", netcdf),
    "netcdf3": ("x.nc", classic_netcdf),
    "netcdf-h5": ("x.h5", netcdf),
    "hdf5": ("x.h5", hdf5),
    "zarr3": ("x.zarr", zarr3),
    "zarr2": ("x.zarr", zarr2),
    "zarr-array": ("x.zarr", zarr_array),
    "zarr-group": ("folder", zarr_group),
    "npy": ("x.npy", npy),
    "npz": ("x.npz", npz),
    "stack": ("bands", stack),
}
