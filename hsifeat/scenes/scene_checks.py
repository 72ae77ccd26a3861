"""Checks of the arguments of scenes and label maps, and conversion of lists to arrays and tuples."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from types import UnionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError, SceneError, error_summary, raise_resource_error
from hsifeat.formatting import format_value
from hsifeat.scenes.array_views import ArrayView
from hsifeat.scenes.nodata import NoData, as_nodata
from hsifeat.types import NAMES_OF_NM, load_slice, plain_values


def check_type(value: object, kind: type | UnionType, rule: str) -> None:
    """Raise `SceneError` if a value has a wrong type.

    Parameters
    ----------
    value : object
        The value to check.
    kind : type
        Allowed type or types.
    rule : str
        What the value must be, for the message.
    """
    if not isinstance(value, kind):
        raise SceneError(f"{rule}; found {type(value).__name__}")


def as_texts(values: object, what: str) -> tuple[str, ...]:
    """Convert a list or tuple of texts to a tuple.

    Raises
    ------
    SceneError
        If `values` has another type, or an item that is not a text. The message starts with `what`.
    """
    items = tuple(values) if isinstance(values, list | tuple | np.ndarray) else (None,)
    if not all(isinstance(item, str) for item in items):
        raise SceneError(f"{what} must be a tuple of texts; found {values!r:.60}")
    return tuple(str(item) for item in items)


def as_lengths(values: object, bands: int, what: str, cube: object = None) -> NDArray[np.float64] | None:
    """Convert wavelengths or bandwidths to a (bands,) float64 array; None is returned unchanged.

    Parameters
    ----------
    values : array-like of shape (bands,) or None
        Positive numbers.
    bands : int
        Number of bands.
    what : str
        What the values are, for messages.
    cube : array-like, optional
        Cube of the scene.

    Raises
    ------
    SceneError
        If the values are not one positive number per band. If they are an `xarray.DataArray` or `pandas.Series` whose
        attributes state another unit than nm, or that has the labels of the bands of the cube in another order.
    """
    if values is None:
        return None
    if (unit := _stated_unit(values)).lower() not in {"", "1", "-", "none", "unitless", "dimensionless", *NAMES_OF_NM}:
        raise SceneError(f"{what} must be in nm; found a {type(values).__name__} in {unit!r}: convert its values to nm")
    own, labels = _labels(values, 0), _labels(cube, 2)
    if own != labels and sorted(own) == sorted(labels):
        raise SceneError(
            f"{what} and the cube have the bands in another order: sort both by their coordinate of the bands"
        )
    try:
        lengths = np.asarray(values)
    except ValueError:  # lists of different lengths
        lengths = np.empty((0, 0))
    if lengths.ndim != 1 or lengths.dtype.kind not in "iuf" or isinstance(values, np.ma.MaskedArray):
        raise SceneError(f"{what} must be one number per band; found {values!r:.60}")
    if len(lengths) != bands:
        raise SceneError(f"{what}: {len(lengths)} values for {bands} bands: give one per band")
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise SceneError(f"{what} must be positive numbers; found {lengths.min():g} to {lengths.max():g}")
    return np.asarray(lengths, np.float64)


def _labels(values: Any, axis: int) -> list[str]:
    """Return the labels of an axis of an `xarray.DataArray` or `pandas.Series` as texts; an empty list if there are none.

    Equal numbers give equal texts, whatever their types.
    """
    dims, coords = getattr(values, "dims", ()), getattr(values, "coords", {})
    index = getattr(values, "index", None)
    if isinstance(dims, tuple) and len(dims) > axis and dims[axis] in coords:
        labels = np.asarray(coords[dims[axis]]).tolist()
    else:
        labels = [] if axis or index is None or callable(index) else list(index)
    try:
        return [str(float(label)) for label in labels]
    except (TypeError, ValueError):
        return [str(label) for label in labels]


def _stated_unit(values: object) -> str:
    """Return the unit in the attributes of an `xarray.DataArray` or `pandas.Series`; an empty text if there is none."""
    attrs = getattr(values, "attrs", None)
    lowered = {str(key).lower(): value for key, value in attrs.items()} if isinstance(attrs, Mapping) else {}
    unit = next(
        (lowered[key] for key in ("units", "unit") if isinstance(lowered.get(key), str | bytes) and lowered[key]), ""
    )
    return (unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)).strip()


def convert_nodata(values: object, what: str) -> NoData:
    """Convert a number, or a list of numbers or of one list per band, to no-data values.

    Raises
    ------
    SceneError
        If `values` has another form. The message starts with `what`.
    """
    try:
        return as_nodata(values)
    except TypeError as error:
        raise SceneError(
            f"{what} is a number, several numbers, or one tuple of numbers per band, such as -9999 or (0, 255), and () for none; "
            f"found {format_value(values)}"
        ) from error


def check_mask(mask: object, shape: tuple[int, int], name: str) -> None:
    """Raise `SceneError` if a mask of pixels, such as the valid ones, is not a bool array of the shape of its scene.

    Parameters
    ----------
    mask : (rows, cols) bool array
        The value to check.
    shape : tuple of 2 ints
        Rows and columns of the scene.
    name : str
        Name of the scene or of the mask, for messages.
    """
    if not isinstance(mask, np.ndarray) or isinstance(mask, np.ma.MaskedArray) or mask.dtype != bool:
        found = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise SceneError(
            f"{name}: the mask must be a bool array, which is True at the pixels to use; found {found}: give "
            "`np.asarray(mask) != 0` if it is 0 at all others"
        )
    if mask.shape != shape:
        raise SceneError(
            f"{name}: the mask has the shape {mask.shape}, but the scene has {shape[0]} x {shape[1]} pixels"
        )


def check_image(image: Any, name: str, kind: str) -> None:
    """Raise `SceneError` if a cube or companion image is not an array of real numbers of at most 64 bits.

    Parameters
    ----------
    image : array-like
        The value to check.
    name : str
        Name of the scene, for messages.
    kind : str
        ``cube`` or ``companion image``.
    """
    if isinstance(image, np.ma.MaskedArray):
        raise SceneError(
            f"{name}: a {kind} can't be a masked array: give {kind.partition(' ')[0]}.data"
            + (" and mask=~np.ma.getmaskarray(cube).any(axis=2)" if kind == "cube" else "")
        )
    shape, dtype = shape_and_dtype(image, f"{name}: a {kind}")
    if len(shape) < 2 or (kind == "cube" and (len(shape) != 3 or min(shape) < 1)):
        raise SceneError(f"{name}: a {kind} must have the shape (rows, cols, bands); found {shape}")
    check_dimensions(image, name, kind)
    if dtype.kind not in "iuf":
        raise SceneError(f"{name}: a {kind} must hold real numbers; found dtype {dtype}")
    if dtype.kind == "f" and dtype.itemsize > np.dtype(np.float64).itemsize:
        raise SceneError(
            f"{name}: values of {dtype} can't be processed: save them as float64, for example with "
            "`array.astype('float64')`"
        )
    check_slices(image, name, kind)


def shape_and_dtype(
    array: Any, what: str, expected: str = "an array that NumPy can slice"
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and dtype of an array of any library.

    Parameters
    ----------
    array : array-like
        The value to check.
    what : str
        What the array is, as the start of messages.
    expected : str
        What the value can be, for messages.

    Raises
    ------
    SceneError
        If the value is no array. If its shape is unknown. If its file was closed.
    """
    try:
        if type(array).__module__.startswith("netCDF4") and not array.group().isopen():
            raise OSError("the dataset is closed")  # noqa: TRY301  # netCDF gives its number to the next file, whose values would be read
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
    except (AttributeError, TypeError) as error:
        raise SceneError(f"{what} must be {expected}; found {type(array).__name__}: give `np.asarray(…)`") from error
    except Exception as error:  # each library has its own
        raise_resource_error(error)
        raise _unreadable(what, error) from error
    if not all(isinstance(size, Integral) for size in shape):
        raise SceneError(f"{what}: the shape {shape} is unknown: call its method compute_chunk_sizes() first")
    return shape, dtype


