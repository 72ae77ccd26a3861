"""Arrays of the visible part of a scene, as bytes for the script in the browser."""

from __future__ import annotations

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from hsifeat.types import Window


def coarse_labels(classes: NDArray[np.uint16], window: Window, step: int) -> NDArray[np.uint16]:
    """Reduce the resolution of a part of a label map by a factor `step`.

    The value of each square of `step` x `step` pixels is the highest class number in the square.

    Parameters
    ----------
    classes : (rows, cols) uint16 array
        Label map of the scene.
    window : Window
        The part of the scene.
    step : int
        Side of a square in pixels.

    Returns
    -------
    (ceil(window.rows / step), ceil(window.cols / step)) uint16 array
        Highest class number of each square.

    Examples
    --------
    >>> coarse_labels(np.array([[0, 0, 3], [0, 2, 0]], np.uint16), Window(0, 0, 2, 3), 2).tolist()
    [[2, 3]]
    """
    part = classes[window.slices]
    if step == 1:
        return part
    padded = np.pad(part, [(0, -size % step) for size in part.shape])
    rows, cols = padded.shape[0] // step, padded.shape[1] // step
    coarse: NDArray[np.uint16] = padded.reshape(rows, step, cols, step).max(axis=(1, 3))
    return coarse


def aligned_window(window: Window, shape: tuple[int, int], step: int) -> Window:
    """Clip a window to a scene, and move its top and left edges outwards to multiples of `step`.

    Parameters
    ----------
    window : Window
        The window. It may lie partly or wholly outside of the scene.
    shape : tuple of int
        Rows and columns of the scene.
    step : int
        Distance between neighbouring pixels of the displayed image, in pixels of the scene.

    Returns
    -------
    Window
        The resulting window. It has at least one pixel.

    Examples
    --------
    >>> aligned_window(Window(3, 5, 4, 4), (100, 100), 4)
    Window(row=0, col=4, rows=7, cols=5)
    """
    row, col = (
        min(max(at, 0), size - 1) // step * step for at, size in zip((window.row, window.col), shape, strict=True)
    )
    bottom, right = max(window.row + window.rows, row + 1), max(window.col + window.cols, col + 1)
    return Window(row, col, min(bottom, shape[0]) - row, min(right, shape[1]) - col)


def raster_response(window: Window, step: int, layers: list[NDArray[np.generic]], **facts: object) -> Response:
    """Return a response with several arrays of equal shape.

    The content is the little-endian bytes of the arrays, one array after the other. Headers state the first row and column
    of `window`, the shape of the arrays, and `step`.

    Parameters
    ----------
    window : Window
        Part of the scene.
    step : int
        Distance between neighbouring values, in pixels of the scene.
    layers : list of (rows, cols) arrays
        Arrays of dtype ``uint16`` or ``uint8``, in the order of their bytes in the response.
    **facts
        More values for the headers. For example, ``version=3`` becomes the header ``X-Version: 3``.
    """
    rows, cols = layers[0].shape
    place = {"row": window.row, "col": window.col, "rows": rows, "cols": cols, "step": step}
    body = b"".join(np.ascontiguousarray(layer, layer.dtype.newbyteorder("<")).tobytes() for layer in layers)
    headers = {f"X-{name.title()}": str(value) for name, value in {**place, **facts}.items()}
    return Response(body, media_type="application/octet-stream", headers=headers)
