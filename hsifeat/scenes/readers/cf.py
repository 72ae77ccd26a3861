"""Lazy readers of NetCDF files and Zarr folders, based on xarray, h5netcdf and zarr."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import ArrayView, AxisIndex, TransposedView, as_slices
from hsifeat.scenes.readers.dimension_roles import find_axis_order, is_coordinate, squeeze_axes
from hsifeat.scenes.readers.external_sources import check_folder, check_hdf5_sources
from hsifeat.scenes.readers.hdf5_files import check_chunk_count, check_storage
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.raster import FileVariable, Raster
from hsifeat.scenes.readers.reading_errors import reading_errors
from hsifeat.scenes.readers.source_paths import is_zarr_folder
from hsifeat.scenes.readers.variable_attributes import nodata_values, read_attributes
from hsifeat.scenes.readers.variable_choice import choose_variable

# Largest chunk that codecs support. Damaged metadata may state a larger chunk shape.
_MAX_CHUNK_BYTES = 2**31


class BackendArray(ArrayView):
    """An array of xarray or zarr. Errors while reading it name the file.

    Parameters
    ----------
    path : Path
        The file or folder.
    source : array-like
        xarray variable or Zarr array, which supports indexing by slices and integers.
    chunks : sequence of int or None
        Chunk shape, or None if the array is not stored in chunks.
    """

    def __init__(self, path: Path, source: Any, chunks: Sequence[int] | None = None) -> None:
        super().__init__(source.shape, source.dtype, chunks)
        self._path, self._source = path, source

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        with reading_errors(self._path), _ignore_library_warnings():
            return np.asarray(self._source[as_slices(parts)])


class SignCastView(ArrayView):
    """A view of signed integers as unsigned integers, or of unsigned integers as signed integers.

    Classic NetCDF stores unsigned integers as signed integers of the same width and marks them with the attribute
    ``_Unsigned``.

    Parameters
    ----------
    source : ArrayView
        The integers as stored.
    """

    def __init__(self, source: ArrayView) -> None:
        super().__init__(source.shape, _opposite_sign(source.dtype), source.chunks)
        self._source = source

    def _read(self, parts: tuple[AxisIndex, ...]) -> NDArray[Any]:
        return self._source[as_slices(parts)].astype(self.dtype)


def read_netcdf(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a variable of a NetCDF file (classic or version 4) with its CF metadata.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        Name of the variable, as ``group/name`` within a group. It is required if several variables have `ndim` dimensions.

    Raises
    ------
    SceneError
        The file is damaged or lacks the variable. `variable` is None, and the file does not have exactly one variable
        of `ndim` dimensions.
    """
    import h5py

    with path.open("rb") as stream:
        classic = stream.read(3) == b"CDF"
    if classic:
        return _select_raster(path, _open_with_xarray(path, engine="scipy"), ndim, variable)
    check_heaps(path)
    check_hdf5_sources(path)
    # h5py opens the file first, because h5netcdf prints a traceback for files that it can't open.
    with h5py.File(path, "r") as file:
        len(file.attrs)
        raster = _select_raster(path, _open_with_xarray(path, engine="h5netcdf", phony_dims="sort"), ndim, variable)
        return replace(raster, notes=(*raster.notes, *check_storage(path, file[raster.variable])))


