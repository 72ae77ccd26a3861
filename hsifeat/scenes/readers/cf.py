"""Lazy readers of NetCDF files and Zarr folders, based on xarray, h5netcdf and zarr."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import TransposedView
from hsifeat.scenes.nodata import NETCDF_FILLS
from hsifeat.scenes.readers.backend_arrays import BackendArray, apply_sign, ignore_library_warnings
from hsifeat.scenes.readers.dimension_roles import find_axis_order, is_coordinate, squeeze_axes
from hsifeat.scenes.readers.external_sources import check_folder, check_hdf5_sources
from hsifeat.scenes.readers.hdf5_files import as_text, check_chunk_count, check_storage, find_partly_named
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.scopes import enclosing_groups, join
from hsifeat.scenes.readers.spectral_vectors import select_spectral_vectors
from hsifeat.scenes.readers.variable_attributes import read_attributes, unordered_raster
from hsifeat.scenes.readers.variable_choice import choose_variable
from hsifeat.scenes.readers.zarr_arrays import find_arrays, find_root, is_feature_store, read_variables

# Largest chunk that codecs support. Damaged metadata may state a larger chunk shape.
_MAX_CHUNK_BYTES = 2**31
_METADATA = {"zarr.json", ".zarray", ".zattrs", ".zmetadata", ".zgroup"}


def read_netcdf(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a variable of a NetCDF file (classic or version 4) with its CF metadata.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        Name of the variable. The name of a variable in a group is ``group/name``. Required if several variables have
        `ndim` dimensions.

    Raises
    ------
    SceneError
        If the file is damaged or lacks the variable. If `variable` is None, and the file does not have exactly one
        variable of `ndim` dimensions.
    """
    import h5py

    with path.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    if classic:
        return _select_raster(path, _open_with_xarray(path, join, engine="scipy"), ndim, variable)
    check_heaps(path)
    check_hdf5_sources(path)
    # h5py opens the file first, because h5netcdf prints a traceback for files that it can't open.
    with h5py.File(path, "r") as file:
        len(file.attrs)
        if (partly_named := find_partly_named(file)) is not None:
            raise SceneError(
                f"{path}: dimension scales name only some axes of {partly_named}, but NetCDF names all: give the file the suffix .h5, "
                "so that it is read as HDF5"
            )

        def locate(group: str, dim: str) -> str:
            """Return the path of the dimension `dim`. Search `group` first, then its parents, for a group that defines the dimension."""
            paths = (join(enclosing, dim) for enclosing in enclosing_groups(group))
            return next((p for p in paths if p in file and _is_dimension(file[p])), join(group, dim))

        variables = _open_with_xarray(path, locate, engine="h5netcdf", phony_dims="sort")
        raster = _select_raster(path, variables, ndim, variable)
        return replace(raster, notes=(*raster.notes, *check_storage(path, file[raster.variable])))


