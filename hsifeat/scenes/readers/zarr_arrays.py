"""Arrays of a Zarr folder (format 2 or 3) with dimension names, attributes and fill values."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.readers.backend_arrays import BackendArray, apply_sign, ignore_library_warnings
from hsifeat.scenes.readers.external_sources import check_folder
from hsifeat.scenes.readers.raster import FileVariable
from hsifeat.scenes.readers.scopes import group_of, join, locate_dimension
from hsifeat.scenes.readers.source_paths import is_zarr_folder
from hsifeat.zarr_thread import start_zarr_thread


def find_root(path: Path) -> tuple[Path, str]:
    """Return the outermost Zarr group that contains `path`, and the path from this group to `path`.

    Metadata of an array may be in any group that contains the array. If the outermost group is a feature store of hsifeat,
    or contains a link that leads out of the group, the function returns `path` and an empty path.

    Parameters
    ----------
    path : Path
        Folder of a Zarr array or group.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  # links are not resolved
    root = absolute
    while root.parent != root and is_zarr_folder(root.parent):
        root = root.parent
    # A feature store can have very many files, so they are not searched for links.
    if root == absolute or is_feature_store(root):
        return path, ""
    try:
        check_folder(root)
    except SceneError:
        return path, ""
    return root, str(absolute.relative_to(root).as_posix())


def is_feature_store(folder: Path) -> bool:
    """Return whether a Zarr folder is a feature store of hsifeat."""
    import zarr

    start_zarr_thread()
    return any(name.startswith("hsifeat") for name in zarr.open(folder, mode="r").attrs)


def find_arrays(root: Path, within: str) -> dict[str, Any]:
    """Return a dict that maps paths to the arrays of a Zarr folder.

    Each array is opened with the metadata in its own folder, because consolidated metadata may be out of date.

    Parameters
    ----------
    root : Path
        Folder of a group or an array. If the root is an array, the path of the array is an empty string.
    within : str
        Path of a group or array in `root`; empty for all of `root`. A damaged array inside this path raises an error. A
        damaged array elsewhere is left out, and intact arrays elsewhere are included.
    """
    import zarr

    start_zarr_thread()
    arrays: dict[str, Any] = {}

    def visit(folder: Path, name: str) -> None:
        try:
            node = zarr.open(folder, mode="r")
        except Exception:  # a damaged file can make zarr raise anything
            if f"{name}/".startswith(f"{within}/") or not within:
                raise
            return
        if isinstance(node, zarr.Array):
            arrays[name] = node
            return
        for child in sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_zarr_folder(entry)):
            visit(child, join(name, child.name))

    with ignore_library_warnings():
        visit(root, "")
    return arrays


def read_variables(path: Path, arrays: Mapping[str, Any]) -> dict[str, FileVariable]:
    """Return a dict that maps paths to the arrays of a Zarr folder, with their dimensions and attributes.

    Parameters
    ----------
    path : Path
        The folder, for messages.
    arrays : mapping of str to zarr.Array
        All arrays of the folder by path.
    """
    variables = {
        name: apply_sign(_dimension_names(array), BackendArray(path, array, array.chunks), _attributes(array))
        for name, array in arrays.items()
    }
    layout = {name: (variable.dims, variable.array.shape) for name, variable in variables.items()}
    return {
        name: replace(
            variable,
            dims=tuple(
                locate_dimension(dim, size, group_of(name), layout)
                for dim, size in zip(variable.dims, variable.array.shape, strict=True)
            ),
        )
        if variable.dims
        else variable
        for name, variable in variables.items()
    }


def _dimension_names(array: Any) -> tuple[str, ...]:
    dims = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    complete = all(isinstance(dim, str) for dim in dims) and len(dims) == array.ndim
    return tuple(dims) if complete else ()


def _attributes(array: Any) -> dict[str, Any]:
    """Return the attributes of an array. ``_FillValue`` lists the decoded attribute and Zarr's own fill value.

    In format 2, only the fill value can state the no-data value. In format 3, the attribute ``_FillValue`` states the
    no-data value. A fill value of 0 is ignored in format 3, because 0 is the default of arrays without a declared fill
    value.
    """
    attrs = dict(array.attrs)
    fills = [_decode_fill(value) for value in np.ravel(attrs.pop("_FillValue", [])).tolist()]
    fill = array.fill_value
    if fill is not None and np.dtype(array.dtype).kind in "biuf" and (array.metadata.zarr_format == 2 or fill != 0):
        fills.append(np.asarray(fill).item())
    return {**attrs, "_FillValue": fills} if fills else attrs


def _decode_fill(value: Any) -> Any:
    """Decode ``_FillValue``: a number, a name such as ``NaN``, or a float64 that xarray wrote as base64 text."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return struct.unpack("<d", base64.b64decode(value, validate=True))[0]
    except (ValueError, struct.error):
        return value
