"""Rasters of the visible part of a scene, as bytes for the script of the workbench."""

from __future__ import annotations

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from hsifeat.types import Window


def coarse_labels(classes: NDArray[np.uint16], window: Window, step: int) -> NDArray[np.uint16]:
    """Reduce a part of a label map. Each square of `step` x `step` pixels becomes the highest class number in the square.

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
    """Clip a window to a scene, and extend the window upwards and to the left to multiples of `step`.

    Parameters
    ----------
    window : Window
        A window, which may lie partly or wholly outside of the scene.
    shape : tuple of int
        Rows and columns of the scene.
    step : int
        Distance in scene pixels between neighbouring pixels of the image.

    Returns
    -------
    Window
        The aligned window, which has at least one pixel.

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
    """Return a response with arrays of equal shape as concatenated little-endian bytes. Headers state `window` and `step`.

    Parameters
    ----------
    window : Window
        Part of the scene.
    step : int
        Distance in scene pixels between neighbouring values.
    layers : list of (rows, cols) arrays
        Arrays of dtype ``uint16`` or ``uint8``, in the order of their bytes in the response.
    **facts
        Further header fields: ``version=3`` becomes ``X-Version: 3``.
    """
    rows, cols = layers[0].shape
    place = {"row": window.row, "col": window.col, "rows": rows, "cols": cols, "step": step}
    body = b"".join(np.ascontiguousarray(layer, layer.dtype.newbyteorder("<")).tobytes() for layer in layers)
    headers = {f"X-{name.title()}": str(value) for name, value in {**place, **facts}.items()}
    return Response(body, media_type="application/octet-stream", headers=headers)
