"""Writers of maps: a predicted class for every pixel, as a picture or as an array."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import SceneError
from hsifeat.files import whole

SUFFIXES = (".png", ".npy")


def check_map_path(path: Path) -> None:
    """Raise `SceneError` unless a map can be written to `path`: before work is spent on it."""
    if path.suffix.lower() not in SUFFIXES:
        raise SceneError(f"a map is written as {' or '.join(SUFFIXES)}; found {path.name!r}")
    if not path.parent.is_dir():
        raise SceneError(f"no such folder: {path.parent}")


def write_map(path: Path, classes: NDArray[np.integer], colours: Mapping[int, str]) -> None:
    """Write a map whole: a temporary file is moved into place.

    Parameters
    ----------
    path : Path
        Ends in ``.png`` (palette image, one pixel a pixel) or ``.npy`` (the class numbers).
    classes : (rows, cols) integer array
        Class of each pixel, 0 = none.
    colours : mapping of int to str
        Colour of each class as ``#rrggbb``; 0 is black.

    Raises
    ------
    SceneError
        Another suffix, a missing folder, or more than 255 classes in a PNG.
    """
    check_map_path(path)
    with whole(path) as part:
        if path.suffix.lower() == ".npy":
            with part.open("wb") as file:
                np.save(file, classes, allow_pickle=False)
        else:
            _write_png(part, classes, colours)


def _write_png(path: Path, classes: NDArray[np.integer], colours: Mapping[int, str]) -> None:
    from PIL import Image

    if classes.max(initial=0) > 255:
        raise SceneError(f"a PNG holds class numbers up to 255; found {classes.max()}: write .npy")
    palette = [0] * 768
    for number, colour in colours.items():
        palette[3 * number : 3 * number + 3] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.ascontiguousarray(classes, dtype=np.uint8)
    # The picture shares the array's memory; `frombytes` would copy it twice.
    image = Image.frombuffer("P", (pixels.shape[1], pixels.shape[0]), pixels, "raw", "P", 0, 1)
    image.putpalette(palette)
    image.save(path, format="PNG")
