"""Colours for classes that come without any, and the bands that show a scene as the eye would see it."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hsifeat.scenes.blocks import blocks, read_bands, sample_bands
from hsifeat.types import Cube

# Any two of the first sixteen differ by a CIEDE2000 of at least 16 to protanopes and deuteranopes (Machado et al. 2009),
# and of 20 to others; so does each from black, which is what pixels without a class are, and from the light ground of the
# report's maps. Found by a search over random starts; the four behind them are the farthest from all before them.
_PALETTE = (
    "#ffffa5", "#9d35ff", "#9b400d", "#014856", "#927a73", "#bd7608", "#63aaac", "#020035", "#2b00bb", "#555146",
    "#60728c", "#412000", "#eab702", "#9f9fff", "#efd5ff", "#a0b88a", "#5a002d", "#b45a4b", "#5a4bb4", "#ff785a",
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
