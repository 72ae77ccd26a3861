"""Maps of a report as PNG bytes: a colour a class, a side of a split, a verdict or a confidence.

Maps are pixels, so they are drawn without resampling: a large one keeps every n-th pixel, from the middle of each
n x n. Pixels that say nothing are transparent. Nothing of a map's full size is built, so that it may be lazy.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_plot import COLOURS, NAMES, TEST

# Of Okabe and Ito (https://jfly.uni-koeln.de/color/), which stay apart for colour-blind eyes.
RIGHT, WRONG = "#5a9bc9", "#d55e00"
_BLUE = "#0072b2"

MAX_PX = 1000
# All maps of a page together: what keeps it a few megabytes.
_PAGE_PX = 3_000_000
_BLOCK_ROWS = 256

CONFIDENCES = 8


def side_px(count: int) -> int:
    """Return the largest side of a map on a page of `count` maps of each kind.

    >>> side_px(1), side_px(16)
    (1000, 433)
    """
    return min(MAX_PX, int((_PAGE_PX / max(count, 1)) ** 0.5))


def step(shape: Sequence[int], side: int = MAX_PX) -> int:
    """Return n where a map of `shape` shows every n-th pixel; 1 for one of at most `side` px."""
    return -(-max(shape[:2]) // side)


def class_map(labels: NDArray[np.integer], colours: Mapping[int, str], side: int = MAX_PX) -> bytes:
    """Draw a `(rows, cols)` map of classes in their colours; a class without a colour (0 = unlabelled) is transparent."""
    return _paint(_thin(labels, side), colours)


def split_map(sides: NDArray[np.uint8], side: int = MAX_PX) -> bytes:
    """Draw a `(rows, cols)` split as `classifiers.splits.make_split_map` gives it."""
    return _paint(_thin(sides, side), COLOURS)


def error_map(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], sides: NDArray[np.uint8], side: int = MAX_PX
) -> bytes:
    """Draw which test pixels of a split were given another class than in `truth`; all `(rows, cols)`."""
    true, given, drawn = (_thin(values, side) for values in (truth, predicted, sides))
    return _paint(np.where(drawn == TEST, np.where(true == given, 1, 2), 0), {1: RIGHT, 2: WRONG})


def confidence_map(confidence: NDArray[np.uint8], predicted: NDArray[np.integer], side: int = MAX_PX) -> bytes:
    """Draw the largest probability of each pixel, `(rows, cols)` 0 to 255, in `CONFIDENCES` steps from dark to light.

    Pixels that were given no class (0 in `predicted`) are transparent.
    """
    seen, given = _thin(confidence, side), _thin(predicted, side)
    steps = seen.astype(np.intp) * CONFIDENCES // 256 + 1
    return _paint(np.where(given > 0, steps, 0), dict(enumerate(confidence_colours(), 1)))


def certainty(
    confidence: NDArray[np.uint8], predicted: NDArray[np.integer], truth: NDArray[np.integer], sides: NDArray[np.uint8]
) -> tuple[float, float]:
    """Return how sure a map is at the test pixels of a split, and how often it is right there; all `(rows, cols)`.

    Returns
    -------
    sure, right : float
        Mean of the largest probability, to 1/255, and share of the pixels whose class is that of `truth`.
    """
    sure = right = tested = 0
    for seen, given, true, drawn in _row_blocks(confidence, predicted, truth, sides):
        test = drawn == TEST
        sure += int(seen[test].sum(dtype=np.int64))
        right += int(np.count_nonzero(given[test] == true[test]))
        tested += int(np.count_nonzero(test))
    return sure / 255 / max(tested, 1), right / max(tested, 1)


def confidence_colours() -> list[str]:
    """Return the colours of `confidence_map` from the least to the most confident: cividis, made for colour-blind eyes."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps["cividis"](np.linspace(0, 1, CONFIDENCES))]


def depth_map(depths: NDArray[np.float64]) -> bytes:
    """Draw a `(C, C)` confusion matrix, one pixel a cell, from the depths of its cells (0 to 1): right blue, wrong vermillion."""
    from PIL import Image

    right, wrong = (np.array([*bytes.fromhex(colour.lstrip("#")), 255]) for colour in (_BLUE, WRONG))
    cells = np.where(np.eye(len(depths), dtype=bool)[..., None], right, wrong).astype(np.uint8)
    cells[..., 3] = np.round(255 * depths)
    return _saved(Image.fromarray(cells), "png")


def false_colour(image: NDArray[np.uint8], side: int = MAX_PX) -> bytes:
    """Draw a `(rows, cols, 3)` uint8 image: PNG while every pixel of a small one counts, else JPEG."""
    from PIL import Image

    seen = np.ascontiguousarray(_thin(image, side))
    return _saved(Image.fromarray(seen), "png") if max(seen.shape) < 300 else _saved(Image.fromarray(seen), "jpeg")


def count_sides(truth: NDArray[np.integer], sides: NDArray[np.uint8]) -> dict[int, NDArray[np.int64]]:
    """Count the pixels of each class on each side of a split, some rows at a time: {class: (4,) counts by side}."""
    total = np.zeros(0, np.int64)
    for true, drawn in _row_blocks(truth, sides):
        found = np.bincount((true.astype(np.intp) * len(NAMES) + drawn).ravel(), minlength=len(total))
        found[: len(total)] += total
        total = found
    whole = np.append(total, np.zeros(-len(total) % len(NAMES), np.int64))
    return dict(enumerate(whole.reshape(-1, len(NAMES))))


def _row_blocks(*maps: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    for top in range(0, len(maps[0]), _BLOCK_ROWS):
        yield tuple(np.asarray(values[top : top + _BLOCK_ROWS]) for values in maps)


def _thin(values: NDArray[Any], side: int) -> NDArray[Any]:
    n = step(values.shape, side)
    return np.asarray(values[n // 2 :: n, n // 2 :: n])


def _paint(values: NDArray[np.integer], colours: Mapping[int, str]) -> bytes:
    from PIL import Image

    numbers, index = np.unique(values, return_inverse=True)
    palette = np.array(
        [(*bytes.fromhex(colours[int(n)].lstrip("#")), 255) if int(n) in colours else (0, 0, 0, 0) for n in numbers],
        dtype=np.uint8,
    )
    if len(numbers) > 256:  # more than an index of a byte tells apart
        return _saved(Image.fromarray(palette[index.reshape(values.shape)]), "png")
    image = Image.fromarray(index.reshape(values.shape).astype(np.uint8))
    image.putpalette(palette.tobytes(), "RGBA")
    return _saved(image, "png")


def _saved(image: Any, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **({"quality": 85} if kind == "jpeg" else {}))
    return buffer.getvalue()
