"""Maps of a report as PNG or JPEG bytes: classes, splits, errors, confidence and false colour.

A large map is subsampled to the central pixel of each n x n block, without interpolation. Pixels without a value are transparent.
No array of the full size of a map is created, so maps may be memory-mapped arrays larger than memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_plot import COLOURS, NAMES, TEST

# From the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), distinguishable with colour blindness.
RIGHT, WRONG = "#5a9bc9", "#d55e00"
_BLUE = "#0072b2"

MAX_PX = 1000
# Maximum number of pixels of all maps of one kind on a page, which limits the page to a few megabytes.
_PAGE_PX = 3_000_000
_BLOCK_ROWS = 256
_MAX_PNG_PX = 300

CONFIDENCE_STEPS = 8


def largest_side_px(count: int) -> int:
    """Return the longest side in pixels that a map may have on a page with `count` maps of each kind.

    >>> largest_side_px(1), largest_side_px(16)
    (1000, 433)
    """
    return min(MAX_PX, int((_PAGE_PX / max(count, 1)) ** 0.5))


def map_step(shape: Sequence[int], side_px: int = MAX_PX) -> int:
    """Return the step at which a map is subsampled, so that no side of its image exceeds `side_px` pixels.

    A step of n keeps every n-th row and column of the map. The smallest sufficient step is returned.
    """
    return -(-max(shape[:2]) // side_px)


def class_map(labels: NDArray[np.integer], colours: Mapping[int, str], side_px: int = MAX_PX) -> bytes:
    """Draw a map of classes.

    Parameters
    ----------
    labels : (rows, cols) integer array
        Class of each pixel. Classes without a colour, such as 0 = unlabelled, are transparent.
    colours : mapping of int to str
        Colour of each class as ``#rrggbb``.
    side_px : int
        Maximum length in pixels of the longer side of the image.
    """
    return _paint(_subsample(labels, side_px), colours)


def split_map(roles: NDArray[np.uint8], side_px: int = MAX_PX) -> bytes:
    """Draw a split map.

    `roles` is a (rows, cols) uint8 array, as returned by `classifiers.splits.make_split_map`.
    """
    return _paint(_subsample(roles, side_px), COLOURS)


def error_map(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], roles: NDArray[np.uint8], side_px: int = MAX_PX
) -> bytes:
    """Draw the correct and wrong test pixels of a split.

    Parameters
    ----------
    truth, predicted : (rows, cols) integer array
        True and predicted classes.
    roles : (rows, cols) uint8 array
        Split map from `classifiers.splits.make_split_map`.
    side_px : int
        Maximum length in pixels of the longer side of the image.
    """
    true, assigned, drawn = (_subsample(values, side_px) for values in (truth, predicted, roles))
    return _paint(np.where(drawn == TEST, np.where(true == assigned, 1, 2), 0), {1: RIGHT, 2: WRONG})


def confidence_map(confidence: NDArray[np.uint8], predicted: NDArray[np.integer], side_px: int = MAX_PX) -> bytes:
    """Draw the largest class probability of each pixel, in `CONFIDENCE_STEPS` colours from dark (low) to light (high).

    Parameters
    ----------
    confidence : (rows, cols) uint8 array
        Largest class probability, scaled to 0..255.
    predicted : (rows, cols) integer array
        Predicted classes. Pixels of class 0 have no prediction and are transparent.
    side_px : int
        Maximum length in pixels of the longer side of the image.
    """
    values, classes = _subsample(confidence, side_px), _subsample(predicted, side_px)
    steps = values.astype(np.intp) * CONFIDENCE_STEPS // 256 + 1
    return _paint(np.where(classes > 0, steps, 0), dict(enumerate(confidence_colours(), 1)))


def calibration(
    confidence: NDArray[np.uint8], predicted: NDArray[np.integer], truth: NDArray[np.integer], roles: NDArray[np.uint8]
) -> tuple[float, float]:
    """Return the mean confidence and the accuracy of a class map on the test pixels of a split.

    Parameters
    ----------
    confidence : (rows, cols) uint8 array
        Largest class probability, scaled to 0..255.
    predicted, truth : (rows, cols) integer array
        Predicted and true classes.
    roles : (rows, cols) uint8 array
        Split map from `classifiers.splits.make_split_map`.

    Returns
    -------
    mean_confidence, accuracy : float
        Values from 0 to 1.
    """
    total = correct = tested = 0
    for values, assigned, true, drawn in _row_blocks(confidence, predicted, truth, roles):
        test = drawn == TEST
        total += int(values[test].sum(dtype=np.int64))
        correct += int(np.count_nonzero(assigned[test] == true[test]))
        tested += int(np.count_nonzero(test))
    return total / 255 / max(tested, 1), correct / max(tested, 1)


def confidence_colours() -> list[str]:
    """Return the colours of `confidence_map`, from the lowest to the highest confidence.

    The colours are from the colour map cividis, which is legible with colour blindness.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps["cividis"](np.linspace(0, 1, CONFIDENCE_STEPS))]