def read_zarr(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read an array of a Zarr folder (format 2 or 3) with its CF metadata.

    Parameters
    ----------
    path : Path
        Folder of one array or of a group of arrays. Metadata may come from the groups that contain this folder. A feature
        store of hsifeat is not accepted.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        Name of the array. The name of an array in a subgroup is ``subgroup/name``. Required if several arrays have `ndim`
        dimensions.

    Raises
    ------
    SceneError
        If the folder is damaged, is a feature store or lacks the array. If `variable` is None, and the folder does not
        have exactly one array of `ndim` dimensions.
    """
    if not path.is_dir():
        raise SceneError(f"{path} is a file; a Zarr scene is a folder")
    check_folder(path)
    if is_feature_store(path):
        raise SceneError(
            f"{path} is a feature store, not a scene: use it with `hsifeat fit` or `hsifeat bench`; to extract features, "
            "give the file of the scene"
        )
    root, within = find_root(path)
    arrays = find_arrays(root, within)
    if within in arrays and variable is not None:
        raise SceneError(f"{path} is one array without a name; leave out {variable!r}")
    raster = _select_raster(path, read_variables(path, arrays), ndim, variable, within)
    chunk_notes = _check_chunks(path, root / raster.variable, arrays[raster.variable])
    return replace(raster, notes=(*raster.notes, *chunk_notes))


def _is_dimension(dataset: Any) -> bool:
    return as_text(dataset.attrs.get("CLASS", "")) == "DIMENSION_SCALE"


def _open_with_xarray(path: Path, locate: Callable[[str, str], str], **options: Any) -> dict[str, FileVariable]:
    """Return a dict that maps paths to the variables of all groups of a file. Their values are as stored: neither scaled nor masked.

    `locate` takes the group of a variable and the name of a dimension, and returns the path of the dimension.
    """
    import xarray as xr

    as_stored: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "decode_coords": False, "cache": False}
    with ignore_library_warnings():
        if options["engine"] == "scipy":
            groups = {"/": xr.open_dataset(path, **as_stored, **options)}
        else:
            groups = dict(xr.open_groups(path, **as_stored, **options))
    variables = {}
    for group, dataset in sorted(groups.items()):
        for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
            # xarray invents names for unnamed dimensions.
            dims = () if any(str(dim).startswith("phony_dim_") for dim in variable.dims) else variable.dims
            chunks = variable.encoding.get("chunksizes") or variable.encoding.get("chunks")
            attrs = dict(variable.attrs)
            if fill := NETCDF_FILLS.get(f"{variable.dtype.kind}{variable.dtype.itemsize}"):
                attrs = (
                    attrs
                    if {"_FillValue", "missing_value"} & set(attrs)
                    else {**attrs, "_FillValue": variable.dtype.type(fill)}
                )
            located = tuple(locate(group.strip("/"), str(dim)) for dim in dims)
            array = BackendArray(path, variable, chunks)
            variables[f"{group}/{name}".strip("/")] = apply_sign(located, array, attrs)
    return variables


def _select_raster(
    path: Path, variables: dict[str, FileVariable], ndim: int, variable: str | None, within: str = ""
) -> Raster:
    """Choose a variable, order its axes and read its metadata.

    `within` is the path of an array or a group. Only this array, or the variables in this group, can be chosen.
    `variable` is a path relative to `within`.
    """
    numeric = {
        name: candidate
        for name, candidate in variables.items()
        if candidate.array.dtype.kind in "biufc" and candidate.array.shape
    }
    local_names = {
        name: name.removeprefix(within).strip("/")
        for name in numeric
        if not within or f"{name}/".startswith(f"{within}/")
    }
    axes = {name: squeeze_axes(numeric[name], ndim) for name in local_names}
    shapes = {
        local: tuple(numeric[name].array.shape[axis] for axis in axes[name])
        for name, local in local_names.items()
        if local == variable or not is_coordinate(name, numeric[name])
    }
    local_name, notes = choose_variable(path, shapes, ndim, variable)
    name = join(within, local_name)
    choice = numeric[name]
    order, ordered, order_notes = find_axis_order(choice, axes[name], variables, path.name)
    notes += order_notes
    in_file_order = order == tuple(range(len(choice.array.shape)))
    array = choice.array if in_file_order else TransposedView(choice.array, order)
    if not ordered or len(order) != ndim:
        raster = unordered_raster(choice, name, select_spectral_vectors(numeric, name), path.name)
    else:
        raster = read_attributes(name, [choice.dims[axis] for axis in order], variables, path.name)
    return replace(raster, array=array, variable=name, notes=(*notes, *raster.notes))


def _check_chunks(path: Path, folder: Path, array: Any) -> tuple[str, ...]:
    """Check the chunk files of a Zarr array, and return a note if some chunks are missing.

    The check counts files. It does not look up each chunk, because a damaged shape may imply an enormous number of chunks.
    """
    blocks = array.shards or array.chunks
    chunk_bytes = prod(array.chunks) * array.dtype.itemsize
    if chunk_bytes > _MAX_CHUNK_BYTES:
        raise SceneError(
            f"{path}: a chunk of {folder.name} has {chunk_bytes / 2**30:.1f} GiB and must be read as a whole; at most 2 GiB "
            "are allowed: store the array in smaller chunks"
        )
    expected = prod(-(-size // block) for size, block in zip(array.shape, blocks, strict=True))
    # `os.walk` does not look up each file, which would take seconds for a large scene.
    stored = sum(len(set(files) - _METADATA) for _, _, files in os.walk(folder))
    if stored > expected:
        raise SceneError(f"{folder} holds {stored} chunks, but its shape has only {expected}: it is damaged")
    return check_chunk_count(path, folder.name, stored, expected)
