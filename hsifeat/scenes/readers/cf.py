"""Zarr folders and NetCDF files by xarray: arrays whose dimensions have names, read when they are sliced."""

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
from hsifeat.scenes.array_views import Part, Turned, View, as_slices
from hsifeat.scenes.readers import Raster, conventions, is_zarr
from hsifeat.scenes.readers.conventions import Named
from hsifeat.scenes.readers.hdf5 import missing_note, storage_notes
from hsifeat.scenes.readers.hdf5_heaps import check_heaps
from hsifeat.scenes.readers.reading_errors import told
from hsifeat.scenes.readers.variable_choice import choose

# Codecs don't make larger ones; a damaged shape of chunks may be any.
_MOST_CHUNK_BYTES = 2**31


class OnDisk(View):
    """An array of xarray's or zarr's, whose errors name the file.

    Parameters
    ----------
    path : Path
        The file or folder.
    source : array-like
        Takes slices and whole numbers.
    chunks : sequence of int or None
        Shape of its chunks, where it has any.
    """

    def __init__(self, path: Path, source: Any, chunks: Sequence[int] | None = None) -> None:
        super().__init__(source.shape, source.dtype, chunks)
        self._path, self._source = path, source

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        with told(self._path), _quiet():
            return np.asarray(self._source[as_slices(parts)])


class Signed(View):
    """Whole numbers as the attribute ``_Unsigned`` means them: with a sign, or without one.

    Parameters
    ----------
    source : View
        Stored the other way round, since classic NetCDF knows no unsigned numbers.
    """

    def __init__(self, source: View) -> None:
        super().__init__(source.shape, _other_sign(source.dtype), source.chunks)
        self._source = source

    def _read(self, parts: tuple[Part, ...]) -> NDArray[Any]:
        return self._source[as_slices(parts)].astype(self.dtype)


def _other_sign(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"{dtype.byteorder}{'u' if dtype.kind == 'i' else 'i'}{dtype.itemsize}")


def _named(dims: tuple[str, ...], array: View, attrs: dict[str, Any]) -> Named:
    """Return a variable with its values, and the attributes that hold such values, with or without a sign as it says."""
    said = str(attrs.get("_Unsigned", "")).lower()
    if {"true": "i", "false": "u"}.get(said) != array.dtype.kind:
        return Named(dims, array, attrs)
    meant = _other_sign(array.dtype)
    values: dict[str, Any] = {
        key: np.asarray(attrs[key]).astype(meant)
        for key in ("_FillValue", "missing_value", "flag_values")
        if key in attrs and np.asarray(attrs[key]).dtype.kind in "iu"
    }
    return Named(dims, Signed(array), {**attrs, **values})