def confusion_map(opacity: NDArray[np.float64]) -> bytes:
    """Draw a confusion matrix with one pixel per cell. Cells on the diagonal are blue, and all other cells are vermillion.

    `opacity` is a (C, C) float64 array of opacities, 0 to 1.
    """
    from PIL import Image

    right, wrong = (np.array([*bytes.fromhex(colour.lstrip("#")), 255]) for colour in (_BLUE, WRONG))
    cells = np.where(np.eye(len(opacity), dtype=bool)[..., None], right, wrong).astype(np.uint8)
    cells[..., 3] = np.round(255 * opacity)
    return _encode(Image.fromarray(cells), "png")


def false_colour_map(image: NDArray[np.uint8], side_px: int = MAX_PX) -> bytes:
    """Draw a (rows, cols, 3) uint8 false-colour image, as PNG if it is small, otherwise as JPEG."""
    from PIL import Image

    pixels = np.ascontiguousarray(_subsample(image, side_px))
    return _encode(Image.fromarray(pixels), "png" if max(pixels.shape) < _MAX_PNG_PX else "jpeg")


def count_roles(truth: NDArray[np.integer], roles: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    """Count the pixels of each class by their role in a split.

    Parameters
    ----------
    truth : (rows, cols) integer array
        True class of each pixel.
    roles : (rows, cols) uint8 array
        Split map from `classifiers.splits.make_split_map`.

    Returns
    -------
    dict of int to (4,) int64 array
        Maps each value that occurs in `truth`, including 0, to its numbers of unlabelled, training, test and dropped pixels.
        A dropped pixel has a label, but is neither a training nor a test pixel.
    """
    import pandas as pd

    total: dict[int, NDArray[np.int64]] = {}
    for true, drawn in _row_blocks(truth, roles):
        # Class numbers may be high, so that a count of all numbers would fill the memory.
        codes, numbers = pd.factorize(true.ravel())
        counts = np.bincount(codes * len(NAMES) + drawn.ravel(), minlength=len(numbers) * len(NAMES))
        for number, count in zip(numbers.tolist(), counts.reshape(-1, len(NAMES)), strict=True):
            total[number] = total.get(number, 0) + count
    return total


def _row_blocks(*maps: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    for top in range(0, len(maps[0]), _BLOCK_ROWS):
        yield tuple(np.asarray(values[top : top + _BLOCK_ROWS]) for values in maps)


def _subsample(values: NDArray[Any], side_px: int) -> NDArray[Any]:
    n = map_step(values.shape, side_px)
    return np.asarray(values[n // 2 :: n, n // 2 :: n])


def _paint(values: NDArray[np.integer], colours: Mapping[int, str]) -> bytes:
    from PIL import Image

    numbers, index = np.unique(values, return_inverse=True)
    palette = np.array(
        [(*bytes.fromhex(colours[int(n)].lstrip("#")), 255) if int(n) in colours else (0, 0, 0, 0) for n in numbers],
        dtype=np.uint8,
    )
    if len(numbers) > 256:  # the maximum size of a palette
        return _encode(Image.fromarray(palette[index.reshape(values.shape)]), "png")
    image = Image.fromarray(index.reshape(values.shape).astype(np.uint8))
    image.putpalette(palette.tobytes(), "RGBA")
    return _encode(image, "png")


def _encode(image: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **({"quality": 85} if kind == "jpeg" else {}))
    return buffer.getvalue()
