"""Colours for classes that come without any, and the bands that show a scene as the eye would see it."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.blocks import blocks, read_bands, sample_bands
from hsifeat.types import Cube

# Twenty colours that stay apart for colour-blind eyes as far as twenty can: hues alternate in lightness. None is black,
# which is what pixels without a class are.
_PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#332288", "#882255", "#44aa99",
    "#999933", "#aa4499", "#88ccee", "#661100", "#117733", "#ddcc77", "#6699cc", "#cc6677", "#999999", "#ffffff",
)  # fmt: skip

RGB_NM = (640.0, 550.0, 460.0)


def default_colours(classes: Iterable[int]) -> dict[int, str]:
    """Return a colour (``#rrggbb``) for each class number; the same number always gets the same colour."""
    return {c: _PALETTE[c - 1] if 1 <= c <= len(_PALETTE) else _spread(c) for c in classes}


def _spread(number: int) -> str:
    # Steps of the golden ratio never repeat a hue and keep neighbours apart.
    red, green, blue = colorsys.hsv_to_rgb(
        number * 0.618034 % 1.0, 0.55 + 0.4 * (number % 2), 0.55 + 0.2 * (number % 3)
    )
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def rgb_bands(bands: int, wavelengths_nm: NDArray[np.float64] | None) -> tuple[int, int, int]:
    """Return the bands nearest to red, green and blue (640, 550, 460 nm); spread evenly where no wavelength is known.

    An image of three bands is taken for red, green and blue as it is.

    >>> rgb_bands(4, np.array([460.0, 640.0, 550.0, 900.0]))
    (1, 2, 0)
    """
    if wavelengths_nm is None and bands == 3:
        return 0, 1, 2
    if wavelengths_nm is None:
        return (3 * (bands - 1)) // 4, (bands - 1) // 2, (bands - 1) // 4
    red, green, blue = (int(np.argmin(np.abs(wavelengths_nm - nm))) for nm in RGB_NM)
    return red, green, blue


def false_colour(
    cube: Cube,
    wavelengths_nm: NDArray[np.float64] | None = None,
    valid: NDArray[np.bool_] | None = None,
    step: int = 1,
) -> NDArray[np.uint8]:
    """Show a scene: three bands, each stretched from its 2nd to its 98th percentile, of a sample in a large scene.

    Parameters
    ----------
    cube : array-like of shape (rows, cols, bands)
        The scene's values.
    wavelengths_nm : (bands,) float64 array, optional
        Centre wavelengths in nm.
    valid : (rows, cols) bool array, optional
        Pixels that count; the others are drawn black.
    step : int
        Draw every n-th pixel along both sides.

    Returns
    -------
    (rows / step, cols / step, 3) uint8 array
        Rounded up.
    """
    rows, cols, bands = cube.shape
    mask = np.ones((rows, cols), dtype=bool) if valid is None else valid
    seen = mask[::step, ::step]
    picture = np.zeros((*seen.shape, 3), dtype=np.uint8)
    if not mask.any():
        return picture
    shown = rgb_bands(bands, wavelengths_nm)
    low, high = np.percentile(sample_bands(cube, shown, mask), [2, 98], axis=0)
    for block in blocks(seen.shape[0], seen.shape[1], 3):
        good = seen[block.slices]
        height, width = (
            slice(s.start * step, min(s.stop * step, n), step) for s, n in zip(block.slices, mask.shape, strict=True)
        )
        values = read_bands(cube, height, width, shown)[good].astype(np.float64)
        stretched = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)
        picture[block.slices][good] = np.round(stretched * 255).astype(np.uint8)
    return picture