def read_zarr(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read an array of a Zarr folder (format 2 or 3) with its CF metadata.

    Parameters
    ----------
    path : Path
        Folder of one array or of a group of arrays. A feature store of hsifeat is not accepted.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        Name of the array, as ``group/name`` within a group. It is required if several arrays have `ndim` dimensions.

    Raises
    ------
    SceneError
        The folder is damaged, is a feature store or lacks the array. `variable` is None, and the folder does not have
        exactly one array of `ndim` dimensions.
    """
    import zarr

    if not path.is_dir():
        raise SceneError(f"{path} is a file; a Zarr scene is a folder")
    check_folder(path)
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        if variable is not None:
            raise SceneError(f"{path} is one array without a name; leave out {variable!r}")
        raster = replace(_select_raster(path, {"": _zarr_variable(path, node)}, ndim, None), variable="")
        return replace(raster, notes=(*raster.notes, *_check_chunks(path, path, node)))
    if any(name.startswith("hsifeat") for name in node.attrs):
        raise SceneError(
            f"{path} is a feature store, not a scene: use it with `hsifeat fit` or `hsifeat bench`; to extract features, "
            "give the file of the scene"
        )
    arrays = _find_arrays(path)
    variables = {name: _zarr_variable(path, array) for name, array in arrays.items()}
    # xarray opens a group only if every array in it has dimension names.
    if all(file_variable.dims for file_variable in variables.values() if file_variable.array.shape):
        variables = _open_with_xarray(path, engine="zarr", consolidated=False)
    raster = _select_raster(path, variables, ndim, variable)
    chunk_notes = _check_chunks(path, path / raster.variable, arrays[raster.variable])
    return replace(raster, notes=(*raster.notes, *chunk_notes))


def _find_arrays(folder: Path, group: str = "") -> dict[str, Any]:
    """Return the arrays of a Zarr group and its subgroups, by path.

    Each array is opened from its separate metadata, because consolidated metadata may be out of date.
    """
    import zarr

    arrays: dict[str, Any] = {}
    for child in sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_zarr_folder(entry)):
        node, name = zarr.open(child, mode="r"), f"{group}{child.name}"
        arrays |= {name: node} if isinstance(node, zarr.Array) else _find_arrays(child, f"{name}/")
    return arrays


def _open_with_xarray(path: Path, **options: Any) -> dict[str, FileVariable]:
    """Return the variables of all groups of a file by path. Values stay unscaled and unmasked."""
    import xarray as xr

    as_stored: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "decode_coords": False, "cache": False}
    with _ignore_library_warnings():
        if options["engine"] == "scipy":
            groups = {"/": xr.open_dataset(path, **as_stored, **options)}
        else:
            groups = dict(xr.open_groups(path, **as_stored, **options))
    variables = {}
    for group, dataset in sorted(groups.items()):
        for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
            # xarray invents names for unnamed dimensions.
            dims = () if any(str(dim).startswith("phony_dim_") for dim in variable.dims) else map(str, variable.dims)
            chunks = variable.encoding.get("chunksizes") or variable.encoding.get("chunks")
            array = BackendArray(path, variable, chunks)
            variables[f"{group}/{name}".strip("/")] = _file_variable(tuple(dims), array, dict(variable.attrs))
    return variables


def _zarr_variable(path: Path, array: Any) -> FileVariable:
    dims = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    complete = all(isinstance(dim, str) for dim in dims) and len(dims) == array.ndim
    view = BackendArray(path, array, array.chunks)
    return _file_variable(tuple(dims) if complete else (), view, dict(array.attrs))


def _file_variable(dims: tuple[str, ...], array: ArrayView, attrs: dict[str, Any]) -> FileVariable:
    """Create a `FileVariable`, with signed or unsigned integers as the attribute ``_Unsigned`` states.

    Attributes that contain values of the array, such as ``_FillValue``, are converted as well.
    """
    unsigned = str(attrs.get("_Unsigned", "")).lower()
    if {"true": "i", "false": "u"}.get(unsigned) != array.dtype.kind:
        return FileVariable(dims, array, attrs)
    dtype = _opposite_sign(array.dtype)
    values: dict[str, Any] = {
        key: np.asarray(attrs[key]).astype(dtype)
        for key in ("_FillValue", "missing_value", "flag_values")
        if key in attrs and np.asarray(attrs[key]).dtype.kind in "iu"
    }
    return FileVariable(dims, SignCastView(array), {**attrs, **values})


def _opposite_sign(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"{dtype.byteorder}{'u' if dtype.kind == 'i' else 'i'}{dtype.itemsize}")


def _select_raster(path: Path, variables: dict[str, FileVariable], ndim: int, variable: str | None) -> Raster:
    """Choose a variable, order its axes and read its metadata."""
    numeric = {
        name: candidate
        for name, candidate in variables.items()
        if candidate.array.dtype.kind in "biufc" and candidate.array.shape
    }
    axes = {name: squeeze_axes(candidate, ndim) for name, candidate in numeric.items()}
    shapes = {
        name: tuple(candidate.array.shape[axis] for axis in axes[name])
        for name, candidate in numeric.items()
        if name == variable or not is_coordinate(name, candidate)
    }
    array_name, notes = choose_variable(path, shapes, ndim, variable)
    choice = numeric[array_name]
    order, ordered, order_notes = find_axis_order(choice, axes[array_name], variables, path.name)
    notes += order_notes
    in_file_order = order == tuple(range(len(choice.array.shape)))
    array = choice.array if in_file_order else TransposedView(choice.array, order)
    if not ordered or len(order) != ndim:
        return Raster(array, ordered=False, variable=array_name, nodata=nodata_values(choice), notes=notes)
    raster = read_attributes(choice, [choice.dims[axis] for axis in order], variables, path.name)
    return replace(raster, array=array, variable=array_name, notes=(*notes, *raster.notes))


def _check_chunks(path: Path, folder: Path, array: Any) -> tuple[str, ...]:
    """Check the chunk files of a Zarr array, and return a note if some chunks are missing.

    Files are counted and not looked up by name, because a damaged shape may imply an enormous number of chunks.
    """
    blocks = array.shards or array.chunks
    chunk_bytes = prod(array.chunks) * array.dtype.itemsize
    if chunk_bytes > _MAX_CHUNK_BYTES:
        raise SceneError(
            f"{path}: a chunk of {folder.name} has {chunk_bytes / 2**30:.1f} GiB and must be read as a whole; at most 2 GiB "
            "are allowed: store the array in smaller chunks"
        )
    expected = prod(-(-size // block) for size, block in zip(array.shape, blocks, strict=True))
    metadata = {"zarr.json", ".zarray", ".zattrs", ".zmetadata", ".zgroup"}
    stored = sum(file.is_file() and file.name not in metadata for file in folder.rglob("*"))
    if stored > expected:
        raise SceneError(f"{folder} holds {stored} chunks, but its shape has only {expected}: it is damaged")
    return check_chunk_count(path, folder.name, stored, expected)


@contextmanager
def _ignore_library_warnings() -> Iterator[None]:
    """Ignore warnings of xarray and zarr on which users can't act, such as warnings about experimental codecs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
