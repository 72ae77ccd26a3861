"""Axis order of cubes whose file format defines no order. The user states the order, or hsifeat guesses it."""

from __future__ import annotations

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.formatting import format_value
from hsifeat.scenes.array_views import SplitAxisView, TransposedView
from hsifeat.types import Cube

_AXES = ("rows", "cols", "bands")
# Orders of axes that are assumed, the most common first.
_ORDERS = _AXES, ("bands", "rows", "cols"), ("rows", "bands", "cols")
_FORMS = "rows, cols and bands in any order, or bands and pixels, such as bands,rows,cols or bands,pixels"


def parse_axes(text: str | None) -> tuple[str, ...] | None:
    """Parse an axis order such as ``bands,rows,cols``. Return None if `text` is None.

    The axes are ``rows``, ``cols`` and ``bands``, or ``bands`` and one axis of pixels. Their order is free.

    The axis ``pixels`` contains the pixels in column order, as MATLAB flattens a cube. The axis ``pixels-by-row`` contains
    the pixels in row order, as NumPy flattens a cube.

    Raises
    ------
    SceneError
        If the text lists other axes, or is not a text.

    Examples
    --------
    >>> parse_axes("bands, pixels")
    ('bands', 'pixels')
    """
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",")) if isinstance(text, str) else ()
    flat = [name for name in names if name.startswith("pixels")]
    if sorted(names) != sorted(_AXES) and not (
        len(names) == 2 and "bands" in names and flat in (["pixels"], ["pixels-by-row"])
    ):
        raise SceneError(f"axes must be {_FORMS} (pixels-by-row for pixels in row order); found {format_value(text)}")
    return names


def order_axes(
    array: Cube,
    axes: tuple[str, ...] | None,
    rows: int | None,
    cols: int | None,
    name: str,
    wavelengths: int | None = None,
) -> tuple[Cube, tuple[str, ...]]:
    """Return a view of an array with its axes in the order rows, columns, bands.

    Parameters
    ----------
    array : array-like
        A three-dimensional array, or a two-dimensional array with one axis for all pixels.
    axes : tuple of str or None
        Axis order from `parse_axes`; None to guess the order.
    rows, cols : int, optional
        Height and width of the scene in pixels. If one axis holds all pixels, at least one of these two numbers is
        required. If rows and columns have separate axes, `rows` and `cols` must be None.
    name : str
        Name of the file, for notes and errors.
    wavelengths : int, optional
        Number of wavelengths in the file. If the order is guessed, an axis of this length is that of the bands.

    Returns
    -------
    array : array-like of shape (rows, cols, bands)
        The array itself or a view of it.
    notes : tuple of str
        A note that states the axis order if it was guessed, or the order of pixels in column order if the file is not from
        MATLAB.

    Raises
    ------
    SceneError
        If one axis holds all pixels, and `rows` and `cols` are both None. If one axis holds all pixels, and `rows` or
        `cols` contradicts the number of pixels. If rows and columns have separate axes, and `rows` or `cols` is not
        None.
    """
    notes: tuple[str, ...] = ()
    if axes is None:
        axes, notes = _guess_axes(array.shape, name, wavelengths)
    if len(axes) == 2:
        pixels = next(axis for axis in axes if axis.startswith("pixels"))
        rows, cols = _complete_shape(array.shape[axes.index(pixels)], rows, cols, name)
        bands_first = array if axes[0] == "bands" else _transpose(array, (1, 0))
        sides = (rows, cols) if pixels == "pixels-by-row" else (cols, rows)
        if pixels == "pixels" and not name.lower().endswith(".mat"):
            order = "in column order, as MATLAB flattens a cube; the axis pixels-by-row is read in row order, as NumPy flattens one"
            notes = (f"{name}: its pixels are read {order}",)
        if isinstance(bands_first, np.ndarray):
            array = bands_first.reshape(-1, *sides)
        else:
            array = SplitAxisView(bands_first, *sides)
        axes = ("bands", "rows", "cols") if pixels == "pixels-by-row" else ("bands", "cols", "rows")
    elif rows is not None or cols is not None:
        raise SceneError(f"{name} has separate axes for rows and columns: leave out `rows` and `cols`")
    return _transpose(array, tuple(axes.index(axis) for axis in _AXES)), notes


def _transpose(array: Cube, order: tuple[int, ...]) -> Cube:
    if order == tuple(range(len(order))):
        return array
    return array.transpose(order) if isinstance(array, np.ndarray) else TransposedView(array, order)


def _guess_axes(shape: tuple[int, ...], name: str, wavelengths: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Guess the axis order, and return it with a note.

    Bands are the first axis if only the last two axes have equal lengths. Otherwise, bands are the last axis. If
    this axis has another length than the wavelengths, bands are the last, first or second axis that has their length.
    """
    first, second, third = shape
    axes, reason = _ORDERS[first != second == third], ""
    if wavelengths in shape and shape[axes.index("bands")] != wavelengths:
        axes = next(order for order in _ORDERS if shape[order.index("bands")] == wavelengths)
        reason = f", because the file has {wavelengths} wavelengths"
    sizes = " x ".join(map(str, shape))
    return axes, (
        f"{name}: assumed the axes of its {sizes} values to be {', '.join(axes)}{reason}; set `axes` if this is wrong",
    )


def _complete_shape(pixels: int, rows: int | None, cols: int | None, name: str) -> tuple[int, int]:
    if rows is None and cols is None:
        raise SceneError(f"{name} has {pixels} pixels in one axis: set `rows` or `cols`")
    height = rows if rows is not None else pixels // max(cols or 1, 1)
    width = cols if cols is not None else pixels // max(height, 1)
    if height < 1 or width < 1 or height * width != pixels:
        shape = f"{rows if rows is not None else '?'} x {cols if cols is not None else '?'}"
        raise SceneError(
            f"{name} has {pixels} pixels in one axis, which cannot be divided into {shape} (rows x cols): set `rows` or `cols` to "
            f"a divisor of {pixels}"
        )
    return height, width
