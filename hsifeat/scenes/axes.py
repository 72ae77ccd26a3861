"""Which axis of an array is which: said by the user, told by the format, or guessed and noted."""

from __future__ import annotations

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.array_views import Turned, Unflattened
from hsifeat.types import Cube

_AXES = ("rows", "cols", "bands")
FORMS = "rows, cols and bands in any order, or bands and pixels, such as bands,rows,cols or bands,pixels"


def parse_axes(text: str | None) -> tuple[str, ...] | None:
    """Read ``bands,rows,cols``; None for None, `SceneError` for anything that names no whole cube.

    ``pixels`` runs down the columns first, as MATLAB flattens a cube; ``pixels-by-row`` along the rows first, as NumPy does.
    """
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    flat = [name for name in names if name.startswith("pixels")]
    if sorted(names) != sorted(_AXES) and not (
        len(names) == 2 and "bands" in names and flat in (["pixels"], ["pixels-by-row"])
    ):
        raise SceneError(f"axes are {FORMS} (pixels-by-row where rows were flattened first); found {text!r}")
    return names


def put_in_order(
    array: Cube, axes: tuple[str, ...] | None, rows: int | None, cols: int | None, name: str
) -> tuple[Cube, tuple[str, ...]]:
    """Return an array as (rows, cols, bands), without reading it, and notes on what was guessed.

    Parameters
    ----------
    array : array-like
        Of three dimensions, or of two where pixels are in one axis.
    axes : tuple of str or None
        As `parse_axes` gives them; None to guess.
    rows, cols : int, optional
        The scene's shape where pixels are in one axis; one of them is enough.
    name : str
        The file's name, for notes and errors.

    Raises
    ------
    SceneError
        The pixels do not make up `rows` x `cols`, or neither is given.
    """
    if axes is None:
        axes, notes = _guess(array.shape, name)
    else:
        notes = ()
    if len(axes) == 2:
        pixels = next(axis for axis in axes if axis.startswith("pixels"))
        rows, cols = _shape_of(array.shape[axes.index(pixels)], rows, cols, name)
        bands_first = array if axes[0] == "bands" else _turn(array, (1, 0))
        sides = (rows, cols) if pixels == "pixels-by-row" else (cols, rows)
        if isinstance(bands_first, np.ndarray):
            array = bands_first.reshape(-1, *sides)
        else:
            array = Unflattened(bands_first, *sides)
        axes = ("bands", "rows", "cols") if pixels == "pixels-by-row" else ("bands", "cols", "rows")
    elif rows is not None or cols is not None:
        raise SceneError(f"{name} has its rows and cols as axes: leave out --rows and --cols")
    return _turn(array, tuple(axes.index(axis) for axis in _AXES)), notes


def _turn(array: Cube, order: tuple[int, ...]) -> Cube:
    if order == tuple(range(len(order))):
        return array
    return array.transpose(order) if isinstance(array, np.ndarray) else Turned(array, order)


def _guess(shape: tuple[int, ...], name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take the last axis as bands, as most files have it; the first where the other two are equal."""
    first, second, third = shape
    axes = ("bands", "rows", "cols") if first != second == third else _AXES
    sizes = " x ".join(map(str, shape))
    return axes, (f"{name}: took the axes of its {sizes} values as {', '.join(axes)}; --axes says otherwise",)


def _shape_of(pixels: int, rows: int | None, cols: int | None, name: str) -> tuple[int, int]:
    if rows is None and cols is None:
        raise SceneError(f"{name} has {pixels} pixels in one axis: say how many --rows or --cols they make up")
    tall = rows if rows is not None else pixels // max(cols or 1, 1)
    wide = cols if cols is not None else pixels // max(tall, 1)
    if tall < 1 or wide < 1 or tall * wide != pixels:
        found = f"{rows if rows is not None else '?'} x {cols if cols is not None else '?'}"
        raise SceneError(f"{name} has {pixels} pixels in one axis, which do not make up {found} (rows x cols)")
    return tall, wide
