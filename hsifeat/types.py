"""Small types that several packages use: windows, names of planes, layers of a backbone, and cubes."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from hsifeat.errors import HsifeatError, SceneError, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LARGEST_CLASS = 2**31 - 1
"""Largest class number that files of maps and tables can store."""

MANTISSA_BITS = 10
"""Number of stored bits of the mantissa of float16."""


def as_int(value: object) -> int | None:
    """Convert an integer of Python or NumPy to int. Return None for booleans and all other values.

    >>> as_int(3), as_int(3.0), as_int(True)
    (3, None, None)
    """
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def load_slice(part: Any) -> NDArray[Any]:
    """Return a slice of an array in memory or on disk as a NumPy array. A masked array keeps its mask.

    `numpy.asarray` loses the mask, also that of a dask array.

    Parameters
    ----------
    part : array-like
        The slice.

    Returns
    -------
    array of the shape and dtype of `part`
        The values.
    """
    import numpy as np

    if isinstance(part, np.ndarray):
        return part
    part = part.compute() if hasattr(part, "compute") else part
    return np.asanyarray(getattr(part, "data", part) if hasattr(part, "dims") else part)


NAMES_OF_NM = ("nanometers", "nanometres", "nanometer", "nanometre", "nm")
"""Names of the unit nm, in lower case."""


def has_labelled_axes(array: object) -> bool:
    """Return whether a value is an `xarray.DataArray` or a pandas object. NumPy ignores their coordinates.

    >>> import numpy as np
    >>> has_labelled_axes(np.ones(2))
    False
    """
    return hasattr(array, "dims") or hasattr(array, "iloc") or hasattr(array, "columns")


def plain_values(part: Any) -> NDArray[Any]:
    """Return a slice of a cube or of another image as a NumPy array without a mask.

    Parameters
    ----------
    part : array-like
        The slice.

    Returns
    -------
    array of the shape and dtype of `part`
        The values.

    Raises
    ------
    SceneError
        If the slice is a masked array. Its masked values would count as data.
    """
    import numpy as np

    values = load_slice(part)
    if isinstance(values, np.ma.MaskedArray):
        raise SceneError(
            "the slices of the array are masked, and masked values would count as data: open the file with open_scene, or give "
            "an array without a mask, with mask=… or nodata=… (netCDF4: variable.set_auto_maskandscale(False); dask: "
            "dask.array.ma.getdata)"
        )
    return np.asarray(values)


def as_float32(values: Any) -> NDArray[np.float32]:
    """Convert an array to float32. Values beyond the range of float32 become infinite.

    Raises
    ------
    SceneError
        If the array has a mask, see `plain_values`.

    Examples
    --------
    >>> as_float32([1e300, -0.5]).tolist()
    [inf, -0.5]
    """
    import numpy as np

    with np.errstate(over="ignore"):
        return np.asarray(plain_values(values), np.float32)


class Cube(Protocol):
    """Interface of a (rows, cols, bands) array in memory or on disk that is sliced like a NumPy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, columns and bands."""
        ...

    @property
    def dtype(self) -> Any:
        """NumPy dtype of the values."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Return the values of the block that the slices in `key` select."""
        ...


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels, given by its first row, first column, height and width.

    The first row and the first column may be negative.

    Examples
    --------
    >>> Window(0, 8, 4, 4).slices
    (slice(0, 4, None), slice(8, 12, None))
    """

    row: int
    col: int
    rows: int
    cols: int

    def __post_init__(self) -> None:
        for name in ("row", "col", "rows", "cols"):
            value = getattr(self, name)
            if not isinstance(value, int) and hasattr(value, "__index__"):
                object.__setattr__(self, name, value.__index__())  # sums of small NumPy integers overflow

    @property
    def slices(self) -> tuple[slice, slice]:
        """The slice of rows and the slice of columns of the window."""
        return slice(self.row, self.row + self.rows), slice(self.col, self.col + self.cols)

    def clip(self, rows: int, cols: int) -> Window:
        """Return the part of the window within a scene of `rows` x `cols` pixels."""
        top, left = max(self.row, 0), max(self.col, 0)
        bottom, right = min(self.row + self.rows, rows), min(self.col + self.cols, cols)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def coarsen(self, stride: int) -> Window:
        """Return the window of all cells that overlap this window.

        A cell has `stride` x `stride` pixels. All numbers of the returned window are in cells.
        """
        top, left = self.row // stride, self.col // stride
        bottom, right = -(-(self.row + self.rows) // stride), -(-(self.col + self.cols) // stride)
        return Window(top, left, bottom - top, right - left)


def check_window(window: object, rows: int, cols: int, array: str = "scene") -> None:
    """Check that a value is a window within an array.

    Parameters
    ----------
    window : object
        The value to check.
    rows, cols : int
        Shape of the array, in the unit of the window.
    array : str
        What the array is, for the message.

    Raises
    ------
    StoreError
        If the value is not a `Window` of integers, or reaches beyond the array.
    """
    if not isinstance(window, Window) or None in map(as_int, (window.row, window.col, window.rows, window.cols)):
        raise StoreError(f"a window is Window(row, col, rows, cols) with four integers; found {window!s:.60}")
    if window != window.clip(rows, cols):
        raise StoreError(f"{window} reaches beyond the {array} of {rows} x {cols}")


def check_integers(least: int, **options: object) -> None:
    """Raise `HsifeatError` unless each option is an integer of Python or NumPy that is at least `least`."""
    for name, value in options.items():
        number = as_int(value)
        if number is None or number < least:
            raise HsifeatError(f"{name} is an integer from {least}; found {value!r:.60}")


def as_integers(name: str, values: object) -> tuple[int, ...]:
    """Convert a sequence or array of integers to a tuple, or raise `HsifeatError`. The message starts with `name`.

    >>> as_integers("timesteps", range(0, 100, 50))
    (0, 50)
    """
    numbers = tuple(map(as_int, values)) if isinstance(values, Iterable) and not isinstance(values, str) else (None,)
    if None in numbers:
        raise HsifeatError(f"{name} is a list of integers; found {values!r:.60}")
    return cast(tuple[int, ...], numbers)


def check_path(name: str, value: object) -> None:
    """Raise `HsifeatError` unless a value is a path as a str or as an `os.PathLike` object of a str, without null characters.

    The message starts with `name`.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise HsifeatError(f"{name} is a path; found {value!r:.60}")
    if "\0" in path:
        raise HsifeatError(f"{name} must not contain null characters; found {value!r:.60}")