def _unreadable(what: str, error: Exception) -> SceneError:
    return SceneError(
        f"{what} can't be read ({error_summary(error)}): if its file was closed, pass the array while the file is open, or pass "
        "the path of the file"
    )


def check_slices(array: Any, name: str, kind: str, *, masks: bool = False) -> None:
    """Raise `SceneError` if the slices of an array of another library have another dtype than the array, or a mask.

    One pixel is read. The slices of a ``netCDF4.Variable`` are scaled and masked, while its dtype is that of the file.

    Parameters
    ----------
    array : array-like of shape (rows, cols, bands)
        The value to check.
    name : str
        Name of the scene or of the features, for messages.
    kind : str
        What the array is, for messages.
    masks : bool
        Whether slices may be masked arrays.
    """
    if isinstance(array, np.ndarray | ArrayView):
        return
    try:
        found = (load_slice if masks else plain_values)(array[:1, :1]).dtype
    except SceneError as error:
        raise SceneError(f"{name}: {kind}: {error}") from error
    except HsifeatError:
        raise
    except Exception as error:  # each library has its own
        raise_resource_error(error)
        raise _unreadable(f"{name}: the {kind}", error) from error
    declared = np.dtype(array.dtype)
    if (found.kind, found.itemsize) != (declared.kind, declared.itemsize):
        raise SceneError(
            f"{name}: the {kind} has the dtype {declared}, but its slices have {found}: open the file by its name, or give an "
            "array whose slices have its dtype (netCDF4: variable.set_auto_maskandscale(False) gives the values as stored)"
        )


def check_dimensions(array: Any, name: str, kind: str) -> None:
    """Raise `SceneError` if an array names its dimensions, as xarray does, in another order than rows, columns, bands.

    The attributes ``axis`` and ``standard_name`` of coordinates count, too.

    Parameters
    ----------
    array : array-like of three dimensions
        The value to check. Names that are unknown, and arrays without names, are not refused.
    name : str
        Name of the scene, for messages.
    kind : str
        What the array is, for messages.
    """
    from hsifeat.scenes.readers.dimension_roles import role_of_dimension

    dims = getattr(array, "dims", ())
    if not isinstance(dims, tuple) or len(dims) != 3:
        return
    order = ("rows", "cols", "bands")
    coords = getattr(array, "coords", {})
    roles = [role_of_dimension(str(dim), coords[dim].attrs if dim in coords else {}) for dim in dims]
    if all(role in {"", expected} for role, expected in zip(roles, order, strict=True)):
        return
    unknown = iter([dim for role, dim in zip(roles, dims, strict=True) if not role])
    known = {role: dim for role, dim in zip(roles, dims, strict=True) if role}
    wanted = ", ".join(repr(known[role] if role in known else next(unknown, "…")) for role in order)
    raise SceneError(
        f"{name}: a {kind} has the axes rows, cols, bands; found the dimensions {', '.join(map(str, dims))}: give "
        f"array.transpose({wanted})"
    )