def read_netcdf(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read a variable of a NetCDF file, classic or version 4, with what the CF conventions say of it.

    Parameters
    ----------
    path : Path
        The file.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        The variable, as ``group/name`` where it lies in a group; needed where there are several candidates.

    Raises
    ------
    SceneError
        It is damaged, or holds no single candidate.
    """
    import h5py

    with path.open("rb") as file:
        classic = file.read(3) == b"CDF"
    if classic:
        return _raster(path, _by_xarray(path, engine="scipy"), ndim, variable)
    check_heaps(path)
    # h5py goes first: what it can't open makes h5netcdf print a traceback besides.
    with h5py.File(path, "r") as file:
        len(file.attrs)
        raster = _raster(path, _by_xarray(path, engine="h5netcdf", phony_dims="sort"), ndim, variable)
        return replace(raster, notes=(*raster.notes, *storage_notes(path, file[raster.variable])))


def read_zarr(path: Path, ndim: int, variable: str | None) -> Raster:
    """Read an array of a Zarr folder, version 2 or 3, with what the CF conventions say of it.

    Parameters
    ----------
    path : Path
        The folder: one array, or a group of arrays. A feature store of ours is no scene.
    ndim : int
        3 for a cube; 2 for a label map.
    variable : str or None
        The array, as ``group/name`` where it lies in a group; needed where there are several candidates.

    Raises
    ------
    SceneError
        It is damaged, a feature store, or holds no single candidate.
    """
    import zarr

    if not path.is_dir():
        raise SceneError(f"{path} is a file; a Zarr scene is a folder")
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        if variable is not None:
            raise SceneError(f"{path} is one array without a name; leave out {variable!r}")
        raster = replace(_raster(path, {"": _by_zarr(path, node)}, ndim, None), variable="")
        return replace(raster, notes=(*raster.notes, *_missing(path, path, node)))
    if any(name.startswith("hsifeat") for name in node.attrs):
        raise SceneError(
            f"{path} is a feature store, not a scene: `hsifeat fit` and `hsifeat bench` take it; to extract, name the "
            "scene's own file"
        )
    arrays = _arrays(path)
    named = {name: _by_zarr(path, array) for name, array in arrays.items()}
    # xarray opens a group only where every array in it has names for its dimensions.
    if all(one.dims for one in named.values() if one.array.shape):
        named = _by_xarray(path, engine="zarr", consolidated=False)
    raster = _raster(path, named, ndim, variable)
    return replace(raster, notes=(*raster.notes, *_missing(path, path / raster.variable, arrays[raster.variable])))


def _arrays(folder: Path, group: str = "") -> dict[str, Any]:
    """Open the arrays of a group and of the groups in it, each from its own metadata: what a group repeats may be older."""
    import zarr

    found: dict[str, Any] = {}
    for child in sorted(one for one in folder.iterdir() if one.is_dir() and is_zarr(one)):
        node, name = zarr.open(child, mode="r"), f"{group}{child.name}"
        found |= {name: node} if isinstance(node, zarr.Array) else _arrays(child, f"{name}/")
    return found


def _by_xarray(path: Path, **options: Any) -> dict[str, Named]:
    """Open a file's variables by xarray, of all its groups; values stay as they are delivered, neither scaled nor NaN."""
    import xarray as xr

    plain: dict[str, Any] = {"mask_and_scale": False, "decode_times": False, "decode_coords": False, "cache": False}
    with _quiet():
        if options["engine"] == "scipy":
            groups = {"/": xr.open_dataset(path, **plain, **options)}
        else:
            groups = dict(xr.open_groups(path, **plain, **options))
    found = {}
    for group, dataset in sorted(groups.items()):
        for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
            # Where a file has no names for its dimensions, xarray makes some up.
            dims = () if any(str(dim).startswith("phony_dim_") for dim in variable.dims) else map(str, variable.dims)
            chunks = variable.encoding.get("chunksizes") or variable.encoding.get("chunks")
            view = OnDisk(path, variable, chunks)
            found[f"{group}/{name}".strip("/")] = _named(tuple(dims), view, dict(variable.attrs))
    return found


def _by_zarr(path: Path, array: Any) -> Named:
    dims = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    known = all(isinstance(dim, str) for dim in dims) and len(dims) == array.ndim
    return _named(tuple(dims) if known else (), OnDisk(path, array, array.chunks), dict(array.attrs))


def _raster(path: Path, named: dict[str, Named], ndim: int, variable: str | None) -> Raster:
    arrays = {name: one for name, one in named.items() if one.array.dtype.kind in "biufc" and one.array.shape}
    axes = {name: conventions.kept_axes(one, ndim) for name, one in arrays.items()}
    shapes = {
        name: tuple(one.array.shape[axis] for axis in axes[name])
        for name, one in arrays.items()
        if name == variable or not conventions.is_coordinate(name, one)
    }
    chosen, notes = choose(path, shapes, ndim, variable)
    one = arrays[chosen]
    order, ordered, guessed = conventions.order_of(one, axes[chosen], named, path.name)
    array = one.array if order == tuple(range(len(one.array.shape))) else Turned(one.array, order)
    if not ordered or len(order) != ndim:
        return Raster(
            array, ordered=False, variable=chosen, nodata=conventions.nodata_of(one), notes=(*notes, *guessed)
        )
    dims = [one.dims[axis] for axis in order]
    raster = conventions.described(one, dims, named, path.name)
    return replace(raster, array=array, variable=chosen, notes=(*notes, *guessed, *raster.notes))


def _missing(path: Path, folder: Path, array: Any) -> tuple[str, ...]:
    """Count the files of an array's chunks, instead of asking for each: a damaged shape may claim any number."""
    blocks = array.shards or array.chunks
    chunk_bytes = prod(array.chunks) * array.dtype.itemsize
    if chunk_bytes > _MOST_CHUNK_BYTES:
        raise SceneError(
            f"{path}: a chunk of {folder.name} is {chunk_bytes / 2**30:.1f} GB, and has to be read whole; the most is 2: "
            "store it in smaller chunks"
        )
    wanted = prod(-(-size // block) for size, block in zip(array.shape, blocks, strict=True))
    metadata = {"zarr.json", ".zarray", ".zattrs", ".zmetadata", ".zgroup"}
    held = sum(one.is_file() and one.name not in metadata for one in folder.rglob("*"))
    if held > wanted:
        raise SceneError(f"{folder} holds {held} chunks, but its shape has only {wanted}: it is damaged")
    return missing_note(path, folder.name, held, wanted)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what xarray and zarr warn of, such as a format's experimental parts, from people who can't change it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