def check_switches(**options: object) -> None:
    """Raise `StoreError` unless each option is True or False; Python would take a text such as "no" as True."""
    import numpy as np

    for name, value in options.items():
        if not isinstance(value, bool | np.bool_):
            raise StoreError(f"{name} is True or False; found {value!r:.60}")


def windows(rows: int, cols: int, side_px: int) -> Iterator[Window]:
    """Divide a scene into square windows, in row-major order. Windows at the lower and right edges may be smaller.

    Parameters
    ----------
    rows, cols : int
        Shape of the scene in pixels.
    side_px : int
        Side of a window in pixels.

    Yields
    ------
    Window
        A window. Together, the windows cover each pixel once.

    Examples
    --------
    >>> [w.cols for w in windows(2, 5, 2)]
    [2, 2, 1]
    """
    for row in range(0, rows, side_px):
        for col in range(0, cols, side_px):
            yield Window(row, col, min(side_px, rows - row), min(side_px, cols - col))


@dataclass(frozen=True, order=True)
class PlaneId:
    """Name of a plane: the training timestep `t` and the layer of the backbone.

    >>> str(PlaneId(50, "up_blocks.2"))
    't50/up_blocks.2'
    >>> PlaneId.parse("t50/up_blocks.2").path
    't0050/up_blocks.2'
    """

    t: int
    layer: str

    def __str__(self) -> str:
        return f"t{self.t}/{self.layer}"

    @property
    def path(self) -> str:
        """Path of the plane below ``planes/`` in a store."""
        return f"t{self.t:04d}/{self.layer}"

    @classmethod
    def parse(cls, text: str) -> PlaneId:
        """Parse a name such as ``t50/up_blocks.2``.

        Raises
        ------
        StoreError
            If `text` does not have this form.
        """
        match = re.fullmatch(r"t(\d+)/([\w.\-]+)", text.strip()) if isinstance(text, str) else None
        if match is None:
            raise StoreError(f"expected a plane name such as t50/up_blocks.2 (timestep/layer); found {text!r}")
        return cls(int(match[1]), match[2])


@dataclass(frozen=True)
class Tap:
    """A layer of a backbone whose output can be stored as features.

    Attributes
    ----------
    name : str
        Name of the module in the network, with dots.
    alias : str
        Name of the layer in papers, such as ``output_blocks.10``. An empty string if papers use no other name.
    channels : int
        Number of channels of the output.
    stride : int
        Side of a cell of the output, in pixels of the input of the model. If the input is a companion image, its pixels are
        smaller than the pixels of the scene.
    share : float or None
        Cost of computing the output, as a share of the multiplications in a full forward pass, from 0 to 1. None for
        context filters, which have no forward pass.
    intervals : tuple of (int, int)
        Intervals of timesteps at which the network computes the layer. Each pair is the first timestep of an interval, and
        the timestep after its last timestep. Empty if the network computes the layer at all timesteps.
    """

    name: str
    alias: str
    channels: int
    stride: int
    share: float | None
    intervals: tuple[tuple[int, int], ...] = ()

    def runs_at(self, t: int) -> bool:
        """Return whether the network computes the layer at timestep `t`."""
        return not self.intervals or any(first <= t < stop for first, stop in self.intervals)
